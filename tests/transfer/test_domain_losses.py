"""CORAL and MMD against NumPy, their gradients by finite differences, and the layer that turns a gradient around."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf

LOSSES = {
    "coral": mtf.transfer.coral_loss,
    "mmd": lambda source, target: mtf.transfer.mmd_loss(source, target, bandwidths=(1.0, 8.0)),
}


@pytest.fixture
def features():
    """Seven source rows and nine target rows, of two distributions."""
    random = np.random.default_rng(0)
    source = random.normal(size=(7, 4))
    return source.astype("float32"), (1.0 + 2.0 * random.normal(size=(9, 4))).astype("float32")


def numpy_coral(source, target):
    width = source.shape[1]
    difference = np.cov(source, rowvar=False) - np.cov(target, rowvar=False)
    return np.linalg.norm(difference, "fro") ** 2 / (4 * width**2)


def numpy_mmd(source, target, bandwidths):
    """Pair by pair, as Gretton et al. write it."""

    def kernel(x, y):
        return np.mean([np.exp(-np.sum((x - y) ** 2) / bandwidth) for bandwidth in bandwidths])

    def within(rows):
        return np.mean([kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j])

    return within(source) + within(target) - 2 * np.mean([kernel(x, y) for x in source for y in target])


def test_coral_is_the_formula(features):
    features = [part.astype("float64") for part in features]
    np.testing.assert_allclose(mtf.transfer.coral_loss(*features), numpy_coral(*features), rtol=1e-5)
    np.testing.assert_allclose(mtf.transfer.coral_loss([[0.0], [2.0]], [[5.0], [5.0]]), 2.0**2 / 4, rtol=1e-6)


@pytest.mark.parametrize("bandwidths", [(1.0,), (0.5, 4.0, 30.0)])
def test_mmd_is_the_formula(features, bandwidths):
    loss = mtf.transfer.mmd_loss(*features, bandwidths=bandwidths)
    np.testing.assert_allclose(loss, numpy_mmd(*features, bandwidths), rtol=1e-5)


def test_bandwidths_follow_the_mean_distance(features):
    rows = np.concatenate(features)
    distances = [np.sum((x - y) ** 2) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
    bandwidths = [factor * np.mean(distances) for factor in (0.25, 0.5, 1, 2, 4)]
    np.testing.assert_allclose(mtf.transfer.mmd_loss(*features), numpy_mmd(*features, bandwidths), rtol=1e-5)
    # So the loss does not change with the unit or the origin of the features, and no gradient flows through them.
    scaled = [1000.0 * part + 5000.0 for part in features]
    np.testing.assert_allclose(mtf.transfer.mmd_loss(*scaled), mtf.transfer.mmd_loss(*features), rtol=1e-3)
    fixed = _gradient(lambda s, t: mtf.transfer.mmd_loss(s, t, [float(b) for b in bandwidths]), *features)
    np.testing.assert_allclose(_gradient(mtf.transfer.mmd_loss, *features), fixed, rtol=1e-4, atol=1e-7)


@pytest.mark.full
def test_mmd_is_unbiased():
    random = np.random.default_rng(1)
    losses = [float(mtf.transfer.mmd_loss(*random.normal(size=(2, 6, 3)), bandwidths=(2.0,))) for _ in range(400)]
    standard_error = np.std(losses) / 20
    assert abs(np.mean(losses)) < 3 * standard_error < 0.02
    assert min(losses) < 0 < max(losses)


def _gradient(loss, source, target):
    source = tf.constant(source)
    with tf.GradientTape() as tape:
        tape.watch(source)
        value = loss(source, target)
    return tape.gradient(value, source).numpy()


@pytest.mark.parametrize("name, formula", [("coral", numpy_coral), ("mmd", lambda s, t: numpy_mmd(s, t, (1.0, 8.0)))])
def test_gradients_are_the_finite_differences(features, name, formula):
    source, target = (part.astype("float64") for part in features)
    expected, step = np.zeros_like(source), 1e-5
    for index in np.ndindex(*source.shape):
        shift = np.zeros_like(source)
        shift[index] = step
        expected[index] = (formula(source + shift, target) - formula(source - shift, target)) / (2 * step)
    np.testing.assert_allclose(_gradient(LOSSES[name], *features), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_losses_are_float32_and_know_a_domain_from_another(name, dtype, features):
    source, target = (tf.cast(part, dtype) for part in features)
    loss = LOSSES[name](source, target)
    assert loss.dtype == tf.float32 and loss.shape == ()
    assert loss > LOSSES[name](source, source + tf.cast(0.01, dtype))


@pytest.mark.parametrize("name", LOSSES)
def test_features_that_are_all_the_same_give_no_nan(name):
    same = np.ones([4, 3], "float32")
    assert float(LOSSES[name](same, same)) == 0.0
    assert float(mtf.transfer.mmd_loss(same, same)) == 0.0
    assert np.isfinite(_gradient(mtf.transfer.mmd_loss, same, same)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_other_shapes_are_refused(name):
    with pytest.raises(ValueError, match=r"must have the shapes \(n, d\) and \(m, d\).*\(4, 3\) and \(4, 2\)"):
        LOSSES[name](tf.zeros([4, 3]), tf.zeros([4, 2]))
    with pytest.raises(ValueError, match="must have two rows or more"):
        LOSSES[name](tf.zeros([1, 3]), tf.zeros([4, 3]))


@pytest.mark.parametrize("bandwidths", [(), (0.0,), (1.0, -1.0), "wide", (float("nan"),), 1.0])
def test_other_bandwidths_are_refused(bandwidths):
    with pytest.raises(ValueError, match="`bandwidths` must be one or more positive numbers"):
        mtf.transfer.mmd_loss(tf.zeros([4, 3]), tf.zeros([4, 3]), bandwidths=bandwidths)


# === The gradient reversal ===


def test_the_gradient_is_turned_around_and_the_values_are_not():
    layer, x = mtf.transfer.GradientReversal(0.5), tf.constant([[1.0, -2.0], [3.0, 0.1]])
    compiled = tf.function(lambda x: tf.reduce_sum(x**3))
    for strength in (0.5, 2.0, 0.0):  # the graph is traced once
        layer.strength.assign(strength)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            value = compiled(y)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_allclose(tape.gradient(value, x), -strength * 3 * x.numpy() ** 2, rtol=1e-6)


def test_a_compiled_step_follows_the_strength():
    layer, weight = mtf.transfer.GradientReversal(), tf.Variable(2.0)

    @tf.function
    def slope():
        with tf.GradientTape() as tape:
            value = 3.0 * layer(weight * tf.ones([1]))[0]
        return tape.gradient(value, weight)

    slopes = []
    for strength in (1.0, 0.25):
        layer.strength.assign(strength)
        slopes.append(float(slope()))
    assert slopes == [-3.0, -0.75]


def test_the_gradient_of_half_precision_keeps_its_dtype():
    layer, x = mtf.transfer.GradientReversal(0.5, dtype="mixed_float16"), tf.ones([2], tf.float16)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    gradient = tape.gradient(y, x)
    assert y.dtype == gradient.dtype == tf.float16 and layer.strength.dtype == "float32"
    np.testing.assert_array_equal(gradient, [-0.5, -0.5])


def test_a_file_has_the_strength(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, mtf.transfer.GradientReversal(0.1)(inputs))
    model.layers[-1].strength.assign(0.7)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config()["strength"] == 0.1
    np.testing.assert_allclose(loaded.layers[-1].strength, 0.7, rtol=1e-6)


@pytest.mark.parametrize("strength", [-1, "1", None, float("nan")])
def test_other_strengths_are_refused(strength):
    with pytest.raises(ValueError, match="`strength` must be a number of at least 0"):
        mtf.transfer.GradientReversal(strength)
