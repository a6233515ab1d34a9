"""Learners and GANs that differentiate twice, of networks whose second derivative TensorFlow gets wrong or has not."""

import metalearn_tf as mtf
from metalearn_tf.networks import batch_normalization_warning

import keras
import numpy as np
import pytest

layers = keras.layers
TASKS, WAYS, SHAPE = 2, 3, (4, 4, 2)


def network(*made, shape=SHAPE):
    return keras.Sequential(
        [keras.Input(shape), layers.Conv2D(3, 3, activation="tanh", padding="same"), *made, layers.Flatten()]
        + [layers.Dense(WAYS)]
    )


def tasks():
    random = np.random.default_rng(0)
    y = np.tile(np.arange(6) % WAYS, (TASKS, 1)).astype("int32")
    support, queries = random.normal(1.0, 2.0, (2, TASKS, 6, *SHAPE)).astype("float32")
    return (support, y, queries), y


def meta_gradient(learner):
    """What a step of rate 1 takes from the weights."""
    learner.compile(keras.optimizers.SGD(1.0))
    before = [np.asarray(variable).copy() for variable in learner.trainable_variables]
    learner.train_on_batch(*tasks())
    return np.concatenate(
        [np.ravel(one - np.asarray(other)) for one, other in zip(before, learner.trainable_variables)]
    )


@pytest.mark.full
@pytest.mark.parametrize(
    "options", [{}, {"task_mapping": "vectorized"}, {"rematerialize": True}], ids=["parallel", "vectorized", "remat"]
)
def test_meta_gradients_through_keras_normalisation_are_those_of_our_own(options):
    theirs = network(layers.BatchNormalization())
    ours = mtf.networks.with_task_normalization(theirs, "transductive")
    expected, actual = (
        meta_gradient(mtf.learners.MAML(given, inner_steps=1, inner_learning_rate=0.4, **extra))
        for given, extra in ((ours, {}), (theirs, options))
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def without_second_derivative():
    return layers.Resizing(3, 3, interpolation="area", name="by_areas")


TWICE = {
    "MAML": lambda: mtf.learners.MAML(network(without_second_derivative())),
    "annealed MAML": lambda: mtf.learners.MAML(
        network(without_second_derivative()), first_order="annealed", annealing_steps=5
    ),
    "MetaSGD": lambda: mtf.learners.MetaSGD(network(without_second_derivative())),
    "ANIL's head": lambda: mtf.learners.ANIL(
        keras.Sequential([keras.Input(SHAPE), network(without_second_derivative())])
    ),
    "r1": lambda: gan(without_second_derivative(), penalty="r1"),
    "gradient penalty with features": lambda: gan(
        without_second_derivative(), penalty="gradient", feature_matching_weight=1.0
    ),
    "MetaGAN": lambda: mtf.gan.MetaGAN(gan(without_second_derivative()), algorithm="maml"),
}
ONCE = {
    "FOMAML": lambda: mtf.learners.MAML(network(without_second_derivative()), first_order=True),
    "Reptile": lambda: mtf.learners.Reptile(network(without_second_derivative())),
    "MetaLSTM": lambda: mtf.learners.MetaLSTM(network(without_second_derivative())),
    "ANIL's body": lambda: mtf.learners.ANIL(network(without_second_derivative())),
    "PrototypicalNetwork": lambda: mtf.learners.PrototypicalNetwork(network(without_second_derivative())),
    "no penalty": lambda: gan(without_second_derivative()),
    "MetaGAN by Reptile": lambda: mtf.gan.MetaGAN(gan(without_second_derivative())),
}


def gan(*made, **options):
    generator = keras.Sequential(
        [keras.Input((3,)), layers.Dense(32), layers.Reshape(SHAPE), layers.Activation("tanh")]
    )
    discriminator = keras.Sequential(
        [keras.Input(SHAPE), *made, layers.Flatten(name="features"), layers.Dense(1)], name="discriminator"
    )
    return mtf.gan.GAN(generator, discriminator, average_decay=None, **options)


@pytest.mark.parametrize("name", TWICE)
def test_what_is_differentiated_twice_must_have_a_second_derivative(name):
    with pytest.raises(ValueError, match="must have a second derivative.*ResizeArea.*, or .*Received.*by_areas"):
        TWICE[name]()


@pytest.mark.parametrize("name", ONCE)
def test_what_is_differentiated_once_is_not_refused(name):
    assert isinstance(ONCE[name](), keras.Model)


def test_a_penalty_through_resized_images_has_its_gradient():
    """Of a linear critic the penalty is the squared norm of its weights' pull-back, whatever the images."""
    resized = gan(layers.Resizing(8, 8), penalty="r1", penalty_weight=1e4, feature_matching_weight=1.0)
    resized.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(1e-6))
    kernel, resize = resized.discriminator.layers[-1].kernel, layers.Resizing(8, 8)
    before = np.asarray(kernel).copy()
    pixels = np.eye(32, dtype="float32").reshape(32, *SHAPE)
    matrix = np.asarray(resize(pixels)).reshape(32, -1)
    images = np.random.default_rng(0).uniform(-1, 1, (8, *SHAPE)).astype("float32")
    resized.fit(images, batch_size=8, verbose=0)
    gradient = (before - np.asarray(kernel)) / 1e-6
    expected = 2e4 * matrix.T @ matrix @ before
    np.testing.assert_allclose(gradient, expected, rtol=1e-2, atol=5.0)


def test_batch_normalisation_in_a_learner_by_gradients_is_spoken_of_once(caplog, monkeypatch):
    monkeypatch.setattr(batch_normalization_warning, "_said", set())  # of networks of the same names in other tests
    first = network(layers.BatchNormalization(name="theirs"))
    learner = mtf.learners.MAML(first)
    assert "theirs" in caplog.text and 'with_task_normalization(network, "support")' in caplog.text
    caplog.clear()
    learner.adapt(tasks()[0][0][0], tasks()[1][0])
    mtf.learners.Reptile(mtf.networks.with_task_normalization(first))
    mtf.learners.PrototypicalNetwork(network(layers.BatchNormalization()))
    frozen = network(layers.BatchNormalization(trainable=False))
    mtf.learners.MAML(frozen)
    assert not caplog.text
    mtf.learners.Reptile(network(layers.BatchNormalization()))
    assert "with_task_normalization" in caplog.text
