"""Scores of images: what the feature network is given, what is refused, and scores in the logs of `fit`."""

import math

from metalearn_tf.evaluation import (
    GenerativeScores,
    fid,
    fid_of_features,
    generated_accuracy,
    generative_report,
    image_features,
    kid,
    kid_of_features,
    precision_and_recall,
    precision_and_recall_of_features,
)

import keras
import numpy as np
import pytest
import tensorflow as tf

SHAPE = (4, 4, 1)


@pytest.fixture
def network():
    """The mean of each row of an image."""
    inputs = keras.Input(SHAPE)
    outputs = keras.layers.Reshape((4,))(keras.layers.AveragePooling2D((1, 4))(inputs))
    return keras.Model(inputs, outputs, name="row_means")


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(-1, 1, (2, 40, *SHAPE)).astype("float32")


def test_features_are_those_of_all_images_in_their_order(network, images):
    features = image_features(images[0], network, batch_size=16)
    np.testing.assert_allclose(features, images[0].mean(axis=2)[..., 0], atol=1e-6)
    assert features.dtype == np.float32


def test_networks_run_in_inference(images):
    inputs = keras.Input(SHAPE)
    dropped = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Dropout(0.9)(inputs)))
    np.testing.assert_array_equal(image_features(images[0], dropped), images[0].reshape(40, -1))


def test_bytes_and_tensors_are_images_too(network):
    pixels = np.random.default_rng(0).integers(0, 256, (10, *SHAPE), "uint8")
    floats = pixels / 127.5 - 1
    expected = image_features(floats, network)
    np.testing.assert_allclose(image_features(pixels, network), expected, atol=1e-6)
    np.testing.assert_allclose(image_features(tf.constant(floats, tf.bfloat16), network), expected, atol=5e-3)


def test_scores_of_images_are_those_of_their_features(network, images):
    real, generated = images
    features = [image_features(x, network) for x in images]
    assert fid(real, generated, network, batch_size=7) == pytest.approx(fid_of_features(*features), rel=1e-5)
    expected = kid_of_features(*features, subsets=5, subset_size=9, seed=2)
    found = kid(real, generated, network, subsets=5, subset_size=9, seed=2)
    assert (found.value, found.subset_size) == (pytest.approx(expected.value, rel=1e-5), 9)
    assert precision_and_recall(real, generated, network, 5) == precision_and_recall_of_features(*features, 5)


def test_the_report_holds_every_score_from_one_pass(network, images):
    calls = []

    def counting(batch, training):
        calls.append(len(batch))
        return network(batch, training=training)

    report = generative_report(*images, network, seed=3)
    assert generative_report(*images, counting, seed=3).fid == report.fid
    assert calls == [40, 40]
    assert report.fid == fid(*images, network)
    expected = kid(*images, network, seed=3)
    assert (report.kid, report.kid_spread) == (expected.value, expected.standard_deviation)
    assert (report.precision, report.recall) == precision_and_recall(*images, network)
    assert (report.real_images, report.generated_images, report.seed) == (40, 40, 3)
    assert "40 generated against 40 real images, row_means, seed 3" in str(report)


@pytest.mark.parametrize("score", [fid, kid, precision_and_recall, generative_report])
def test_images_that_cannot_be_compared_are_refused_before_any_work(score, images):
    def network(batch, training):
        raise AssertionError("the network was called")

    real, generated = images
    with pytest.raises(ValueError, match="`generated` must hold at least 2 images. Received: 1"):
        score(real, generated[:1], network)
    with pytest.raises(ValueError, match=r"`real` must have shape \(images, height, .*\(40, 4, 4\)"):
        score(real[..., 0], generated, network)
    with pytest.raises(ValueError, match=r"images of the same shape.*\(4, 4, 1\) and \(3, 4, 1\)"):
        score(real, generated[:, 1:], network)
    with pytest.raises(ValueError, match=r"`real` must be in \[-1, 1\]; uint8 images.*255"):
        score(np.full((3, *SHAPE), 255.0), generated, network)
    with pytest.raises(ValueError, match="`generated` must be finite.*NaN"):
        score(real, np.where(generated == generated.max(), np.nan, generated), network)
    with pytest.raises(ValueError, match=r"`real` must be uint8, or floating in \[-1, 1\].*int64"):
        score(np.zeros((3, *SHAPE), "int64"), generated, network)


def test_networks_that_do_not_fit_are_refused(network, images):
    with pytest.raises(ValueError, match=r"`feature_network` takes images of shape \(4, 4, 1\).*\(4, 4, 3\)"):
        fid(*np.repeat(images, 3, axis=-1), network)
    with pytest.raises(ValueError, match=r"`features` must be numbers of shape \(n, d\).*\(40, 4, 4, 1\)"):
        fid(*images, lambda batch, training: batch)
    with pytest.raises(ValueError, match="`features` must be finite"):
        fid(*images, lambda batch, training: tf.math.log(network(batch)))
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer. Received: batch_size=0"):
        fid(*images, network, batch_size=0)


def test_generated_accuracy_is_the_share_of_labels_that_the_classifier_agrees_with(network):
    images = np.full((5, *SHAPE), -1.0)
    for image, row in zip(images, [0, 1, 2, 3, 3]):
        image[row] = 1.0
    assert generated_accuracy(images, [0, 1, 2, 3, 0], network) == 0.8
    assert generated_accuracy(images, [1, 0, 3, 2, 2], network, batch_size=2) == 0.0
    of_probabilities = keras.Model(network.input, keras.layers.Softmax()(network.output))
    assert generated_accuracy(images, [0, 1, 2, 3, 0], of_probabilities) == 0.8


def test_labels_that_do_not_fit_are_refused(network, images):
    with pytest.raises(ValueError, match=r"one integer for each image.*shape \(3,\).*40 images"):
        generated_accuracy(images[0], [0, 1, 2], network)
    with pytest.raises(ValueError, match="dtype float64"):
        generated_accuracy(images[0], np.zeros(40), network)
    with pytest.raises(ValueError, match=r"\[0, classes\).*from 0 to 4 and outputs of shape \(40, 4\)"):
        generated_accuracy(images[0], np.arange(40) % 5, network)
    with pytest.raises(ValueError, match="`classifier` takes images"):
        generated_accuracy(images[0][:, 1:], np.zeros(40, int), network)


class Sampler(keras.Model):
    """Stands in for a GAN: after `n` epochs its samples are noise around `level / n`."""

    def __init__(self):
        super().__init__()
        self.level = self.add_weight(shape=(), initializer="ones")
        self.labels = []

    def train_step(self, data):
        self.level.assign(self.level * 0.5)
        return {"loss": self.level * 1.0}

    def sample(self, count, labels=None, seed=0):
        self.labels.append(labels)
        noise = tf.random.stateless_uniform((count, *SHAPE), [seed, 0], -0.2, 0.2)
        return noise + 0.8 * self.level


def fit(callbacks, epochs):
    sampler = Sampler()
    sampler.compile(jit_compile=False)
    data = tf.data.Dataset.from_tensors(tf.zeros((2, 1)))
    return sampler, sampler.fit(data, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks)


@pytest.fixture
def real_images():
    return np.random.default_rng(1).uniform(-0.2, 0.2, (60, *SHAPE))


def test_scores_come_into_the_history(network, real_images):
    sampler, history = fit([GenerativeScores(real_images, network, count=30, seed=5)], 3)
    assert history.history["fid"][0] > history.history["fid"][1] > history.history["fid"][2]
    expected = fid(real_images, sampler.sample(30, seed=5), network)
    assert history.history["fid"][-1] == pytest.approx(expected, rel=1e-5)
    expected = kid(real_images, sampler.sample(30, seed=5), network, seed=5)
    assert history.history["kid"][-1] == pytest.approx(expected.value, rel=1e-5)
    assert history.history["kid_spread"][-1] == pytest.approx(expected.standard_deviation, rel=1e-4)


def test_callbacks_after_it_see_the_scores(network, real_images):
    seen = []
    watching = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["kid"]))
    labels = np.arange(30) % 3
    sampler, history = fit([GenerativeScores(real_images, network, count=30, labels=labels), watching], 2)
    assert seen == history.history["kid"]
    assert all(given is labels for given in sampler.labels)


def test_every_few_epochs_the_first_and_the_last(network, real_images):
    stopping = keras.callbacks.EarlyStopping(monitor="fid", mode="min", patience=3)
    sampler, history = fit([GenerativeScores(real_images, network, count=10, every=3), stopping], 8)
    values = history.history["fid"]
    assert [math.isnan(value) for value in values] == [False, True, False, True, True, False, True, False]
    assert len(sampler.labels) == 4
    assert (stopping.best, stopping.best_epoch) == (min(value for value in values if value == value), 7)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"count": 1}, "`count` must be an integer of at least 2. Received: count=1"),
        ({"every": 0}, "`every` must be a positive integer. Received: every=0"),
        ({"count": 4, "labels": [0, 1]}, r"`labels` must have shape \(4,\). Received: shape \(2,\)"),
    ],
)
def test_bad_arguments_are_refused(network, real_images, options, message):
    with pytest.raises(ValueError, match=message):
        GenerativeScores(real_images, network, **options)
    with pytest.raises(ValueError, match="`real_images` must hold at least 2 images"):
        GenerativeScores(real_images[:1], network)
