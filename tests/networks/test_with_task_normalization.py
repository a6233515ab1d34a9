"""Keras networks with batch normalisation become networks with the statistics of tasks, with all that they know."""

from metalearn_tf.networks import TaskNormalization, bag_of_words, conv4, with_task_normalization
from metalearn_tf.networks.task_normalization import NORMALIZATIONS, normalization_of

import keras
import numpy as np
import pytest

layers = keras.layers


class Doubled(layers.Layer):
    """A layer that Keras does not know by name."""

    def call(self, x):
        return 2.0 * x


def network_of_all_kinds():
    """Nested, shared and frozen layers, functions and classes of one's own; no weight is what it started as."""
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4), layers.BatchNormalization(scale=False, axis=1)], name="inner"
    )
    x = inputs = keras.Input((4,))
    x = layers.Dense(4, name="frozen")(x)
    x = layers.BatchNormalization(center=False, momentum=0.5, epsilon=0.1, name="first")(x)
    x = layers.Lambda(lambda x: x + 1.0)(inner(x))
    x = TaskNormalization("running", name="ours")(Doubled()(x))
    network = keras.Model(inputs, inner(x), name="mine")
    random = np.random.default_rng(0)
    for variable in network.weights:
        if "int" not in str(variable.dtype):
            variable.assign(random.uniform(0.5, 2.0, variable.shape))
    network.get_layer("frozen").trainable = False
    return network


X = np.random.default_rng(1).normal(size=(6, 4)).astype("float32")


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_all_but_the_statistics_stays(normalization):
    network = network_of_all_kinds()
    before = network.get_weights()
    changed = with_task_normalization(network, normalization)
    assert normalization_of(changed) == normalization
    assert type(changed) is type(network) and changed.name == network.name
    assert [layer.name for layer in changed.layers] == [layer.name for layer in network.layers]
    assert [layer.trainable for layer in changed.layers] == [layer.trainable for layer in network.layers]
    assert not {id(v) for v in changed.variables} & {id(v) for v in network.variables}
    for one, other in zip(changed.trainable_variables, network.trainable_variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert (changed.get_layer("first").momentum, changed.get_layer("first").epsilon) == (0.5, 0.1)
    for variable in changed.variables:
        variable.assign(variable + 1)
    for one, other in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_with_running_statistics_it_is_the_same_network():
    network = network_of_all_kinds()
    changed = with_task_normalization(network, "running")
    np.testing.assert_allclose(np.asarray(changed(X)), np.asarray(network(X)), rtol=1e-4)
    # The averages of many batches do not give way to the first new one.
    changed.get_layer("first").trainable = True
    mean = np.asarray(changed.get_layer("first").mean).copy()
    changed(X, training=True)
    of_batch = changed.get_layer("frozen")(X).numpy().mean(axis=0)
    np.testing.assert_allclose(np.asarray(changed.get_layer("first").mean), 0.5 * (mean + of_batch), rtol=1e-4)


def test_the_averages_of_an_untrained_network_count_for_nothing():
    network = keras.Sequential([keras.Input((4,)), layers.BatchNormalization()])
    changed = with_task_normalization(network, "running")
    changed(X, training=True)
    np.testing.assert_allclose(np.asarray(changed.layers[-1].mean), X.mean(axis=0), rtol=1e-4, atol=1e-6)


def test_with_transductive_statistics_it_is_the_network_in_training():
    network = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(2)])
    changed = with_task_normalization(network, "transductive")
    np.testing.assert_allclose(np.asarray(changed(X)), np.asarray(network(X, training=True)), rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_networks_of_keras_applications_and_of_our_own_are_taken():
    network = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, include_top=False, pooling="avg")
    changed = with_task_normalization(network, "running")
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3))
    np.testing.assert_allclose(np.asarray(changed(x)), np.asarray(network(x)), rtol=1e-4, atol=1e-6)
    assert normalization_of(changed) == "running"
    ours = with_task_normalization(conv4((16, 16, 1), 4, outputs=3))
    assert normalization_of(ours) == "support"


@pytest.mark.full
def test_words_are_kept():
    texts = ["one two", "two three", "three four"]
    words = bag_of_words(texts)
    network = keras.Sequential([keras.Input((), dtype="string"), words, layers.BatchNormalization(), layers.Dense(2)])
    changed = with_task_normalization(network, "running")
    x = np.array(texts, object)
    np.testing.assert_allclose(changed.predict(x, verbose=0), network.predict(x, verbose=0), rtol=1e-5)


class Subclassed(keras.Model):
    """A model whose layers are known to itself alone."""

    def __init__(self):
        super().__init__()
        self.normalize = layers.BatchNormalization()

    def call(self, x):
        return self.normalize(x)


def sequential(*made, shape=(3, 4)):
    return keras.Sequential([keras.Input(shape), *made])


REFUSED = {
    "a layer": (lambda: layers.Dense(3), "built functional or sequential"),
    "an unbuilt model": (lambda: keras.Sequential([layers.Dense(3)]), "built functional or sequential"),
    "a subclassed model": (Subclassed, "built functional or sequential"),
    "a subclassed part": (
        lambda: sequential(Subclassed()),
        r"layers of functional or sequential.*'Subclassed|subclassed",
    ),
    "a wrapped layer": (lambda: sequential(layers.TimeDistributed(layers.BatchNormalization())), "TimeDistributed"),
    "another axis": (lambda: sequential(layers.BatchNormalization(axis=1)), "over the last axis.*axis=1"),
    "renormalisation": (lambda: sequential(layers.BatchNormalization(renorm=True)), "plain.*'renorm': True"),
    "a regulariser": (lambda: sequential(layers.BatchNormalization(beta_regularizer="l2")), "plain.*beta_regularizer"),
    "a mask": (
        lambda: sequential(layers.Masking(), layers.BatchNormalization(), layers.GlobalAveragePooling1D()),
        "without a mask",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_not_be_the_same_is_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"`network` must .*{message}"):
        with_task_normalization(make())


def test_an_unknown_normalization_is_refused():
    with pytest.raises(ValueError, match="`normalization` must be one of .*Received: 'batch'"):
        with_task_normalization(sequential(layers.BatchNormalization()), "batch")
