"""GAN: the contract of a Keras model, for every kind of loss, penalty and network."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import LATENT, SHAPE, discriminator, generator

KINDS = {
    "plain": {},
    "batch normalisation": {"normalization": "batch"},
    "conditional": {"classes": 3, "loss": "least_squares"},
    "gradient penalty": {"loss": "wasserstein", "penalty": "gradient", "discriminator_steps": 2},
    "small data": {"loss": "hinge", "penalty": "r1", "augmentation": "color,cutout", "average_decay": 0.9},
    "feature matching": {"loss": "minimax", "feature_matching_weight": 1.0, "average_decay": None},
    "encoder": {"encoder": True, "reconstruction_weight": 1.0},
}


def make_gan(kind="plain", **options):
    options = {**KINDS[kind], **options}
    classes, normalization = options.pop("classes", None), options.pop("normalization", None)
    if options.pop("encoder", False):
        layers = [keras.layers.Flatten(), keras.layers.Dense(LATENT)]
        options["encoder"] = keras.Sequential([keras.Input(SHAPE), *layers])
    return mtf.gan.GAN(generator(classes, normalization), discriminator(classes), **options)


def data_of(gan, images):
    return (images, np.arange(len(images)) % 3) if gan.conditional else (images,)


# The others are variations of these, for the long gates.
ALWAYS = ("conditional", "gradient penalty")


@pytest.mark.full
@pytest.mark.parametrize("kind", [pytest.param(k, marks=[] if k in ALWAYS else pytest.mark.slow) for k in KINDS])
def test_it_trains_resumes_bit_for_bit_and_exports(kind, images, tmp_path):
    gan = make_gan(kind)
    gan.compile()
    before = [gan.generator.get_weights(), gan.discriminator.get_weights()]
    history = gan.fit(*data_of(gan, images), batch_size=10, epochs=2, verbose=0, shuffle=False).history
    assert np.isfinite([history["generator_loss"], history["discriminator_loss"]]).all()
    for network, weights in zip((gan.generator, gan.discriminator), before):
        assert any(np.any(old != new) for old, new in zip(weights, network.get_weights()))

    gan.save(tmp_path / "gan.keras")
    again = keras.models.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(gan.sample(5), again.sample(5))
    for one in (gan, again):
        one.fit(*data_of(gan, images), batch_size=10, verbose=0, shuffle=False)
    assert len(gan.get_weights()) == len(again.get_weights())
    for one, other in zip(gan.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(one, other)

    gan.export(tmp_path / "served/1")
    generate = tf.saved_model.load(str(tmp_path / "served/1")).signatures["generate"]
    first = {"labels": tf.constant([0, 1, 2, 0])} if gan.conditional else {"count": tf.constant(4)}
    served = generate(**first, seed=tf.constant(7))["images"].numpy()
    np.testing.assert_allclose(served, gan.sample(4, labels=first.get("labels"), seed=7), atol=1e-5)


def test_a_dataset_trains_as_arrays_do(images):
    one, other = make_gan(), make_gan()
    for gan in (one, other):
        gan.compile(run_eagerly=True)
        gan.set_weights(one.get_weights())
    one.fit(images, batch_size=10, shuffle=False, verbose=0)
    floats = images.astype("float32") / 127.5 - 1.0
    other.fit(tf.data.Dataset.from_tensor_slices(floats).batch(10), verbose=0)
    for weights in zip(one.get_weights(), other.get_weights()):
        np.testing.assert_allclose(*weights, rtol=1e-5, atol=1e-5)


@pytest.mark.full
def test_pairs_and_a_tuple_are_the_same_data(images):
    labels = np.arange(30) % 3
    histories = []
    for arguments in [(images, labels), ((images, labels),)]:
        keras.utils.set_random_seed(0)
        gan = make_gan("conditional")
        gan.compile(run_eagerly=True)
        histories.append(gan.fit(*arguments, batch_size=10, verbose=0, shuffle=False).history)
    assert histories[0] == histories[1]


@pytest.mark.full
def test_source_images_are_labels_of_a_paired_gan(images):
    noise, source = keras.Input((LATENT,)), keras.Input(SHAPE)
    field = keras.layers.Reshape(SHAPE)(keras.layers.Dense(64)(noise))
    made = keras.layers.Conv2D(1, 3, padding="same", activation="tanh")(keras.layers.Concatenate()([field, source]))
    seen = keras.Input(SHAPE)
    both = keras.layers.Flatten()(keras.layers.Concatenate()([seen, source]))
    judge = keras.Model([seen, source], keras.layers.Dense(1)(both))
    gan = mtf.gan.GAN(keras.Model([noise, source], made), judge, reconstruction_weight=10.0)
    gan.compile(keras.optimizers.Adam(1e-2))
    history = gan.fit(images, images, batch_size=10, epochs=15, verbose=0).history
    assert history["generator_loss"][-1] < 0.7 * history["generator_loss"][0]
    floats = images[:4].astype("float32") / 127.5 - 1.0
    assert gan.sample(4, labels=floats).shape == (4, *SHAPE)
    with pytest.raises(ValueError, match="`labels` are needed"):
        gan.sample(4)


def test_samples_are_seeded_in_range_and_of_each_class_in_turn():
    gan = make_gan("conditional")
    samples = gan.sample(300, seed=1)
    np.testing.assert_array_equal(samples, gan.sample(300, seed=1))
    assert np.any(samples != gan.sample(300, seed=2)) and np.abs(samples).max() <= 1.0
    np.testing.assert_allclose(samples[:7], gan.sample(300, np.arange(300) % 3, seed=1)[:7], atol=1e-6)


@pytest.mark.full
def test_a_conditional_generator_obeys_its_label():
    """Class 0 is black and class 1 white: what is generated for a label is of its brightness."""
    networks = mtf.networks.dcgan(
        (16, 16, 1), latent_dim=LATENT, classes=2, filters=4, discriminator_normalization=None
    )
    gan = mtf.gan.GAN(*networks, average_decay=None)
    gan.compile(*(keras.optimizers.Adam(2e-3, beta_1=0.5) for _ in range(2)))
    labels = np.arange(64) % 2
    images = np.broadcast_to(1.6 * labels[:, None, None, None] - 0.8, (64, 16, 16, 1)).astype("float32")
    gan.fit(images, labels, batch_size=32, epochs=40, verbose=0)
    brightness = gan.sample(40).mean(axis=(1, 2, 3))
    assert brightness[1::2].min() > brightness[::2].max() + 0.5


@pytest.mark.full
def test_the_average_follows_the_generator_by_the_stated_decay(images):
    gan = make_gan(average_decay=0.5)
    start = gan.generator.get_weights()
    gan.compile()
    gan.fit(images, batch_size=30, verbose=0)
    decay = 2 / 11  # the smaller one of 0.5 and (1 + 1) / (10 + 1)
    for old, new, average in zip(start, gan.generator.get_weights(), gan.averaged_generator.get_weights()):
        np.testing.assert_allclose(average, decay * old + (1 - decay) * new, atol=1e-6)


def test_the_discriminator_takes_its_steps(images):
    gan = make_gan(discriminator_steps=3)
    gan.compile(run_eagerly=True)
    gan.fit(images, batch_size=10, verbose=0)
    assert int(gan.discriminator_optimizer.iterations) == 9 and int(gan.generator_optimizer.iterations) == 3


def test_evaluate_changes_nothing(images):
    gan = make_gan("batch normalisation")
    gan.compile(run_eagerly=True)
    before = gan.get_weights()
    results = [gan.evaluate(images, batch_size=10, verbose=0, return_dict=True) for _ in range(2)]
    assert results[0] == results[1] and np.isfinite(results[0]["generator_loss"])
    for old, new in zip(before, gan.get_weights()):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy, images, request):
    keras.mixed_precision.set_global_policy(policy)
    request.addfinalizer(lambda: keras.mixed_precision.set_global_policy("float32"))
    gan = make_gan(penalty="r1")
    gan.compile(run_eagerly=True)
    history = gan.fit(images, batch_size=30, verbose=0).history
    assert np.isfinite(history["generator_loss"]).all() and gan.sample(2).dtype == np.float32


class Scores(keras.callbacks.Callback):
    """Adds a score to each epoch's logs, and keeps the weights."""

    def __init__(self, scores):
        super().__init__()
        self.scores, self.weights = scores, []

    def on_epoch_end(self, epoch, logs):
        logs["score"] = self.scores[epoch]
        self.weights.append(self.model.get_weights())


@pytest.mark.rows(default=["min-1"])
@pytest.mark.parametrize(("mode", "best"), [("min", 1), ("max", 0)])
def test_training_ends_with_the_best_epoch(mode, best, images):
    gan, scores = make_gan(), Scores([3.0, 1.0, 2.0])
    gan.compile(monitor="score", mode=mode, run_eagerly=True)
    history = gan.fit(images, batch_size=30, epochs=3, verbose=0, callbacks=[scores]).history
    assert history["score"] == [3.0, 1.0, 2.0] and int(gan.generator_optimizer.iterations) == best + 1
    for one, other in zip(gan.get_weights(), scores.weights[best]):
        np.testing.assert_array_equal(one, other)


def test_a_score_that_no_one_makes_is_named(images):
    gan = make_gan()
    gan.compile(monitor="kid")
    with pytest.raises(ValueError, match="`monitor` must be among the logs"):
        gan.fit(images, batch_size=30, verbose=0)


class Diverge(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            self.model.generator_optimizer.learning_rate = 1e38


def test_divergence_says_when_and_keeps_what_was_good(images):
    gan, scores = make_gan(), Scores([1.0, 1.0])
    gan.compile(generator_optimizer=keras.optimizers.SGD(1e-3), run_eagerly=True)
    with pytest.raises(FloatingPointError, match=r"diverged at step \d+; .* those of epoch 1"):
        gan.fit(images, batch_size=10, epochs=5, verbose=0, callbacks=[scores, Diverge()])
    for one, other in zip(gan.get_weights(), scores.weights[0]):
        np.testing.assert_array_equal(one, other)


# === Bad input ===


@pytest.mark.rows(
    default=[
        "True-<lambda>-must be uint8, or floating",
        "True-<lambda>-must be finite",
        "True-<lambda>-must be in \\\\[-1, 1\\\\]; uint8 images.*0 to 255",
        "False-<lambda>-must be finite",
    ]
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.astype("float32"), r"must be in \[-1, 1\]; uint8 images.*0 to 255"),
        (lambda x: x[..., 0], "must have the shape"),
        (lambda x: np.concatenate([x, x], axis=1), "must have the shape"),
        (lambda x: x[:0], "at least one example"),
        (lambda x: np.full(x.shape, np.nan, "float32"), "must be finite"),
        (lambda x: x.astype("int64"), "must be uint8, or floating"),
    ],
)
@pytest.mark.parametrize("as_dataset", [False, True])
def test_bad_images_are_refused(change, message, as_dataset, images):
    gan = make_gan()
    gan.compile()
    x = change(images)
    if as_dataset:
        x = tf.data.Dataset.from_tensors(x)
    with pytest.raises(ValueError, match=message):
        gan.fit(x, verbose=0)


def test_labels_must_be_those_that_the_networks_take(images):
    labels = np.arange(30) % 3
    plain, conditional = make_gan(), make_gan("conditional")
    for gan in (plain, conditional):
        gan.compile()
    with pytest.raises(ValueError, match="the networks take no labels"):
        plain.fit(images, labels)
    with pytest.raises(ValueError, match="`labels` are needed"):
        conditional.fit(images)
    with pytest.raises(ValueError, match=r"in \[0, 3\)"):
        conditional.fit(images, labels + 1)
    with pytest.raises(ValueError, match="must be integers"):
        conditional.fit(images, labels.astype("float32"))
    with pytest.raises(ValueError, match="must have the shape"):
        conditional.sample(4, labels=[0, 1])
    with pytest.raises(ValueError, match="`n` must be a positive integer"):
        plain.sample(0)


def other_discriminator(shape=(6, 6, 1), outputs=1):
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Dense(outputs)(keras.layers.Flatten()(inputs)))


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (lambda: ("dcgan", discriminator()), "`generator` must be a built"),
        (lambda: (generator(), keras.Sequential([keras.layers.Dense(1)])), "`discriminator` must be a built"),
        (lambda: (generator(), other_discriminator()), r"images of the shape \(8, 8, 1\)"),
        (lambda: (generator(), other_discriminator(SHAPE, 2)), r"logits \(n, 1\)"),
        (lambda: (generator(3), discriminator()), "both take labels"),
        (lambda: (discriminator(), discriminator()), "must take noise"),
    ],
)
def test_networks_that_do_not_meet_are_refused(networks, message):
    with pytest.raises(ValueError, match=message):
        mtf.gan.GAN(*networks())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "cross"}, "`loss`"),
        ({"penalty": "l2"}, "`penalty`"),
        ({"penalty_weight": 1.0}, "needs a `penalty`"),
        ({"discriminator_steps": 0}, "`discriminator_steps`"),
        ({"average_decay": 1.0}, "`average_decay`"),
        ({"augmentation": "blur"}, "blur"),
        ({"reconstruction_weight": 1.0}, "needs an `encoder`"),
        ({"feature_matching_weight": -1.0}, "must be a number of at least 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_gan(**options)


def test_a_penalty_refuses_batch_normalisation_in_the_discriminator():
    networks = mtf.networks.dcgan((16, 16, 1), filters=2)
    with pytest.raises(ValueError, match="without batch normalisation"):
        mtf.gan.GAN(*networks, penalty="r1")
