"""Adaptation to a domain without labels, as an ordinary Keras model."""

import metalearn_tf as mtf
from metalearn_tf.transfer.domain_batches import domain_batches
from metalearn_tf.transfer.domain_losses import adaptation_schedule

import keras
import numpy as np
import pytest
import tensorflow as tf

METHODS = ("source_only", "coral", "mmd", "dann")
CLASSES = 3


def domain(which, n=192, seed=0):
    """uint8 images `(n, 4, 4, 1)` and labels.

    The upper half shows the class faintly in both domains. The lower half shows it clearly in the source, and is
    bright in the target.
    """
    random = np.random.default_rng(seed)
    faint, clear = np.random.default_rng(9).choice([-1.0, 1.0], (2, CLASSES, 2, 4))
    labels = np.arange(n, dtype="int32") % CLASSES
    upper = 0.5 + 0.2 * faint[labels] + 0.1 * random.normal(size=(n, 2, 4))
    lower = 0.5 + 0.3 * clear[labels] if which == "source" else np.ones((n, 2, 4))
    images = np.concatenate([upper, lower - 0.1 * np.abs(random.normal(size=(n, 2, 4)))], axis=1)
    return (255 * images[..., None]).clip(0, 255).astype("uint8"), labels


def backbone(normalized=False, features=8, seed=0):
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(inputs)
    for index in range(2):
        x = keras.layers.Dense(16, kernel_initializer=keras.initializers.GlorotUniform(seed + index))(x)
        x = keras.layers.BatchNormalization()(x) if normalized else x
        x = keras.layers.ReLU()(x)
    initializer = keras.initializers.GlorotUniform(seed + 2)
    return keras.Model(inputs, keras.layers.Dense(features, kernel_initializer=initializer, dtype="float32")(x))


def adaptation(method="dann", network=None, **options):
    model = mtf.transfer.DomainAdaptation(network or backbone(), CLASSES, method, **options)
    model.compile(keras.optimizers.Adam(1e-2))
    return model


# === What it is for ===


@pytest.fixture(scope="module")
def source_only_accuracy():
    return trained_accuracy("source_only")


def trained_accuracy(method):
    (source_x, source_y), (target_x, _) = domain("source"), domain("target", seed=1)
    model = adaptation(method)
    model.fit((source_x, source_y), target_x, batch_size=32, epochs=20, verbose=0)
    assert model.evaluate(*domain("source", seed=2), verbose=0)[1] > 0.9
    return model.evaluate(*domain("target", seed=3), verbose=0)[1]


def test_the_source_alone_does_not_do(source_only_accuracy):
    assert source_only_accuracy < 0.7


@pytest.mark.rows(default=["coral"])
@pytest.mark.parametrize("method", ["coral", "mmd", "dann"])
def test_each_method_helps(method, source_only_accuracy):
    assert trained_accuracy(method) > source_only_accuracy + 0.1


@pytest.mark.full
def test_the_source_alone_looks_at_no_target():
    weights = []
    for target_x in (domain("target")[0], None):
        model = adaptation("source_only", backbone(normalized=True))
        model.fit(domain("source"), target_x, epochs=1, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights):
        np.testing.assert_array_equal(one, other)


# === One step, worked out ===


@pytest.mark.parametrize("method", METHODS)
def test_a_step_is_the_gradient_of_the_formula(method):
    """Against autodiff of the whole objective, in which the two players of DANN are two losses."""
    model = adaptation(method, weight=None if method == "source_only" else 0.7)
    model.compile(keras.optimizers.SGD(1.0))
    model.step.assign(3)
    model.training_steps.assign(10)
    (source_x, source_y), (target_x, _) = domain("source", 12), domain("target", 12)
    before = [np.asarray(variable) for variable in model.trainable_variables]
    images = (source_x,) if method == "source_only" else (source_x, target_x)

    factor = 0.7 * (2 / (1 + np.exp(-3.0)) - 1)
    with tf.GradientTape(persistent=True) as tape:
        source, target = (model.backbone(x / 255.0) for x in (source_x.astype("float32"), target_x.astype("float32")))
        log_probabilities = tf.math.log_softmax(model.head(source))
        cross_entropy = -tf.reduce_mean(tf.gather(log_probabilities, source_y, batch_dims=1))
        between = 0.0
        if method == "dann":
            real, fake = (tf.sigmoid(model.discriminator(x)) for x in (source, target))
            between = -0.5 * (tf.reduce_mean(tf.math.log(real)) + tf.reduce_mean(tf.math.log(1.0 - fake)))
        elif method != "source_only":
            between = {"mmd": mtf.transfer.mmd_loss, "coral": mtf.transfer.coral_loss}[method](source, target)
        sign = -1.0 if method == "dann" else 1.0
        objective = cross_entropy + sign * factor * between
    players = len(model.discriminator.trainable_variables) if method == "dann" else 0
    variables = model.trainable_variables
    expected = tape.gradient(objective, [v.value for v in variables[: len(variables) - players]])
    expected += tape.gradient(between, [v.value for v in variables[len(variables) - players :]]) if players else []

    model.train_step(((images), tf.constant(source_y)))
    for variable, start, gradient in zip(variables, before, expected, strict=True):
        np.testing.assert_allclose(start - np.asarray(variable), gradient, atol=2e-5)
    assert int(model.step) == 4


def test_the_schedule_is_that_of_the_paper():
    progress = np.linspace(0, 1, 5)
    np.testing.assert_allclose(adaptation_schedule(progress), 2 / (1 + np.exp(-10 * progress)) - 1, rtol=1e-5)
    assert float(adaptation_schedule(7)) == float(adaptation_schedule(1))


def test_each_domain_is_normalised_by_itself():
    """The averages move towards the source's statistics, then towards the target's; the mixture's variance is 1."""
    normalization = keras.layers.BatchNormalization(momentum=0.5)
    model = adaptation("coral", keras.Sequential([keras.Input((2,)), normalization]))
    source, target = np.zeros((4, 2), "float32"), np.full((4, 2), 2.0, "float32")
    model.fit((source, [0, 1, 2, 0]), target, batch_size=4, epochs=1, verbose=0)
    np.testing.assert_allclose(normalization.moving_mean, [1.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(normalization.moving_variance, [0.25, 0.25], atol=1e-6)


def test_an_augmentation_acts_on_both_domains_in_training_alone(tmp_path):
    # In the dark, both domains look the same, and no class can be told.
    model = adaptation("mmd", augmentation=keras.layers.Rescaling(0.0))
    history = model.fit(domain("source"), domain("target")[0], batch_size=32, epochs=1, verbose=0).history
    np.testing.assert_allclose(history["domain_loss"], 0.0, atol=1e-6)
    assert history["accuracy"][0] < 0.5
    images = domain("source")[0]
    assert np.ptp(model.predict(images, verbose=0), axis=0).max() > 0.01
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").augmentation.scale == 0.0


def test_regularizers_of_the_backbone_count():
    regularizer = keras.regularizers.L2(0.5)
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, kernel_regularizer=regularizer)])
    model = adaptation("source_only", network)
    penalty = 0.5 * float(tf.reduce_sum(network.layers[0].kernel.value ** 2))
    x, y = np.zeros((3, 2), "float32"), np.arange(3)
    logs = model.fit((x, y), batch_size=3, epochs=1, verbose=0).history
    np.testing.assert_allclose(logs["loss"][0], np.log(3) + penalty, rtol=1e-5)


# === Batches ===


def read(batches, count):
    return [[np.asarray(part) for part in (*images, labels)] for images, labels in batches.take(count)]


def test_each_pass_has_every_example_once_in_an_order_of_its_own():
    x, target = np.arange(12.0, dtype="float32")[:, None], 100 + np.arange(8.0, dtype="float32")[:, None]
    batches = read(domain_batches(x, np.arange(12, dtype="int32"), target, 4, seed=1), 6)
    for source_x, _, labels in batches:
        np.testing.assert_array_equal(source_x[:, 0], labels)
    sources = np.concatenate([batch[0][:, 0] for batch in batches]).reshape(2, 12)
    targets = np.concatenate([batch[1][:, 0] for batch in batches]).reshape(3, 8)
    np.testing.assert_array_equal(np.sort(sources, axis=1), np.tile(np.arange(12), (2, 1)))
    np.testing.assert_array_equal(np.sort(targets, axis=1), np.tile(100 + np.arange(8), (3, 1)))
    assert len(np.unique(sources, axis=0)) == 2 and len(np.unique(targets, axis=0)) == 3


def test_a_batch_depends_on_the_seed_and_the_step_alone():
    x, y = np.arange(10.0, dtype="float32")[:, None], np.arange(10, dtype="int32")
    whole = read(domain_batches(x, y, None, 4, seed=1), 5)
    later = read(domain_batches(x, y, None, 4, seed=1, first_step=3), 2)
    other = read(domain_batches(x, y, None, 4, seed=2), 5)
    np.testing.assert_array_equal([batch[1] for batch in whole[3:]], [batch[1] for batch in later])
    assert np.any(np.not_equal([batch[1] for batch in whole], [batch[1] for batch in other]))


def test_a_batch_may_be_larger_than_a_domain():
    x, target = np.zeros((6, 1), "float32"), np.arange(2.0, dtype="float32")[:, None]
    ((_, target_x, _),) = read(domain_batches(x, np.zeros(6, "int32"), target, 6, seed=0), 1)
    np.testing.assert_array_equal(np.bincount(target_x[:, 0].astype(int)), [3, 3])


# === An ordinary Keras model ===


@pytest.mark.rows(default=["source_only"])
@pytest.mark.parametrize("method", METHODS)
def test_the_logs_say_what_is_trained(method):
    logs = (
        adaptation(method)
        .fit(domain("source"), domain("target")[0], epochs=2, validation_data=domain("target", 30), verbose=0)
        .history
    )
    expected = {"loss", "accuracy", "val_loss", "val_accuracy"}
    expected |= {"cross_entropy", "domain_loss"} if method != "source_only" else set()
    expected |= {"domain_accuracy"} if method == "dann" else set()
    assert set(logs) == expected
    assert all(np.isfinite(values).all() and len(values) == 2 for values in logs.values())
    assert logs["accuracy"][1] > logs["accuracy"][0]


@pytest.mark.full
def test_an_epoch_is_a_pass_over_the_larger_domain():
    model = adaptation("mmd")
    model.fit(domain("source", 30), domain("target", 65)[0], batch_size=16, epochs=2, verbose=0)
    assert int(model.step) == int(model.training_steps) == 2 * 5
    model.fit(domain("source", 30), domain("target", 65)[0], epochs=1, steps_per_epoch=3, verbose=0)
    assert int(model.step) == 13


def test_predictions_are_probabilities_and_evaluation_is_of_them():
    model, (x, y) = adaptation(), domain("target", 50)
    probabilities = model.predict(x, verbose=0)
    assert probabilities.shape == (50, CLASSES) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(probabilities, model.predict(x.astype("float32") / 255.0, verbose=0), atol=1e-6)
    loss, accuracy = model.evaluate(x, y, batch_size=16, verbose=0)
    np.testing.assert_allclose(loss, -np.log(probabilities[np.arange(50), y]).mean(), rtol=1e-4)
    np.testing.assert_allclose(accuracy, (probabilities.argmax(axis=1) == y).mean(), rtol=1e-6)
    np.testing.assert_allclose(model.classifier(x / 255.0), probabilities, atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("method", ["dann", "mmd"])
def test_a_saved_training_goes_on_as_if_it_had_never_stopped(method, tmp_path):
    source, (target_x, _) = domain("source", 60), domain("target", 80)

    def new():
        return adaptation(method, backbone(normalized=True), seed=3)

    whole = new()
    whole.fit(source, target_x, batch_size=16, epochs=4, verbose=0)
    # The first half of the same four epochs.
    stopped = new()
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(stopped, "stop_training", epoch == 1)
    )
    stopped.fit(source, target_x, batch_size=16, epochs=4, callbacks=[stop], verbose=0)
    stopped.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    np.testing.assert_array_equal(loaded.predict(target_x, verbose=0), stopped.predict(target_x, verbose=0))
    loaded.fit(source, target_x, batch_size=16, epochs=4, initial_epoch=2, verbose=0)
    assert int(loaded.step) == 20
    np.testing.assert_allclose(
        loaded.predict(target_x, verbose=0), whole.predict(target_x, verbose=0), rtol=1e-4, atol=1e-6
    )


def test_a_file_has_the_options(tmp_path):
    discriminator = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    dann = adaptation(weight=0.3, discriminator=discriminator, image_range=(-1.0, 1.0), seed=4)
    mmd = adaptation("mmd", bandwidths=(0.5, 2.0))
    for name, model in {"dann": dann, "mmd": mmd}.items():
        model.save(tmp_path / f"{name}.keras")
        loaded = keras.models.load_model(tmp_path / f"{name}.keras")
        x = domain("target", 9)[0]
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
        assert (loaded.method, loaded.weight, loaded.image_range) == (model.method, model.weight, model.image_range)
        assert loaded.bandwidths is None or tuple(loaded.bandwidths) == (0.5, 2.0)
    assert len(keras.models.load_model(tmp_path / "dann.keras").discriminator.layers) == 1


@pytest.mark.full
def test_the_seed_decides():
    def predictions(seed):
        model = adaptation("dann", seed=seed)
        model.fit(domain("source", 30), domain("target", 30)[0], batch_size=8, epochs=1, verbose=0)
        return model.predict(domain("target", 30)[0], verbose=0)

    one = predictions(1)
    np.testing.assert_allclose(predictions(1), one, atol=1e-6)
    assert np.abs(predictions(2) - one).max() > 1e-3


@pytest.mark.rows(default=[], full=["coral-mixed_bfloat16", "dann-mixed_float16", "source_only-mixed_float16"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("method", METHODS)
def test_mixed_precision(policy, method):
    keras.mixed_precision.set_global_policy(policy)
    model = adaptation(method, backbone(normalized=True))
    logs = model.fit(domain("source"), domain("target")[0], batch_size=32, epochs=6, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    assert logs["accuracy"][-1] > 0.7
    assert all(variable.dtype == "float32" for variable in model.trainable_variables)
    assert model.predict(domain("target", 5)[0], verbose=0).dtype == np.float32
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")


@pytest.mark.full
def test_texts_adapt_too():
    texts, labels = np.asarray(["a fine day", "a cold night", "rain again"] * 4), np.arange(12) % 3
    network = mtf.networks.bag_of_words(texts.tolist())
    model = adaptation("mmd", network)
    model.fit((texts, labels), np.asarray(["fine rain", "cold rain"]), batch_size=4, epochs=1, verbose=0)
    assert model.predict(texts, verbose=0).shape == (12, 3)
    assert model.evaluate(texts, labels, verbose=0)[1] <= 1.0


@pytest.mark.full
def test_its_export_is_its_classifier(tmp_path):
    model, (x, _) = adaptation(image_range=(-1.0, 1.0)), domain("target", 6)
    model.export(tmp_path / "1", class_names=["a", "b", "c"], warm_up=False)
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["predict"]
    answer = served(tf.constant(x / 127.5 - 1.0, tf.float32))
    np.testing.assert_allclose(answer["probabilities"], model.predict(x, verbose=0), atol=1e-5)
    assert (tmp_path / "1/assets/class_names.txt").read_text() == "a\nb\nc\n"


# === Refusals ===


@pytest.mark.parametrize(
    "options, message",
    [
        ({"classes": 1}, "`classes` must be an integer of at least 2. Received: classes=1"),
        ({"method": "adda"}, r"`method` must be one of \('dann', .*Received: 'adda'"),
        ({"weight": 0}, "`weight` must be a positive number"),
        ({"weight": "much"}, "`weight` must be a positive number"),
        ({"weight": 1.0, "method": "source_only"}, "`weight` has no effect"),
        ({"bandwidths": (1.0,)}, '`bandwidths` need `method="mmd"`'),
        ({"bandwidths": (-1.0,), "method": "mmd"}, "`bandwidths` must be one or more positive numbers"),
        ({"discriminator": backbone(features=1)}, r"`discriminator` must be .* from features \(n, 8\)"),
        ({"discriminator": backbone(), "method": "mmd"}, '`discriminator` needs `method="dann"`'),
        ({"seed": None}, "`seed` must be an integer"),
        ({"backbone": keras.Sequential([keras.layers.Dense(3)])}, "`backbone` must be built"),
    ],
)
def test_other_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mtf.transfer.DomainAdaptation(**{"backbone": backbone(), "classes": CLASSES, **options})


def refused_data():
    (x, y), (target, _) = domain("source", 30), domain("target", 30)
    floats = x / np.float32(255.0)
    return {
        "no pair": (x, target, "`source` must be `.source_x, source_y.`"),
        "no target": ((x, y), None, "`target_x` is needed"),
        "labels of another length": ((x, y[:-1]), target, "one label for each example. Received: 29 for 30"),
        "floating labels": ((x, y.astype("float32")), target, "`source_y` must be integers"),
        "labels out of range": ((x, y + 1), target, r"class numbers in \[0, 3\).*from 1 to 3"),
        "one class": ((x, 0 * y), target, "`source_y` must be of at least 2 classes"),
        "a class without example": (
            (x, 2 * (y // 2)),
            target,
            r"each of the classes 0 to 2.*no example of the classes \[1\]",
        ),
        "a target of another shape": ((x, y), target[:, :2], r"`target_x` must have the shape \(n, 4, 4, 1\)"),
        "a target of another range": (
            (floats, y),
            255.0 * floats,
            r"`target_x` must be in \[0, 1\].*Received: values from 0 to 2",
        ),
        "NaN": ((np.where(floats > 0.5, np.nan, floats), y), target, "`source_x` must be finite.*NaN"),
        "an empty target": ((x, y), target[:0], "`target_x` must hold at least one"),
    }


@pytest.mark.parametrize("kind", list(refused_data()))
def test_data_that_does_not_fit_is_refused(kind):
    source, target, message = refused_data()[kind]
    model = adaptation("coral")
    with pytest.raises(ValueError, match=message):
        model.fit(source, target)
    assert int(model.step) == 0


def test_other_sizes_and_labels_are_refused():
    model, source, target = adaptation("mmd"), domain("source", 30), domain("target", 30)
    positive = "a positive integer"
    for name, size, accepted in (
        ("batch_size", 1, "an integer of at least 2"),
        ("epochs", 0, positive),
        ("steps_per_epoch", 0, positive),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be {accepted}. Received: {name}={size}"):
            model.fit(source, target[0], **{name: size})
    with pytest.raises(ValueError, match=r"`y` must be class numbers in \[0, 3\)"):
        model.evaluate(target[0], target[1] + 1)
    with pytest.raises(ValueError, match=r"`x` must be in \[0, 1\]"):
        model.predict(target[0].astype("float32"))
    with pytest.raises(ValueError, match=r"`validation_data` must have the shape"):
        model.fit(source, target[0], validation_data=(target[0][:, :2], target[1]))
