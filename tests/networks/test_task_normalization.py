"""Task normalisation against the formula in NumPy, to the second derivative."""

from metalearn_tf.networks import TaskNormalization, conv4, mlp
from metalearn_tf.networks.task_normalization import normalization_of, support_pass

import keras
import numpy as np
import pytest
import tensorflow as tf

EPSILON = 1e-3
SHAPES = {"vectors": (6, 3), "sequences": (4, 5, 3), "images": (4, 5, 6, 3)}


def layer_for(shape, normalization, **options):
    """A built layer whose scale, offset and statistics are not the initial ones."""
    layer = TaskNormalization(normalization, **options)
    layer.build((None, *shape[1:]))
    random = np.random.default_rng(3)
    for weight in layer.weights:
        # So many batches that the moving averages have their momentum.
        weight.assign(100 if weight.name == "batches" else random.uniform(0.5, 2.0, weight.shape))
    return layer


def random_input(shape, mean=2.0):
    return np.random.default_rng(0).normal(mean, 3.0, shape).astype("float32")


def normalise(x, mean, variance, scale, offset, epsilon=EPSILON):
    return scale * (x - mean) / np.sqrt(variance + epsilon) + offset


def moments(x):
    axes = tuple(range(x.ndim - 1))
    return x.astype("float64").mean(axes), x.astype("float64").var(axes)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_transductive_uses_the_batch_at_hand(shape, training):
    layer, x = layer_for(shape, "transductive"), random_input(shape)
    scale, offset = layer.get_weights()
    expected = normalise(x, *moments(x), scale, offset)
    np.testing.assert_allclose(np.asarray(layer(x, training=training)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_support_keeps_the_statistics_of_the_support_set(shape, training):
    layer, support, query = layer_for(shape, "support"), random_input(shape), random_input(shape, mean=-1.0)
    scale, offset = layer.get_weights()[:2]
    with support_pass():
        outputs = np.asarray(layer(support, training=training))
    np.testing.assert_allclose(outputs, normalise(support, *moments(support), scale, offset), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.asarray(layer.mean), moments(support)[0], rtol=1e-4)
    np.testing.assert_allclose(np.asarray(layer.variance), moments(support)[1], rtol=1e-4)
    expected = normalise(query, *moments(support), scale, offset)
    np.testing.assert_allclose(np.asarray(layer(query, training=training)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_running_averages_the_batches(shape):
    layer, x = layer_for(shape, "running", momentum=0.75), random_input(shape)
    scale, offset, mean, variance = layer.get_weights()[:4]
    outputs = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(outputs, normalise(x, *moments(x), scale, offset), rtol=1e-4, atol=1e-4)
    count = x.size / x.shape[-1]
    mean = 0.75 * mean + 0.25 * moments(x)[0]
    variance = 0.75 * variance + 0.25 * moments(x)[1] * count / (count - 1)
    np.testing.assert_allclose(np.asarray(layer.mean), mean, rtol=1e-4)
    np.testing.assert_allclose(np.asarray(layer.variance), variance, rtol=1e-4)
    expected = normalise(x, mean, variance, scale, offset)
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.asarray(layer.mean), mean, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_first_batches_count_alike_and_the_start_counts_for_nothing(shape):
    """The averages of the first batches are their plain means; of the tenth on, with the momentum 0.9, moving ones."""
    layer = TaskNormalization("running")
    layer.build((None, *shape[1:]))
    batches = [random_input(shape, mean) for mean in range(7, 19)]
    count = batches[0].size / shape[-1]
    of_batches = [(moments(x)[0], moments(x)[1] * count / (count - 1)) for x in batches]
    for seen, x in enumerate(batches, 1):
        layer(x, training=True)
        for average, values in zip((layer.mean, layer.variance), zip(*of_batches)):
            expected = np.mean(values[: min(seen, 10)], axis=0)
            for value in values[10:seen]:
                expected = 0.9 * expected + 0.1 * value
            np.testing.assert_allclose(np.asarray(average), expected, rtol=1e-4)
    assert int(layer.batches) == len(batches)


@pytest.mark.rows(default=["1"])
@pytest.mark.parametrize("steps", [1, 2, 5, 50])
def test_after_any_number_of_steps_evaluation_agrees_with_training(steps):
    x = np.random.default_rng(0).normal(7.0, 3.0, (64, 5, 5, 3)).astype("float32")
    model = keras.Sequential([keras.Input((5, 5, 3)), TaskNormalization("running"), keras.layers.Conv2D(2, 3)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    (loss,) = model.fit(x, np.zeros((64, 3, 3, 2)), batch_size=64, steps_per_epoch=1, verbose=0).history["loss"]
    for _ in range(steps - 1):
        model.train_on_batch(x, np.zeros((64, 3, 3, 2)))
    assert model.evaluate(x, np.zeros((64, 3, 3, 2)), batch_size=64, verbose=0) == pytest.approx(loss, rel=1e-2)


@pytest.mark.parametrize("normalization", ["transductive", "support", "running"])
def test_float64_is_kept_throughout(normalization):
    shape = SHAPES["images"]
    layer, x = layer_for(shape, normalization, dtype="float64"), random_input(shape).astype("float64")
    assert {str(weight.dtype) for weight in layer.weights} <= {"float64", "int32"}
    with support_pass():
        outputs = layer(x, training=True)
    np.testing.assert_allclose(np.asarray(outputs), normalise(x, *moments(x), *layer.get_weights()[:2]), rtol=1e-9)


@pytest.mark.parametrize("normalization", ["transductive", "support", "running"])
@pytest.mark.parametrize("shape", [SHAPES["vectors"], SHAPES["images"]], ids=["vectors", "images"])
def test_first_and_second_derivatives_are_those_of_the_formula(shape, normalization):
    """Against automatic differentiation of the formula in float64, in a training pass over a support set."""
    layer, x = layer_for(shape, normalization), random_input(shape)
    random = np.random.default_rng(1)
    direction, cotangent = random.normal(size=(2, *shape))

    def layer_loss(x, scale, offset):
        statistics = [tf.convert_to_tensor(v) for v in layer.non_trainable_variables]
        with support_pass():
            outputs, _ = layer.stateless_call([scale, offset], statistics, x, training=True)
        return tf.reduce_sum(tf.sin(outputs) * tf.cast(cotangent, outputs.dtype))

    def formula_loss(x, scale, offset):
        axes = list(range(len(shape) - 1))
        mean, variance = tf.reduce_mean(x, axes), tf.math.reduce_variance(x, axes)
        return tf.reduce_sum(tf.sin(scale * (x - mean) / tf.sqrt(variance + EPSILON) + offset) * cotangent)

    def derivatives(loss, dtype):
        arguments = [tf.constant(value, dtype) for value in (x, *layer.get_weights()[:2])]
        with tf.GradientTape() as outer:
            outer.watch(arguments)
            with tf.GradientTape() as inner:
                inner.watch(arguments)
                value = loss(*arguments)
            first = inner.gradient(value, arguments)
            product = tf.reduce_sum(first[0] * tf.cast(direction, dtype))
            product += tf.reduce_sum(first[1] ** 2) + tf.reduce_sum(first[1] * first[2])
        return [gradient.numpy() for gradient in first + outer.gradient(product, arguments)]

    for actual, expected in zip(derivatives(layer_loss, "float32"), derivatives(formula_loss, "float64")):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("normalization", ["transductive", "support", "running"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_the_statistics_in_float32(normalization, policy):
    shape = SHAPES["images"]
    layer, x = layer_for(shape, normalization, dtype=policy), random_input(shape)
    assert {str(weight.dtype) for weight in layer.weights if weight.name != "batches"} == {"float32"}
    scale, offset = layer.get_weights()[:2]
    with support_pass():
        outputs = layer(x, training=True)
    assert outputs.dtype == tf.as_dtype(layer.compute_dtype)
    expected = normalise(x, *moments(x), scale, offset)
    np.testing.assert_allclose(np.asarray(tf.cast(outputs, tf.float32)), expected, atol=0.05)


def test_the_scale_and_offset_are_trained_and_the_statistics_are_not():
    assert len(layer_for((2, 3), "transductive").weights) == 2
    for normalization in ("support", "running"):
        layer = layer_for((2, 3), normalization)
        assert len(layer.trainable_weights) == 2
        assert len(layer.non_trainable_weights) == (3 if normalization == "running" else 2)


def test_a_support_pass_ends_with_its_block():
    layer, x = layer_for((6, 3), "support"), random_input((6, 3))
    with support_pass():
        with support_pass():
            pass
        layer(x)
    kept = np.asarray(layer.mean)
    layer(x + 5)
    np.testing.assert_array_equal(np.asarray(layer.mean), kept)
    with pytest.raises(KeyError), support_pass():
        raise KeyError
    layer(x + 5)
    np.testing.assert_array_equal(np.asarray(layer.mean), kept)


def test_configuration_round_trip():
    layer = TaskNormalization("running", momentum=0.5, epsilon=0.01, name="norm", dtype="mixed_bfloat16")
    copy = TaskNormalization.from_config(layer.get_config())
    assert (copy.normalization, copy.momentum, copy.epsilon, copy.name) == ("running", 0.5, 0.01, "norm")
    assert copy.compute_dtype == "bfloat16"


def test_an_unknown_normalization_is_refused():
    with pytest.raises(ValueError, match="`normalization` must be one of .*transductive.*support.*running.*Received: "):
        TaskNormalization("batch")


def test_reports_name_what_a_network_uses():
    assert normalization_of(mlp()) == "none"
    for normalization in ("transductive", "support", "running"):
        assert normalization_of(conv4((16, 16, 1), 4, normalization=normalization)) == normalization
    mixed = keras.Sequential([keras.Input((3,)), TaskNormalization("support"), keras.layers.BatchNormalization()])
    assert normalization_of(mixed) == "running+support"
    nested = keras.Sequential([keras.Input((3,)), keras.Sequential([keras.Input((3,)), TaskNormalization("support")])])
    assert normalization_of(nested) == "support"
