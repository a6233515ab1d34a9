"""The networks that ship with the library, and training one's own."""

import functools
import random
from importlib import resources

import metalearn_tf as mtf
from metalearn_tf.evaluation import (
    feature_classifier,
    feature_network,
    fid,
    generated_accuracy,
    generative_report,
    inception_features,
    train_feature_classifier,
)
from metalearn_tf.evaluation.feature_networks import build_classifier

import keras
import numpy as np
import pytest

SHAPES = {
    "mnist": ((28, 28, 1), 10, 64),
    "fashion_mnist": ((28, 28, 1), 10, 64),
    "omniglot": ((28, 28, 1), 964, 64),
    "cifar10": ((32, 32, 3), 10, 128),
}
load = functools.cache(mtf.data.load)
WEIGHTS = resources.files("metalearn_tf.evaluation").joinpath("weights")


@pytest.mark.parametrize("name", SHAPES)
def test_shipped_networks_have_their_shapes(name):
    image_shape, classes, features = SHAPES[name]
    images = np.random.default_rng(0).uniform(-1, 1, (2, *image_shape)).astype("float32")
    classifier, network = feature_classifier(name), feature_network(name)
    probabilities, embedded = np.asarray(classifier(images)), np.asarray(network(images))
    assert probabilities.shape == (2, classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    assert embedded.shape == (2, features) and embedded.min() >= 0
    head = classifier.get_layer("probabilities")
    np.testing.assert_allclose(keras.ops.softmax(embedded @ head.kernel + head.bias), probabilities, atol=1e-5)
    assert not network.trainable_variables


def test_shipped_networks_are_small_and_described():
    card = WEIGHTS.joinpath("README.md").read_text(encoding="utf-8")
    for name in SHAPES:
        assert len(WEIGHTS.joinpath(f"{name}.weights.h5").read_bytes()) < 500_000
        assert f"| `{name}` |" in card


def test_shipped_networks_compute_in_float32_under_any_policy():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 28, 28, 1)).astype("float32")
    expected = np.asarray(feature_network("mnist")(images))
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    np.testing.assert_array_equal(np.asarray(feature_network("mnist")(images)), expected)


@pytest.mark.rows(default=["mnist-0.99"])
@pytest.mark.parametrize("name, accuracy", [("mnist", 0.99), ("fashion_mnist", 0.9), ("cifar10", 0.75)])
def test_shipped_classifiers_know_the_test_images(name, accuracy, tfds_data_dir):
    test = load(name, "test", tfds_data_dir)
    rows = np.random.default_rng(0).permutation(len(test))[:1000]
    found = generated_accuracy(test.examples[rows], test.labels[rows], feature_classifier(name))
    # Three standard errors of a share of 1,000 images.
    assert found > accuracy - 3 * np.sqrt(accuracy * (1 - accuracy) / 1000)


@pytest.mark.full
def test_the_classifier_of_omniglot_knows_its_characters(tfds_data_dir):
    parts = [load("omniglot", split, tfds_data_dir, protocol="lake") for split in ("train", "validation")]
    _, held_back = parts[0].merge(parts[1]).split_examples([0.8, 0.2], seed=0)
    rows = np.random.default_rng(0).permutation(len(held_back))[:1000]
    found = generated_accuracy(held_back.examples[rows], held_back.labels[rows], feature_classifier("omniglot"))
    assert found > 0.75


def test_scores_tell_real_digits_from_damaged_ones(tfds_data_dir):
    test = load("mnist", "test", tfds_data_dir)
    images = test.examples[np.random.default_rng(0).permutation(len(test))[:900]] / 127.5 - 1
    real, other, third = np.split(images, 3)
    noise = np.random.default_rng(1).normal(0, 0.4, third.shape)
    network = feature_network("mnist")
    good = generative_report(real, other, network)
    noisy = generative_report(real, np.clip(third + noise, -1, 1), network)
    assert noisy.fid > 2 * good.fid
    assert abs(good.kid) < 3 * good.kid_spread < noisy.kid
    assert noisy.precision < good.precision
    # One image over and over: as precise as can be, with hardly any recall.
    collapsed = generative_report(real, np.repeat(real[:1], 300, axis=0), network)
    assert collapsed.precision == 1.0 and collapsed.recall < 0.1 < good.recall


@pytest.mark.parametrize("function", [feature_network, feature_classifier])
@pytest.mark.parametrize("name", ["imagenet", None])
def test_unknown_names_list_the_known_ones(function, name):
    with pytest.raises(ValueError, match="'cifar10', 'fashion_mnist', 'mnist', 'omniglot'.*train_feature_classifier"):
        function(name)


def train(toy_dataset):
    return train_feature_classifier(toy_dataset.split_examples([0.75, 0.25])[0], epochs=12, features=16)


@pytest.fixture(scope="module")
def trained(toy_dataset):
    return train(toy_dataset)


@pytest.mark.full
def test_a_classifier_of_ones_own_data_learns_it(toy_dataset, trained):
    train, test = toy_dataset.split_examples([0.75, 0.25])
    assert trained.output_shape == (None, 12)
    assert generated_accuracy(test.examples, test.labels, trained) > 0.9
    network = keras.Model(trained.input, trained.get_layer("features").output)
    assert network.output_shape == (None, 16)
    assert fid(train.examples, test.examples, network) < fid(train.examples, 255 - test.examples, network)


@pytest.mark.full
def test_training_repeats_with_its_seed(toy_dataset, trained):
    images = toy_dataset.examples[::8] / np.float32(127.5) - 1
    np.testing.assert_allclose(train(toy_dataset)(images), trained(images), atol=1e-3)
    kernels = [build_classifier((8, 8, 1), 2, seed=seed).get_layer("convolution_1").kernel.numpy() for seed in (0, 1)]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1


@pytest.mark.full
def test_augmentation_sees_images_in_their_range(toy_dataset):
    class Recorded(keras.layers.Layer):
        """Every image in black."""

        def call(self, images, training=None):
            assert training and images.dtype == "float32"
            return keras.ops.zeros_like(images) - 1.0

    classifier = train_feature_classifier(toy_dataset, epochs=1, augmentation=Recorded())
    # Nothing to learn from: the normalisation has seen the same pixels everywhere.
    assert np.asarray(classifier.get_layer("normalization_1").moving_variance).max() < 1.0
    assert generated_accuracy(toy_dataset.examples, toy_dataset.labels, classifier) < 0.3


def test_datasets_that_cannot_be_learnt_are_refused(toy_dataset):
    with pytest.raises(TypeError, match="`dataset` must be a ClassDataset. Received: ndarray"):
        train_feature_classifier(toy_dataset.examples)
    with pytest.raises(ValueError, match=r"`dataset` must hold images.*shape \(16,\)"):
        train_feature_classifier(mtf.data.ClassDataset(np.zeros((4, 16)), [0, 0, 1, 1]))
    with pytest.raises(ValueError, match=r"`dataset` must be in \[-1, 1\].*to 9"):
        train_feature_classifier(mtf.data.ClassDataset(np.full((4, 8, 8, 1), 9.0), [0, 0, 1, 1]))
    with pytest.raises(ValueError, match="`dataset` must have at least 2 classes. Received: 1"):
        train_feature_classifier(toy_dataset.select([0]))
    with pytest.raises(ValueError, match="must be at least 8 pixels a side. Received: "):
        train_feature_classifier(mtf.data.ClassDataset(np.zeros((4, 7, 7, 1)), [0, 0, 1, 1]))
    with pytest.raises(ValueError, match="`epochs` must be a positive integer. Received: epochs=0"):
        train_feature_classifier(toy_dataset, epochs=0)
    with pytest.raises(TypeError, match="`augmentation` must be a Keras layer. Received: str"):
        train_feature_classifier(toy_dataset, augmentation="flip")


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_inception_features(channels):
    network = inception_features((8, 8, channels), weights=None)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, channels))
    report = fid(images, -images, network)
    assert network.output_shape == (None, 2048)
    assert np.isfinite(report) and report >= 0


def test_inception_takes_grey_and_color_images_only():
    with pytest.raises(ValueError, match=r"`image_shape` must have 1 or 3 channels. Received: \(8, 8, 2\)"):
        inception_features((8, 8, 2), weights=None)


@pytest.mark.full
def test_training_leaves_the_users_random_numbers_alone(toy_dataset):
    np.random.seed(5)
    keras.utils.set_random_seed(5)
    expected = np.random.random(), random.random(), float(keras.random.uniform(()))
    keras.utils.set_random_seed(5)
    train_feature_classifier(toy_dataset.select([0, 1]), epochs=1, features=4)
    assert (np.random.random(), random.random(), float(keras.random.uniform(()))) == expected
