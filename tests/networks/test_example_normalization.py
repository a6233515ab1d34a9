"""Layer normalisation: its formula, its derivatives to the third order, and its configuration."""

from metalearn_tf.networks.example_normalization import ExampleNormalization, normalize_examples

import keras
import numpy as np
import pytest
import tensorflow as tf


def random_input(shape, seed=0):
    return np.random.default_rng(seed).normal(1.0, 2.0, shape).astype("float32")


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 2), (4, 6, 5, 3)])
def test_each_example_is_normalised_over_all_of_its_axes(shape):
    layer, x = ExampleNormalization(epsilon=0.01), random_input(shape)
    layer.build(shape)
    scale, offset = random_input(shape[-1:], 1), random_input(shape[-1:], 2)
    layer.set_weights([scale, offset])
    rows = x.reshape(4, -1).astype("float64")
    rows = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 0.01)
    np.testing.assert_allclose(layer(x), rows.reshape(shape) * scale + offset, atol=1e-5)


def test_an_example_does_not_depend_on_its_batch():
    layer, x = ExampleNormalization(), random_input((6, 4, 4, 2))
    for training in (True, False):
        np.testing.assert_allclose(layer(x, training=training)[2:3], layer(x[2:3], training=training), atol=1e-6)


def test_three_derivatives_agree_with_finite_differences():
    random = np.random.default_rng(0)
    x, *directions = (tf.constant(random.normal(size=(2, 3, 3, 2))) for _ in range(4))

    def along(function, direction):
        """The derivative of a scalar function along a direction."""

        def derivative(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = function(x)
            return tf.reduce_sum(tape.gradient(value, x) * direction)

        return derivative

    def function(x):
        return tf.reduce_sum(tf.sin(3 * normalize_examples(x, 1e-3)))

    step = 1e-5
    for direction in directions:
        exact = along(function, direction)
        numeric = (function(x + step * direction) - function(x - step * direction)) / (2 * step)
        np.testing.assert_allclose(exact(x), numeric, rtol=1e-6)
        assert abs(numeric) > 0.1
        function = exact


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
def test_statistics_and_weights_are_float32(policy):
    layer = ExampleNormalization(dtype=policy)
    x = tf.cast(100.0 + random_input((3, 8, 8, 2)), layer.compute_dtype)
    outputs = layer(x)
    assert outputs.dtype == x.dtype and all(weight.dtype == "float32" for weight in layer.weights)
    rows = np.asarray(tf.cast(x, tf.float32)).reshape(3, -1)
    expected = (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)
    np.testing.assert_allclose(np.asarray(tf.cast(outputs, tf.float32)).reshape(3, -1), expected, atol=0.02)


def test_configuration_round_trip():
    layer = ExampleNormalization(epsilon=0.5, name="norm")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(copy, ExampleNormalization) and (copy.epsilon, copy.name) == (0.5, "norm")
