"""Differentiable augmentation against its formulas, its randomness, and its derivatives."""

import metalearn_tf as mtf

import numpy as np
import pytest
import tensorflow as tf

POLICIES = ["color", "translation", "cutout"]


def augment(images, seed=(1, 2), policy="color,translation,cutout"):
    return mtf.gan.differentiable_augmentation(tf.convert_to_tensor(images), tf.constant(seed, tf.int32), policy)


def images(n=64, height=16, width=24, channels=3):
    # None is 0, the colour of what moves in and of what is cut out.
    return np.random.default_rng(0).uniform(0.1, 1, (n, height, width, channels)).astype("float32")


def draws(n, seed=(1, 2)):
    return tf.random.stateless_uniform([7, n, 1, 1, 1], tf.constant(seed, tf.int32), alg="philox").numpy()


def test_color_is_the_papers_three_changes():
    x = images()
    brightness, saturation, contrast = draws(len(x))[:3]
    expected = x + brightness - 0.5
    grey = expected.mean(3, keepdims=True)
    expected = grey + 2 * saturation * (expected - grey)
    mean = expected.mean((1, 2, 3), keepdims=True)
    expected = mean + (0.5 + contrast) * (expected - mean)
    np.testing.assert_allclose(augment(x, policy="color"), expected, atol=1e-5)


def test_saturation_has_no_effect_on_one_channel():
    x = images(channels=1)
    brightness, _, contrast = draws(len(x))[:3]
    mean = x.mean((1, 2, 3), keepdims=True)
    expected = mean + brightness - 0.5 + (0.5 + contrast) * (x - mean)
    np.testing.assert_allclose(augment(x, policy="color"), expected, atol=1e-5)


def test_translation_moves_by_whole_pixels_up_to_an_eighth():
    x, shifts = images(400), set()
    for before, after in zip(x, augment(x, policy="translation").numpy()):
        rows, columns = np.nonzero(after.any((1, 2)))[0], np.nonzero(after.any((0, 2)))[0]
        down = rows[0] - (16 - 1 - rows[-1])
        right = columns[0] - (24 - 1 - columns[-1])
        shifts.add((down, right))
        padded = np.pad(before, ((2, 2), (3, 3), (0, 0)))
        np.testing.assert_array_equal(after, padded[2 - down : 18 - down, 3 - right : 27 - right])
    assert shifts == {(down, right) for down in range(-2, 3) for right in range(-3, 4)}


@pytest.mark.parametrize("height, width", [(16, 24), (14, 10)])
def test_cutout_takes_a_rectangle_of_half_a_side_around_any_pixel(height, width):
    x, centres = images(2000, height, width, 1), set()
    after = augment(x, policy="cutout").numpy()
    length = (height // 2, width // 2)
    for changed in after[..., 0] == 0:
        spans = [np.nonzero(changed.any(axis))[0] for axis in (1, 0)]
        centre = []
        for span, size, most in zip(spans, (height, width), length):
            assert 0 < len(span) <= most and (np.diff(span) == 1).all()
            # Pixels are lost only over the border.
            assert len(span) == most or span[0] == 0 or span[-1] == size - 1
            centre.append(span[0] + most // 2 if span[0] > 0 else span[-1] + 1 - most + most // 2)
        assert changed.sum() == len(spans[0]) * len(spans[1])
        centres.add(tuple(centre))
    np.testing.assert_array_equal(after[after != 0], x[after != 0])
    possible = [size + 1 - most % 2 for size, most in zip((height, width), length)]
    for axis in (0, 1):
        assert {centre[axis] for centre in centres} == set(range(possible[axis]))


def test_the_same_seed_repeats_and_another_does_not():
    x = images(8)
    np.testing.assert_array_equal(augment(x), augment(x))
    assert not np.allclose(augment(x), augment(x, seed=(1, 3)))
    assert not np.allclose(augment(x), augment(x, seed=(2, 2)))
    # Each image has draws of its own.
    same = augment(np.repeat(x[:1], 8, axis=0)).numpy()
    assert len({image.tobytes() for image in same}) == 8


def test_changes_have_the_same_draws_in_every_policy_and_act_in_order():
    x = images(8)
    step = x
    for name in ("cutout", "color"):
        step = augment(step, policy=name)
    np.testing.assert_array_equal(augment(x, policy="cutout, color"), step)
    np.testing.assert_array_equal(augment(x, policy=("cutout", "color")), step)
    assert not np.allclose(augment(x, policy="color,cutout"), step)


@pytest.mark.rows(default=["cutout", "translation"])
@pytest.mark.parametrize("policy", [*POLICIES, "color,translation,cutout"])
def test_gradients_flow_twice_to_the_images(policy):
    x, seed = tf.constant(images(3, 8, 8)), tf.constant([1, 2])
    direction = tf.constant(np.random.default_rng(1).normal(size=x.shape), tf.float32)

    @tf.function
    def value_and_derivatives(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(mtf.gan.differentiable_augmentation(x, seed, policy) ** 3)
            slope = tf.reduce_sum(inner.gradient(value, x) * direction)
        return value, slope, tf.reduce_sum(outer.gradient(slope, x) * direction)

    step = 1e-2
    _, slope, curvature = value_and_derivatives(x)
    ahead, behind = (value_and_derivatives(x + sign * step * direction) for sign in (1, -1))
    np.testing.assert_allclose(slope, (ahead[0] - behind[0]) / (2 * step), rtol=1e-2)
    np.testing.assert_allclose(curvature, (ahead[1] - behind[1]) / (2 * step), rtol=1e-2)
    assert abs(curvature) > 1


@pytest.mark.parametrize("policy", POLICIES)
def test_graphs_of_any_size_and_half_precision(policy):
    x = images(5)
    traced = tf.function(
        lambda x, seed: mtf.gan.differentiable_augmentation(x, seed, policy),
        input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([2], tf.int32)],
    )
    np.testing.assert_allclose(traced(x, tf.constant([1, 2])), augment(x, policy=policy), atol=1e-6)
    half = augment(tf.cast(x, tf.bfloat16), policy=policy)
    assert half.dtype == tf.bfloat16 and half.shape == x.shape
    np.testing.assert_allclose(tf.cast(half, tf.float32), augment(x, policy=policy), atol=0.05)


@pytest.mark.parametrize("policy", ["", (), "colour", "color,blur", "color,,cutout", ("color", "flip")])
def test_unknown_names_are_refused(policy):
    with pytest.raises(ValueError, match="`policy` must name .*color.*translation.*cutout.*Received: "):
        augment(images(2), policy=policy)


def test_what_is_not_a_batch_of_images_is_refused():
    with pytest.raises(
        ValueError, match=r"`images` must be \(n, height, width, channels\).*Received: shape \(16, 24, 3"
    ):
        augment(images()[0])
