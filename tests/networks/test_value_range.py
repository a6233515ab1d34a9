"""What a network says about the bounds of its output."""

from metalearn_tf.networks.value_range import value_range

import keras
import numpy as np
import pytest
import tensorflow as tf

INF = np.inf


def dense(activation=None):
    return keras.layers.Dense(16, activation=activation)


def ends_with(*layers):
    return keras.Sequential([keras.Input((3,)), *layers])


def ends_in(function):
    noise = keras.Input((3,))
    return keras.Model(noise, function(keras.layers.Reshape((4, 4, 1))(dense()(noise))))


def nested():
    inner = ends_with(dense("tanh"), MAPS())
    return keras.Sequential([inner, keras.Sequential([keras.layers.Permute((2, 1, 3)), keras.layers.Identity()])])


def MAPS():
    return keras.layers.Reshape((4, 4, 1))


@keras.saving.register_keras_serializable("test_value_range")
class Declared(keras.layers.Layer):
    output_range = (0, 5)

    def call(self, x):
        return 5.0 * tf.sigmoid(x)


RANGES = {
    "an activation behind": (lambda: ends_with(dense(), MAPS(), keras.layers.Activation("sigmoid")), (0, 1)),
    "an activation before Reshape": (lambda: ends_with(dense("tanh"), MAPS()), (-1, 1)),
    "cropped and flattened": (
        lambda: ends_with(dense("tanh"), MAPS(), keras.layers.Cropping2D(), keras.layers.Flatten()),
        (-1, 1),
    ),
    "enlarged by copies": (lambda: ends_with(dense("tanh"), MAPS(), keras.layers.UpSampling2D()), (-1, 1)),
    "enlarged by means": (
        lambda: ends_with(dense("sigmoid"), MAPS(), keras.layers.UpSampling2D(interpolation="bilinear")),
        (0, 1),
    ),
    "enlarged by cubes": (
        lambda: ends_with(dense("sigmoid"), MAPS(), keras.layers.UpSampling2D(interpolation="bicubic")),
        (-INF, INF),
    ),
    "in a nested model": (nested, (-1, 1)),
    "an operation": (lambda: ends_in(keras.ops.tanh), (-1, 1)),
    "an activation as function": (lambda: ends_in(keras.activations.sigmoid), (0, 1)),
    "arithmetic behind": (lambda: ends_in(lambda x: 2 * keras.ops.sigmoid(x) - 1), (-1, 1)),
    "arithmetic before": (lambda: ends_in(lambda x: (1 - keras.ops.tanh(x)) / 2), (0, 1)),
    "clipped": (lambda: ends_in(lambda x: keras.ops.clip(x, 0, 1)), (0, 1)),
    "rescaled": (lambda: ends_with(dense("tanh"), MAPS(), keras.layers.Rescaling(127.5, 127.5)), (0, 255)),
    "cast": (lambda: ends_in(lambda x: keras.ops.cast(keras.ops.tanh(x), "float32")), (-1, 1)),
    "of TensorFlow": (lambda: ends_with(dense(tf.nn.tanh)), (-1, 1)),
    "of one's own": (lambda: ends_with(dense(lambda x: 3.0 * tf.sigmoid(x))), (0, 3)),
    "piecewise linear": (lambda: ends_with(dense("hard_sigmoid")), (0, 1)),
    "below six": (lambda: ends_with(dense(), keras.layers.ReLU(6.0)), (0, 6)),
    "of one logit": (lambda: ends_with(keras.layers.Dense(1, activation="softmax")), (0, 1)),
    "as a layer": (lambda: ends_with(dense(), keras.layers.Softmax()), (0, 1)),
    "in a wrapper": (lambda: ends_with(keras.layers.SpectralNormalization(dense("sigmoid"))), (0, 1)),
    "two inputs": (
        lambda: ends_in(lambda x: keras.ops.concatenate([keras.ops.tanh(x), keras.ops.sigmoid(x)])),
        (-1, 1),
    ),
    "padded": (lambda: ends_with(dense(lambda x: 1.0 + tf.sigmoid(x)), MAPS(), keras.layers.ZeroPadding2D()), (0, 2)),
    "declared": (lambda: ends_with(dense(), Declared(), MAPS()), (0, 5)),
    "above": (lambda: ends_with(dense("softplus")), (0, INF)),
    "below": (lambda: ends_with(dense("log_sigmoid")), (-INF, 0)),
    "linear": (lambda: ends_with(dense(), MAPS()), (-INF, INF)),
    "leaky": (lambda: ends_with(dense("leaky_relu")), (-INF, INF)),
    "normalised": (lambda: ends_with(dense("tanh"), keras.layers.BatchNormalization()), (-INF, INF)),
    "squared by itself": (lambda: ends_in(lambda x: keras.ops.tanh(x) * x), (-INF, INF)),
}


@pytest.mark.parametrize("name", RANGES)
def test_the_range_is_read_from_the_last_layers(name):
    make, expected = RANGES[name]
    network = make()
    if not network.built:
        network.build((None, 3))
    assert value_range(network) == expected
    if name not in ("enlarged by cubes", "of one logit"):
        drawn = np.asarray(network(100.0 * np.random.default_rng(0).normal(size=(50, 3)).astype("float32")))
        assert expected[0] <= drawn.min() and drawn.max() <= expected[1]
