"""A copy of a network computes what the network does, has its flags, and shares no variable with it."""

import metalearn_tf as mtf
from metalearn_tf.engine.copy_network import copy_network, layer_pairs

import keras
import numpy as np
import pytest
import tensorflow as tf

layers = keras.layers
FACTOR = 3.0


class Scale(layers.Layer):
    """Not registered with Keras; its function is one of each layer's own."""

    def __init__(self, by=2.0, **kwargs):
        super().__init__(**kwargs)
        self.by = by
        self.times = lambda x: x * self.by

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="random_normal")

    def call(self, x):
        return self.times(x) * self.factor

    def compute_output_shape(self, shape):
        return shape


def scale_by(by, register=lambda one: one):
    """A layer of a class of its own, of which the name is that of the others."""

    @register
    class ScaleBy(layers.Layer):
        def call(self, x):
            return by * x

    return ScaleBy()


class Body(keras.Model):
    """A subclassed model, not registered with Keras."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.head = layers.Dense(8, "tanh"), layers.Dense(3)

    def call(self, x):
        return self.head(self.hidden(x))


class Halves(keras.initializers.Initializer):
    """Not registered with Keras."""

    def __call__(self, shape, dtype=None):
        return tf.fill(shape, 0.5)


def activation(x):
    return FACTOR * tf.nn.relu(x)


def sequential(*parts):
    return keras.Sequential([keras.Input((5,)), *parts])


def functional(model):
    inputs = keras.Input((5,))
    return keras.Model(inputs, model(inputs))


def normalized():
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(50.0, 20.0, (40, 5)))
    return sequential(layer, layers.Dense(3))


def shared_layer():
    inputs, layer = keras.Input((5,)), layers.Dense(5)
    return keras.Model(inputs, layer(layer(inputs)) + keras.ops.tanh(inputs))


def frozen(model, *positions):
    for position in positions:
        model.layers[position].trainable = False
    return model


def frozen_whole(model):
    model.trainable = False
    return model


def compiled(model):
    model.compile("adam", loss=lambda y_true, y_pred: y_pred)
    return model


NETWORKS = {
    "lambda": lambda: sequential(layers.Lambda(lambda x: tf.tanh(x) * FACTOR), layers.Dense(3)),
    "lambda in a nested model": lambda: sequential(sequential(layers.Lambda(lambda x: tf.tanh(x) * FACTOR))),
    "lambda in a wrapper": lambda: keras.Sequential(
        [keras.Input((4, 5)), layers.TimeDistributed(layers.Lambda(lambda x: x * FACTOR, output_shape=(5,)))]
    ),
    "named function": lambda: sequential(layers.Dense(3, activation, kernel_initializer=Halves())),
    "custom layer": lambda: sequential(Scale(4.0), layers.Dense(3)),
    "custom layer in a wrapper": lambda: keras.Sequential([keras.Input((4, 5)), layers.TimeDistributed(Scale(4.0))]),
    "classes of one name": lambda: sequential(scale_by(2.0), scale_by(3.0)),
    "classes registered by one name": lambda: sequential(
        *(scale_by(by, keras.saving.register_keras_serializable("test_copy_network")) for by in (2.0, 3.0))
    ),
    "subclassed": lambda: functional(Body()),
    "frozen subclassed": lambda: functional(frozen_whole(Body())),
    "adapted statistics": normalized,
    "shared layer": shared_layer,
    "frozen layer": lambda: frozen(sequential(layers.Dense(4), layers.Dense(3)), 0),
    "frozen whole": lambda: frozen_whole(sequential(layers.Dense(4), layers.Dense(3))),
    "compiled": lambda: compiled(sequential(layers.Dense(3))),
    "conv4": lambda: mtf.networks.conv4((16, 16, 1), filters=4, normalization="running"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_copy_is_the_same_and_shares_nothing(name):
    network, random = NETWORKS[name](), np.random.default_rng(0)
    if name != "adapted statistics":
        network.set_weights([random.normal(size=w.shape) ** 2 for w in network.get_weights()])
    copy = copy_network(network)
    examples = random.normal(size=(3, *network.input_shape[1:])).astype("float32")
    np.testing.assert_allclose(copy(examples), network(examples), rtol=1e-6)
    assert type(copy) is type(network)
    assert [one.trainable for one in copy._flatten_layers()] == [one.trainable for one in network._flatten_layers()]
    assert not {id(w) for w in copy.variables} & {id(w) for w in network.variables}


def test_the_function_of_a_layers_own_is_not_the_originals():
    network = sequential(Scale(2.0))
    copy = copy_network(network)
    network.layers[0].by = 100.0
    expected = 2.0 * np.asarray(network.layers[0].factor)
    np.testing.assert_allclose(copy(np.ones((1, 5), "float32"))[0], expected, rtol=1e-6)


class Parts(layers.Layer):
    def __init__(self, *names):
        super().__init__(name="parts")
        self.parts = [layers.Identity(name=name) for name in names]


@pytest.mark.parametrize(
    "names, of_copy, pairs",
    [
        # A part that its owner makes on its first call.
        (("packer", "tokenizer"), ("tokenizer",), [("tokenizer", "tokenizer")]),
        (("one", "other"), ("other", "one"), [("other", "other"), ("one", "one")]),
        (("dense_1", "dense_2"), ("dense_3", "dense_4"), [("dense_2", "dense_4"), ("dense_1", "dense_3")]),
        (("same", "same"), ("same", "same"), [("same", "same"), ("same", "same")]),
    ],
)
def test_layers_are_paired_by_names_that_agree_else_by_place(names, of_copy, pairs):
    found = [(one.name, other.name) for one, other in layer_pairs(Parts(*names), Parts(*of_copy))]
    assert found[0] == ("parts", "parts") and sorted(found[1:]) == sorted(pairs)


def test_layers_that_cannot_be_paired_are_an_error():
    with pytest.raises(ValueError):
        list(layer_pairs(Parts("dense_1", "dense_2"), Parts("dense_3")))
