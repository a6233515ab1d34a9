"""Penalties: closed forms for linear critics, finite differences, higher derivatives, and critics that are flat."""

import metalearn_tf as mtf

import numpy as np
import pytest
import tensorflow as tf

SHAPES = [(5,), (6, 6, 1), (4, 7, 3), (1, 1, 2), (3, 2, 2, 2)]


def images(shape, n=4, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, (n, *shape)), tf.float32)


def mixes(n=4):
    return tf.constant(np.random.default_rng(2).uniform(0, 1, n), tf.float32)


def linear(shape, norm):
    """A linear critic and its slope, which is the same everywhere."""
    weights = np.random.default_rng(3).normal(size=shape)
    weights = tf.constant(weights * norm / np.linalg.norm(weights), tf.float32)
    return lambda x: tf.reduce_sum(x * weights, axis=list(range(1, len(shape) + 1)))[:, None] + 7.0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("norm", [0.25, 1.0, 3.0])
def test_a_linear_critic_has_the_closed_form(shape, norm):
    critic, real, fake, mix = linear(shape, norm), images(shape), images(shape, seed=1), mixes()
    expected = {
        "gradient": (norm - 1) ** 2,
        "gradient_one_sided": max(0.0, norm - 1) ** 2,
        "r1": norm**2,
        None: 0.0,
    }
    assert set(expected) == set(mtf.gan.PENALTIES)
    for name, value in expected.items():
        penalty = mtf.gan.get_penalty(name).function(critic, real, fake, mix)
        assert penalty.dtype == tf.float32 and penalty.shape == ()
        np.testing.assert_allclose(penalty, value, atol=1e-5)
    np.testing.assert_allclose(
        mtf.gan.gradient_penalty(critic, real, fake, mix, target=2.0), (norm - 2) ** 2, atol=1e-5
    )


def test_the_slope_is_taken_between_real_and_fake():
    # The critic |x|² / 2 has the gradient x, so that its slope is the norm of the mixture itself.
    real, fake, mix = images((3, 3, 1)), images((3, 3, 1), seed=1), mixes()
    weight = mix.numpy()[:, None, None, None]
    norms = np.linalg.norm((weight * real.numpy() + (1 - weight) * fake.numpy()).reshape(4, -1), axis=1)

    def critic(x):
        return 0.5 * tf.reduce_sum(tf.square(x), [1, 2, 3])[:, None]

    penalty = mtf.gan.gradient_penalty(critic, real, fake, mix)
    np.testing.assert_allclose(penalty, ((norms - 1) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(mtf.gan.r1_penalty(critic, real), (real.numpy() ** 2).sum() / 4, rtol=1e-5)


PENALTIES = {name: mtf.gan.get_penalty(name).function for name in ("gradient", "gradient_one_sided", "r1")}


def two_layers(weights, x):
    first, second = weights
    return tf.tanh(tf.reshape(x, [-1, 8]) @ first) @ second


def two_layer_weights():
    random = np.random.default_rng(4)
    return [tf.constant(random.normal(size=shape), tf.float32) for shape in ((8, 6), (6, 1))]


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_by_the_weights_agrees_with_finite_differences(name):
    real, fake, mix = images((2, 4, 1)), images((2, 4, 1), seed=1), mixes()

    def penalty(weights):
        return PENALTIES[name](lambda x: two_layers(weights, x), real, fake, mix)

    weights = two_layer_weights()
    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = penalty(weights)
    gradients, step = tape.gradient(value, weights), 1e-2
    assert value > 0.1
    random = np.random.default_rng(5)
    for _ in range(3):
        direction = [tf.constant(random.normal(size=w.shape) / 8, tf.float32) for w in weights]
        ahead, behind = ([w + sign * step * d for w, d in zip(weights, direction)] for sign in (1, -1))
        numeric = (penalty(ahead) - penalty(behind)) / (2 * step)
        exact = sum(tf.reduce_sum(g * d) for g, d in zip(gradients, direction))
        np.testing.assert_allclose(exact, numeric, rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_meta_gradient_through_a_penalised_step_agrees_with_finite_differences(name):
    real, fake, mix = images((2, 4, 1)), images((2, 4, 1), seed=1), mixes()

    @tf.function
    def after_a_step(weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            value = PENALTIES[name](lambda x: two_layers(weights, x), real, fake, mix)
        stepped = [w - 0.01 * g for w, g in zip(weights, tape.gradient(value, weights))]
        return tf.reduce_mean(two_layers(stepped, real))

    weights = two_layer_weights()
    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = after_a_step(weights)
    gradients = tape.gradient(value, weights)
    direction = [g / tf.linalg.global_norm(gradients) for g in gradients]
    ahead, behind = ([w + sign * 1e-2 * d for w, d in zip(weights, direction)] for sign in (1, -1))
    numeric = (after_a_step(ahead) - after_a_step(behind)) / 2e-2
    np.testing.assert_allclose(tf.linalg.global_norm(gradients), numeric, rtol=1e-2)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_flat_critic_has_finite_derivatives(name):
    real, fake, mix = images((2, 4, 1)), images((2, 4, 1), seed=1), mixes()
    weights = [tf.zeros([8, 6]), tf.zeros([6, 1])]
    with tf.GradientTape() as outer:
        outer.watch(weights)
        with tf.GradientTape() as inner:
            inner.watch(weights)
            value = PENALTIES[name](lambda x: two_layers(weights, x), real, fake, mix)
        gradients = inner.gradient(value, weights, unconnected_gradients="zero")
    second = outer.gradient(gradients, weights, unconnected_gradients="zero")
    assert float(value) == (1.0 if name == "gradient" else 0.0)
    assert all(np.isfinite(tensor).all() for tensor in [*gradients, *second])


@pytest.mark.parametrize("name", PENALTIES)
def test_a_critic_that_does_not_look_has_no_slope(name):
    value = PENALTIES[name](lambda x: tf.ones([4, 1]), images((2, 4, 1)), images((2, 4, 1), seed=1), mixes())
    assert float(value) == (1.0 if name == "gradient" else 0.0)


@pytest.mark.parametrize("name", PENALTIES)
def test_graphs_with_any_batch_and_half_precision_give_the_same(name):
    shape = (6, 6, 1)
    critic, arguments = linear(shape, 3.0), (images(shape), images(shape, seed=1), mixes())
    signature = [tf.TensorSpec([None, *shape]), tf.TensorSpec([None, *shape]), tf.TensorSpec([None])]
    traced = tf.function(lambda *tensors: PENALTIES[name](critic, *tensors), input_signature=signature)
    expected = PENALTIES[name](critic, *arguments)
    np.testing.assert_allclose(traced(*arguments), expected, rtol=1e-6)
    half = PENALTIES[name](critic, *(tf.cast(tensor, tf.bfloat16) for tensor in arguments))
    assert half.dtype == tf.float32
    np.testing.assert_allclose(half, expected, rtol=1e-6)


def test_nothing_costs_nothing():
    def never(x):
        raise RuntimeError

    penalty = mtf.gan.get_penalty(None)
    assert penalty.weight == 0.0
    assert float(penalty.function(never, images((2,)), images((2,)), mixes())) == 0.0


def test_the_weights_are_those_of_the_papers():
    assert {name: penalty.weight for name, penalty in mtf.gan.PENALTIES.items()} == {
        "gradient": 10.0,
        "gradient_one_sided": 10.0,
        "r1": 5.0,
        None: 0.0,
    }
    own = mtf.gan.Penalty(PENALTIES["r1"], 0.5)
    assert mtf.gan.get_penalty(own) is own


@pytest.mark.parametrize("penalty", ["r2", 10.0, ("r1", 5.0), ["r1"]])
def test_other_penalties_are_refused(penalty):
    with pytest.raises(ValueError, match="(?s)`penalty` must be one of .*gradient_one_sided.*Penalty.*Received: "):
        mtf.gan.get_penalty(penalty)


def test_shapes_that_would_broadcast_are_refused():
    critic = linear((2, 2, 1), 1.0)
    with pytest.raises(ValueError, match="`real` and `fake`.*Received: shapes .4, 2, 2, 1. and .1, 2, 2, 1."):
        mtf.gan.gradient_penalty(critic, images((2, 2, 1)), images((2, 2, 1), n=1), mixes())
    with pytest.raises(ValueError, match=r"`mix`.*each image, shape \(4,\). Received: shape \(1,\)"):
        mtf.gan.gradient_penalty(critic, images((2, 2, 1)), images((2, 2, 1)), mixes(1))
