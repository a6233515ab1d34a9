"""The losses of GANs against hand numbers, at large logits, in half precision, and by their derivatives."""

import metalearn_tf as mtf

import numpy as np
import pytest
import tensorflow as tf

REAL, FAKE = [[2.0], [-1.0]], [[0.5], [-3.0]]


# Worked out from the papers' formulas, with σ(D) as a number and not as a logit.
σ_real, σ_fake = 1 / (1 + np.exp([-2.0, 1.0])), 1 / (1 + np.exp([-0.5, 3.0]))
EXPECTED = {
    "minimax": (-np.log(σ_real).mean() - np.log(1 - σ_fake).mean(), np.log(1 - σ_fake).mean()),
    "non_saturating": (-np.log(σ_real).mean() - np.log(1 - σ_fake).mean(), -np.log(σ_fake).mean()),
    "least_squares": (((1 + 4) / 2 + (0.25 + 9) / 2) / 2, (0.25 + 16) / 2 / 2),
    "wasserstein": (-1.25 - 0.5, 1.25),
    "hinge": ((0 + 2) / 2 + (1.5 + 0) / 2, 1.25),
}


def test_every_loss_is_here():
    assert set(mtf.gan.LOSSES) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_losses_are_the_formulas(name, dtype):
    discriminator_loss, generator_loss = mtf.gan.get_losses(name)
    real, fake = tf.constant(REAL, dtype), tf.constant(FAKE, dtype)
    losses = discriminator_loss(real, fake), generator_loss(fake)
    assert all(loss.dtype == tf.float32 and loss.shape == () for loss in losses)
    # The logits are whole in bfloat16 too: what is computed from them is float32.
    np.testing.assert_allclose(losses, EXPECTED[name], rtol=1e-6)


def test_half_precision_logits_are_not_rounded_again():
    logit = tf.constant([[0.00390625]], tf.bfloat16)  # 2**-8, which bfloat16 loses beside 1
    np.testing.assert_allclose(mtf.gan.least_squares_generator_loss(logit), 0.5 * (1 - 2**-8) ** 2, rtol=1e-6)
    np.testing.assert_allclose(mtf.gan.hinge_discriminator_loss(logit, logit), 2.0, rtol=1e-6)
    np.testing.assert_allclose(mtf.gan.hinge_discriminator_loss(logit, 0 * logit), 2.0 - 2**-8, rtol=1e-6)


def test_an_undecided_discriminator_has_the_known_value():
    zeros = tf.zeros([5, 1])
    np.testing.assert_allclose(mtf.gan.minimax_discriminator_loss(zeros, zeros), 2 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(mtf.gan.minimax_generator_loss(zeros), -np.log(2), rtol=1e-6)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("logit", [-1000.0, -100.0, 0.0, 100.0, 1000.0])
def test_values_and_two_derivatives_are_finite_at_any_logit(name, logit):
    discriminator_loss, generator_loss = mtf.gan.get_losses(name)
    logits = tf.constant([[logit]])
    for loss in (lambda x: discriminator_loss(x, -x), generator_loss):
        with tf.GradientTape() as outer:
            outer.watch(logits)
            with tf.GradientTape() as inner:
                inner.watch(logits)
                value = loss(logits)
            slope = inner.gradient(value, logits)
        curvature = outer.gradient(slope, logits, unconnected_gradients="zero")
        assert all(np.isfinite(tensor).all() for tensor in (value, slope, curvature))


def test_minimax_saturates_where_non_saturating_does_not():
    sure = tf.constant([[-20.0]])
    slopes = []
    for loss in (mtf.gan.minimax_generator_loss, mtf.gan.non_saturating_generator_loss):
        with tf.GradientTape() as tape:
            tape.watch(sure)
            value = loss(sure)
        slopes.append(float(tape.gradient(value, sure)[0, 0]))
    np.testing.assert_allclose(slopes, [-np.exp(-20.0), -1.0], rtol=1e-5)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_better_player_has_a_lower_loss(name):
    discriminator_loss, generator_loss = mtf.gan.get_losses(name)
    # Below the targets of least squares, beyond which it rises again.
    low, high = tf.constant([[0.1]]), tf.constant([[0.9]])
    assert discriminator_loss(high, low) < discriminator_loss(low, high)
    assert generator_loss(high) < generator_loss(low)


def test_batches_of_real_and_fake_may_differ_in_size():
    for discriminator_loss, _ in mtf.gan.LOSSES.values():
        one = discriminator_loss(tf.constant([[1.0]]), tf.constant([[-2.0]]))
        several = discriminator_loss(tf.constant([[1.0]] * 4), tf.constant([[-2.0]] * 3))
        np.testing.assert_allclose(several, one, rtol=1e-6)


def test_a_pair_of_functions_is_its_own_name():
    pair = (lambda real, fake: tf.constant(0.0), lambda fake: tf.constant(1.0))
    assert mtf.gan.get_losses(pair) == pair and mtf.gan.get_losses(list(pair)) == pair


@pytest.mark.parametrize("loss", ["wgan", None, (abs,), (abs, "hinge"), abs, ("minimax", "hinge")])
def test_other_losses_are_refused(loss):
    with pytest.raises(ValueError, match="(?s)`loss` must be one of .*least_squares.*pair of functions.*Received: "):
        mtf.gan.get_losses(loss)


def test_feature_matching_is_between_means():
    real = tf.constant([[1.0, 2.0], [3.0, 6.0]])  # mean (2, 4)
    fake = tf.constant([[1.0, 1.0], [1.0, 0.0], [1.0, 2.0]])  # mean (1, 1)
    np.testing.assert_allclose(mtf.gan.feature_matching_loss(real, fake), 1 + 9, rtol=1e-6)
    maps = tf.reshape(tf.range(12.0), [1, 2, 2, 3])
    loss = mtf.gan.feature_matching_loss(tf.cast(maps, tf.bfloat16), maps + 2.0)
    assert loss.dtype == tf.float32
    np.testing.assert_allclose(loss, 12 * 4, rtol=1e-6)


def test_reconstruction_is_the_mean_absolute_error():
    images, reconstructions = tf.constant([[1.0, -1.0], [0.5, 0.0]]), tf.constant([[-1.0, -1.0], [0.0, 0.5]])
    np.testing.assert_allclose(mtf.gan.reconstruction_loss(images, reconstructions), 3 / 4, rtol=1e-6)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match="`images` and `reconstructions`.*Received: shapes .4, 8, 8, 1. and .4, 8, 8."):
        mtf.gan.reconstruction_loss(tf.zeros([4, 8, 8, 1]), tf.zeros([4, 8, 8]))
    with pytest.raises(ValueError, match="`real_features` and `fake_features`.*Received: shapes .4, 8. and .4, 1."):
        mtf.gan.feature_matching_loss(tf.zeros([4, 8]), tf.zeros([4, 1]))
