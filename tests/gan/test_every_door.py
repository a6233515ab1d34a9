"""The same promise at every door: what is a pixel, what is a class, and what a loss is, whichever way the data come."""

import types

import metalearn_tf as mtf
from metalearn_tf.gan.objectives import draw_noise, split_seed

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import LATENT

L = keras.layers
SHAPE, CLASSES = (4, 4, 1), 3


def tiny(condition=None, dtype=None, encode=None, last="tanh", **options):
    """A GAN of dense networks; `encode` makes vectors of the labels."""
    noise, shown = keras.Input((LATENT,)), keras.Input(SHAPE)
    drawn, judged = [noise], [L.Flatten()(shown)]
    given, again = [], []
    if condition is not None:
        given, again = [keras.Input(condition, dtype=dtype)], [keras.Input(condition, dtype=dtype)]
        drawn, judged = drawn + [encode(given[0])], judged + [encode(again[0])]
    joined = [parts[0] if len(parts) == 1 else L.Concatenate()(parts) for parts in (drawn, judged)]
    made = L.Activation(last)(L.Reshape(SHAPE)(L.Dense(16)(joined[0])))
    networks = (
        keras.Model([noise, *given] if given else noise, made),
        keras.Model([shown, *again] if again else shown, L.Dense(1)(joined[1])),
    )
    return mtf.gan.GAN(*networks, **options)


def one_hot(labels):
    return keras.ops.one_hot(labels, CLASSES)


def column(labels):
    return L.Flatten()(L.Embedding(CLASSES, 2)(labels))


def maps(labels):
    return L.Flatten()(keras.ops.one_hot(keras.ops.squeeze(labels, -1), CLASSES))


@pytest.fixture
def pixels():
    """Twelve uint8 images, and the same as floats in [-1, 1]."""
    images = np.random.default_rng(0).integers(0, 256, (12, *SHAPE), dtype="uint8")
    return images, (images / 127.5 - 1.0).astype("float32")


LABELS = np.arange(12) % CLASSES


def batches(*parts, size=4):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(size)


# === Losses ===


def ways_to_give(x):
    def generate(dataset):
        for batch in dataset:
            yield (batch,)

    whole = tf.data.Dataset.from_tensor_slices(x).batch(4, drop_remainder=True)  # whose shape says nothing of the data
    return {
        "array": (x, {"batch_size": 4, "shuffle": False}),
        "dataset": (batches(x), {}),
        "unknown length": (batches(x).filter(lambda x: True), {}),
        "unknown length of whole batches": (whole.filter(lambda x: True), {}),
        "generator": (generate(batches(x)), {}),
    }


# Keras says so at the end of each pass over data of an unknown length.
@pytest.mark.rows(default=["1"])
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("steps", [1, 2])
def test_losses_and_counts_are_those_of_a_direct_computation(steps, pixels):
    """With rates of 0 the loss of step i is that of the first weights, of the noise of step i."""
    images = pixels[1]
    gan = tiny(average_decay=None, seed=5)
    gan.compile("sgd", "sgd", steps_per_execution=steps)
    gan.optimizer.learning_rate = 0.0

    def softplus(logits):
        return np.mean(np.logaddexp(0.0, logits))

    expected = []
    for step in range(3):
        of_generator, of_discriminator = split_seed(tf.constant([5, step]), 2)
        fakes = [gan.generator(draw_noise(4, LATENT, split_seed(s, 2)[0])) for s in (of_discriminator, of_generator)]
        real, fake, new = (np.asarray(gan.discriminator(x)) for x in (images[4 * step : 4 * step + 4], *fakes))
        expected.append([softplus(-real) + softplus(fake), softplus(-new)])
    for name, (data, options) in ways_to_give(images).items():
        gan.steps.assign(0)
        gan.generator_optimizer.iterations.assign(0)
        logs = gan.fit(data, verbose=0, **options).history
        found = [logs["discriminator_loss"][0], logs["generator_loss"][0]]
        np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-5, err_msg=name)
        assert int(gan.steps) == int(gan.generator_optimizer.iterations) == 3, name


def test_a_short_last_batch_weighs_as_much_as_its_images(pixels):
    """As in Keras: 12 images in batches of 5, 5 and 2; a Wasserstein critic's loss of a batch is a mean over it."""
    gan = tiny(loss="wasserstein", average_decay=None)
    gan.compile("sgd", "sgd")
    single = [gan.test_on_batch(pixels[1][rows]) for rows in (slice(0, 5), slice(5, 10), slice(10, 12))]
    expected = np.average(single, axis=0, weights=[5, 5, 2])
    np.testing.assert_allclose(gan.evaluate(batches(pixels[1], size=5), verbose=0), expected, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_losses_of_tasks_of_unknown_length(pixels):
    meta_gan = mtf.gan.MetaGAN(tiny(average_decay=None), inner_steps=1)
    meta_gan.compile("sgd")
    tasks = batches(pixels[1].reshape(4, 3, *SHAPE), size=2)
    known, unknown = (meta_gan.evaluate(data, verbose=0) for data in (tasks, tasks.filter(lambda x: True)))
    assert known == pytest.approx(unknown, rel=1e-6)


# === Later batches ===

SPOILED = {
    "bytes as floats": (
        lambda x, y: (np.where(LABELS[:, None, None, None] == 2, 127.5 * x + 127.5, x), y),
        r"\[-1, 1\]",
    ),
    "NaN": (lambda x, y: (np.where(np.arange(12)[:, None, None, None] == 11, np.nan, x), y), "must be finite"),
    "a class too many": (lambda x, y: (x, np.where(np.arange(12) == 11, 3, y)), r"`labels` must be in \[0, 3\)"),
    "a negative class": (lambda x, y: (x, np.where(np.arange(12) == 11, -1, y)), r"`labels` must be in \[0, 3\)"),
}


@pytest.mark.rows(default=["False"])
@pytest.mark.parametrize("graph", [True, False])
def test_what_is_wrong_in_a_later_batch_ends_the_pass(graph, pixels):
    gan = tiny((), "int32", one_hot)
    gan.compile(run_eagerly=not graph)
    order = np.argsort(LABELS, kind="stable")
    for spoil, message in SPOILED.values():
        x, y = spoil(pixels[1], LABELS)
        rows = order if "1, 1" in message else np.arange(12)
        data = batches(x[rows].astype("float32"), y[rows])
        for door in (gan.fit, gan.evaluate):
            before = int(gan.steps)
            with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                door(data, verbose=0)
            assert int(gan.steps) - before == (2 if door == gan.fit else 0)
    noise = np.zeros((12, LATENT), "float32")
    inputs = tf.data.Dataset.from_tensor_slices(((noise, np.where(np.arange(12) == 11, 3, LABELS)),)).batch(4)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"`labels` must be in \[0, 3\)"):
        gan.predict(inputs, verbose=0)


@pytest.mark.parametrize("step", ["train_step", "test_step"])
def test_what_is_wrong_in_a_batch_of_tasks_ends_the_pass(step, pixels):
    """A step of `fit` and of `evaluate`, whose first batch alone is looked at before."""
    meta_gan = mtf.gan.MetaGAN(tiny((), "int32", one_hot), inner_steps=1)
    meta_gan.compile(run_eagerly=True)
    tasks, labels = pixels[1].reshape(2, 6, *SHAPE), LABELS.reshape(2, 6)
    for spoiled in ((tasks, labels + [[0], [1]]), (tasks, labels - 1)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"`labels` must be in \[0, 3\)"):
            getattr(meta_gan, step)(tuple(map(tf.constant, spoiled)))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"in the range \[-1, 1\]"):
        getattr(meta_gan, step)((tf.constant(9.0 * tasks), tf.constant(labels)))
    assert int(meta_gan.steps) == 0


# === Labels ===

# The network's input, and labels of the shape and dtype that it takes as they are.
INPUTS = {
    "number": ((), "int32", one_hot),
    "column": ((1,), "int32", column),
    "column of floats": ((1,), "float32", column),
    "one-hot": ((CLASSES,), "float32", lambda labels: labels),
}
# Labels as people have them, and for each input whether they are taken (True) or what is said.
FORMS = {
    "numbers": (LABELS, "uint8", {"one-hot": r"`keras.utils.to_categorical\(labels, 3\)`"}),
    "column": (
        LABELS[:, None],
        "uint8",
        {"one-hot": r"`keras.utils.to_categorical\(np.squeeze\(labels, axis=-1\), 3\)`"},
    ),
    "one-hot": (np.eye(3)[LABELS], "float64", dict.fromkeys(("number", "column", "column of floats"), "`np.argmax")),
    "booleans": (
        LABELS > 0,
        "bool",
        {"one-hot": r"to_categorical\(labels.astype\('int32'\), 3\)"}
        | dict.fromkeys(("number", "column", "column of floats"), r"`labels.astype\('int32'\)`"),
    ),
    "floats": (
        LABELS * 1.0,
        "float64",
        {"one-hot": r"to_categorical\(labels.astype\('int32'\), 3\)"}
        | dict.fromkeys(("number", "column"), r"`labels.astype\('int32'\)`"),
    ),
}


def doors_of(gan, x, labels, right):
    noise = np.zeros((len(x), LATENT), "float32")
    return {
        "fit": lambda: gan.fit(x, labels, verbose=0),
        "validation": lambda: gan.fit(x, right, validation_data=(x, labels), verbose=0),
        "evaluate": lambda: gan.evaluate(x, labels, verbose=0),
        "train_on_batch": lambda: gan.train_on_batch(x, labels),
        "test_on_batch": lambda: gan.test_on_batch(x, labels),
        "predict": lambda: gan.predict([noise, labels], verbose=0),
        "sample": lambda: gan.sample(len(x), labels),
    }


@pytest.mark.rows(default=["one-hot", "number"])
@pytest.mark.parametrize("name", INPUTS)
def test_labels_are_taken_or_what_makes_them_is_said(name, pixels):
    """Taken labels draw and train as class numbers do, and what the advice makes of the others is taken."""
    gan = tiny(*INPUTS[name])
    gan.compile(run_eagerly=True)
    right = np.eye(3)[LABELS] if name == "one-hot" else LABELS
    drawn, loss = gan.sample(12, right), gan.test_on_batch(pixels[0], right)
    for labels, dtype, refused in FORMS.values():
        labels = labels.astype(dtype)
        scores = mtf.evaluation.SampleGrid("nowhere", count=12, labels=labels)
        scores.set_model(gan)
        doors = doors_of(gan, pixels[0], labels, right)
        doors["callback"] = scores.on_train_begin
        if name not in refused:
            np.testing.assert_array_equal(doors["sample"](), drawn)
            assert doors["test_on_batch"]() == pytest.approx(loss)
            assert doors["predict"]().shape == (12, *SHAPE)
            continue
        for door in doors.values():
            with pytest.raises(ValueError, match=f"`labels` must.*{refused[name]}.* makes them. Received: shape"):
                door()


def test_the_advice_for_a_dataset_is_in_tensors(pixels):
    gan = tiny((), "int32", one_hot)
    gan.compile(run_eagerly=True)
    for labels in (np.eye(3)[LABELS], LABELS > 0):
        with pytest.raises(ValueError, match=r"`\.map\(lambda images, labels: \(images, tf\..*`") as error:
            gan.fit(batches(pixels[0], labels), verbose=0)
        mapped = eval(str(error.value).split("`.map(")[1].split(")` makes")[0])  # what the message says to write
        gan.evaluate(batches(pixels[0], labels).map(mapped), verbose=0)


@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_maps_of_classes_are_no_pixels(dtype, pixels):
    gan = tiny(SHAPE, dtype, maps)
    gan.compile(run_eagerly=True)
    labels = np.random.default_rng(1).integers(0, CLASSES, (12, *SHAPE))
    losses = [gan.test_on_batch(pixels[0], labels.astype(kind)) for kind in ("uint8", "int64")]
    assert losses[0] == losses[1] and gan.number_of_classes == CLASSES
    np.testing.assert_array_equal(gan.sample(12, labels.astype("uint8")), gan.sample(12, labels))
    with pytest.raises(ValueError, match="each is a map of classes"):
        gan.sample(2)
    with pytest.raises(ValueError, match=r"`labels` must be in \[0, 3\)"):
        gan.fit(pixels[0], labels + 1)


def test_an_embedding_of_something_else_says_nothing_of_the_classes(pixels):
    def with_positions(labels):
        places = L.Embedding(2, CLASSES)(keras.ops.zeros_like(labels))
        return L.Add()([keras.ops.one_hot(labels, CLASSES), places])

    assert tiny((), "int32", one_hot).number_of_classes == CLASSES
    noise, labels = keras.Input((LATENT,)), keras.Input((), dtype="int32")
    places = L.Flatten()(L.Embedding(2, 4)(keras.ops.cast(noise > 0, "int32")))
    made = L.Reshape(SHAPE)(L.Dense(16, "tanh")(L.Concatenate()([places, one_hot(labels)])))
    gan = mtf.gan.GAN(keras.Model([noise, labels], made), tiny((), "int32", one_hot).discriminator)
    assert gan.number_of_classes == CLASSES


@pytest.mark.full
def test_a_meta_gan_takes_class_numbers_alone(pixels):
    for condition in (((2,), "float32", lambda x: x), ((1,), "float32", lambda x: x), (SHAPE, "int32", maps)):
        with pytest.raises(ValueError, match="`gan` must have networks of noise alone, or of noise and class numbers"):
            mtf.gan.MetaGAN(tiny(*condition))
    for condition in INPUTS["number"], INPUTS["column"], INPUTS["column of floats"]:
        meta_gan = mtf.gan.MetaGAN(tiny(*condition), inner_steps=1)
        states = [meta_gan.adapt(pixels[0][:6], labels).get_weights() for labels in (LABELS[:6], LABELS[:6, None])]
        for one, other in zip(*states):
            np.testing.assert_array_equal(one, other)


# === Pixels that are drawn from ===


@pytest.mark.full
def test_bytes_are_brought_to_the_range_by_predict_too(pixels):
    pairs = tiny(SHAPE, None, L.Flatten(), last="sigmoid")
    noise = np.random.default_rng(0).normal(size=(12, LATENT)).astype("float32")
    floats = pixels[0] / np.float32(255)
    expected = pairs.generator([noise, floats])
    for inputs in ([noise, pixels[0]], [noise, floats]):
        np.testing.assert_allclose(pairs.predict(inputs, verbose=0), expected, atol=1e-6)
        np.testing.assert_allclose(pairs.predict_on_batch(inputs), expected, atol=1e-6)
    dataset = tf.data.Dataset.from_tensor_slices(((noise, pixels[0]),)).batch(5)
    np.testing.assert_allclose(pairs.predict(dataset, verbose=0), expected, atol=1e-6)
    for wrong in ([noise, pixels[1]], [noise, pixels[0] * 1.0]):
        for door in (pairs.predict, pairs.predict_on_batch, lambda x: pairs.sample(12, x[1])):
            with pytest.raises(ValueError, match=r"`labels` must be in \[0, 1\]"):
                door(wrong)
    meta_gan = mtf.gan.MetaGAN(tiny(), inner_steps=1)
    tasks = [part.reshape(2, 6, *SHAPE) for part in pixels]
    np.testing.assert_allclose(*(meta_gan.predict(part, verbose=0) for part in tasks), atol=1e-6)
    with pytest.raises(ValueError, match=r"`x` must be in \[-1, 1\]"):
        meta_gan.predict(tasks[0] * 1.0, verbose=0)


INPUTS_OF_PREDICT = {
    "images": (lambda x: x, r"have noise of the shape \(n, 6\), floating. Received: shape \(12, 4, 4, 1\)"),
    "nothing": (lambda x: None, "be noise, or batches of them"),
    "named": (lambda x: {"noise": x}, r"of named parts, `x\['noise'\]` is one. Received: dict"),
    "labels too": (lambda x: [np.zeros((12, LATENT)), LABELS], "be noise alone. Received: 2 parts"),
}


@pytest.mark.parametrize("kind", INPUTS_OF_PREDICT)
def test_what_no_generator_takes_is_refused_by_predict(kind, pixels):
    make, message = INPUTS_OF_PREDICT[kind]
    with pytest.raises(ValueError, match=f"`x` must.*{message}"):
        tiny().predict(make(pixels[1]), verbose=0)


# === Options, before any work ===


def test_names_of_keras_s_examples_are_translated():
    gan, meta_gan = tiny(), mtf.gan.MetaGAN(tiny(), inner_steps=1)
    for name, own in (("d_optimizer", "discriminator_optimizer"), ("g_optimizer", "generator_optimizer")):
        with pytest.raises(ValueError, match=f"`{name}` must be left out .*; write `{own}=`. Received: {name}="):
            gan.compile(**{name: keras.optimizers.Adam()})
        with pytest.raises(ValueError, match=f"`{name}` must be left out .*; write `optimizer=`"):
            meta_gan.compile(**{name: "adam"})
    with pytest.raises(ValueError, match=r"`loss_fn` must be left out.*`GAN\(..., loss=...\)`"):
        gan.compile(loss_fn="mse")
    for compile in (
        lambda: gan.compile("adam", "binary_crossentropy"),
        lambda: meta_gan.compile("binary_crossentropy"),
    ):
        with pytest.raises(ValueError, match="optimizer` must be a Keras optimizer.*'binary_crossentropy'"):
            compile()


@pytest.mark.parametrize("adapts", [False, True])
def test_a_log_that_no_epoch_has_is_refused_before_the_first(adapts, pixels):
    model = mtf.gan.MetaGAN(tiny(), inner_steps=1) if adapts else tiny()
    x = pixels[0].reshape(2, 6, *SHAPE) if adapts else pixels[0]
    for name in ("kidd", "fid", "val_generator_loss"):
        model.compile(monitor=name, run_eagerly=True)
        with pytest.raises(ValueError, match=f"`monitor` must be among the logs.*Received: '{name}'"):
            model.fit(x, verbose=0)
    assert int(model.steps) == 0
    if not adapts:  # not each epoch has those of a validation
        logs = model.fit(x, verbose=0, epochs=3, validation_data=x, validation_freq=2).history
        assert len(logs["val_generator_loss"]) == 1


def test_a_meta_gan_has_no_grid_of_its_own(pixels, tmp_path):
    meta_gan = mtf.gan.MetaGAN(tiny(), inner_steps=1)
    meta_gan.compile(run_eagerly=True)
    with pytest.raises(ValueError, match=r"must have `sample.*`meta_gan.adapt\(images\)` returns a GAN"):
        meta_gan.fit(pixels[0].reshape(2, 6, *SHAPE), verbose=0, callbacks=mtf.evaluation.SampleGrid(tmp_path, 4))
    assert int(meta_gan.steps) == 0


def test_seeds_and_policies_are_refused_in_words(pixels):
    for make in (lambda: mtf.evaluation.SampleGrid("nowhere", 4, seed=None), lambda: tiny().sample(2, seed=None)):
        with pytest.raises(ValueError, match="`seed` must be an integer"):
            make()
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        mtf.gan.MetaGAN(tiny(), inner_steps=1).adapt(pixels[0], seed=None)
    for policy in (L.RandomFlip(), ["color", 3], "", ()):
        with pytest.raises(ValueError, match="`augmentation` must name one or more of"):
            tiny(augmentation=policy)


@pytest.mark.parametrize("layer", [L.Dropout(0.5), L.GaussianNoise(0.1), L.RandomFlip(), L.BatchNormalization()])
def test_a_state_beside_the_weights_is_named_for_a_meta_gan(layer):
    judge = keras.Sequential([keras.Input(SHAPE), layer, L.Flatten(), L.Dense(1)])
    gan = mtf.gan.GAN(tiny().generator, judge)
    with pytest.raises(ValueError, match=f"a discriminator without a state.*mtf.networks.dcgan.*'{layer.name}'"):
        mtf.gan.MetaGAN(gan)


# === What is drawn is what is there ===


def test_weights_in_another_order_are_seen():
    gan = tiny()
    kernel = gan.generator.trainable_variables[0]
    kernel.assign(np.asarray(kernel)[::-1])
    assert gan.sampler is gan.generator


def test_what_is_changed_after_the_first_draw_is_seen(pixels):
    gan = tiny(average_decay=None)
    meta_gan = mtf.gan.MetaGAN(gan, inner_steps=1, inner_learning_rate=0.1)
    before = gan.sample(3), meta_gan.adapt(pixels[0]).generator.get_weights()
    gan.generator.layers[-1].activation = keras.activations.hard_tanh
    np.testing.assert_allclose(gan.sample(3), gan.generator(draw_noise(3, LATENT, [0, 0])), atol=1e-6)
    assert np.any(gan.sample(3) != before[0])
    assert np.any(meta_gan.adapt(pixels[0]).generator.get_weights()[0] != before[1][0])


def test_augmentation_has_the_range_of_the_generator(pixels):
    """In [0, 255] as in [-1, 1], of the same images with the same draws."""
    wide = tiny(last="linear", image_range=(0, 255), augmentation="color,cutout").objective
    narrow = tiny(augmentation="color,cutout").objective
    seed, images = tf.constant([1, 2]), tf.constant(pixels[1])
    players = types.SimpleNamespace(draw=lambda draw, count, axis: draw(count))
    expected = 127.5 * narrow.augment(players, images, seed) + 127.5
    np.testing.assert_allclose(wide.augment(players, 127.5 * images + 127.5, seed), expected, atol=1e-3)


# === Precision ===


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_spectral_normalisation_keeps_the_precision_of_the_weights(policy, pixels):
    keras.config.set_dtype_policy(policy)
    try:
        networks = [
            mtf.networks.dcgan((16, 16, 1), 4, filters=2, discriminator_normalization="spectral")[1],
            mtf.networks.residual_gan((16, 16, 1), 4, filters=2)[1],
        ]
        own = [
            keras.Sequential([keras.Input(SHAPE), L.Flatten(), L.SpectralNormalization(L.Dense(1), **options)])
            for options in ({}, {"dtype": "float32"})
        ]
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match=rf'`discriminator` must not round.*dtype="float32".*{policy!r}'):
        mtf.gan.GAN(tiny().generator, own[0])
    mtf.gan.GAN(tiny().generator, own[1])
    narrow = policy.removeprefix("mixed_")
    for network in [*networks, own[1]]:
        network(np.ones((2, *network.input_shape[1:]), "float32"), training=True)
        for variable in network.trainable_variables:
            if variable.path.endswith("kernel"):
                value = tf.convert_to_tensor(variable)
                rounded = tf.cast(tf.cast(value, narrow), "float32")
                assert variable.dtype == "float32" and np.mean(value == rounded) < 0.5
