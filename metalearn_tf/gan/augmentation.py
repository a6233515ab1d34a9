"""Differentiable augmentation: random changes of both real and generated images, for GANs with little data."""

import tensorflow as tf


def differentiable_augmentation(images, seed, policy="color,translation,cutout"):
    """Changes each image at random before the discriminator sees it. Gradients flow through the changes.

    Apply the same policy to real and generated images, with different seeds, in the discriminator's and in the
    generator's step. The changes of an image depend on the seed and on its place in the batch. For given random numbers
    they are linear in the image, so derivatives of every order exist.

    - `"color"` changes brightness, saturation and contrast: it adds a number in [-0.5, 0.5), multiplies the distance
      from the grey image by a number in [0, 2), and the distance from the mean by a number in [0.5, 1.5). Saturation
      has no effect on images with one channel.
    - `"translation"` moves the image by at most an eighth of each side and fills the gap with 0.
    - `"cutout"` sets a rectangle of half of each side to 0. Its centre is anywhere in the image.

    As published, 0 is the grey between black and white, and colours may leave [-1, 1].

    Args:
        images: `(n, height, width, channels)` floating, in [-1, 1].
        seed: `(2,)` int32.
        policy: names separated by commas, or a tuple or list of names. The changes are applied in this order.

    Returns:
        The augmented images, same shape and dtype.

    Raises:
        ValueError: if a name in `policy` is unknown, or `images` do not have four axes.

    Reference: [Zhao et al., 2020](https://arxiv.org/abs/2006.10738)
    """
    return change_images(images, policy, lambda count: draw_changes(count, seed))


def draw_changes(count, seed):
    """The random numbers for the changes of `count` images, float32 in [0, 1), `(7, count, 1, 1, 1)`."""
    return tf.random.stateless_uniform([7, count, 1, 1, 1], seed, alg="philox")


def change_images(images, policy, draw):
    """`differentiable_augmentation` with random numbers from a function.

    Args:
        images: as in `differentiable_augmentation`.
        policy: as in `differentiable_augmentation`.
        draw: function from a number of images to their random numbers, as `draw_changes` returns them.
    """
    names = check_policy(policy)
    images = tf.convert_to_tensor(images)
    if images.shape.rank != 4:
        raise ValueError(f"`images` must be (n, height, width, channels). Received: shape {images.shape}")
    draws = draw(tf.shape(images)[0])
    # A change has the same draws in every policy.
    draws = {"color": draws[:3], "translation": draws[3:5], "cutout": draws[5:]}
    for name in names:
        images = AUGMENTATIONS[name](images, draws[name])
    return images


def check_policy(policy, argument="policy"):
    """The names of a policy as a tuple.

    Raises:
        ValueError: if it has no name, or a name that is not in `AUGMENTATIONS`.
    """
    names = policy.split(",") if isinstance(policy, str) else policy
    are_names = isinstance(names, (tuple, list)) and all(isinstance(name, str) for name in names)
    names = tuple(name.strip() for name in names) if are_names else ()
    if not names or not set(names) <= set(AUGMENTATIONS):
        raise ValueError(
            f'`{argument}` must name one or more of {tuple(AUGMENTATIONS)}, as "color,cutout". Received: {policy!r}'
        )
    return names


def _change_color(images, draws):
    brightness, saturation, contrast = tf.unstack(tf.cast(draws, images.dtype))
    images += brightness - 0.5
    grey = tf.reduce_mean(images, axis=3, keepdims=True)
    images = grey + 2.0 * saturation * (images - grey)
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return mean + (0.5 + contrast) * (images - mean)


def _translate(images, draws):
    shifts = []
    for draw, size in zip(tf.unstack(draws[..., 0, 0]), tf.unstack(tf.shape(images)[1:3])):
        most = _rounded(size, 1 / 8)
        source = tf.range(size) - _integers_below(draw, 2 * most + 1) + most
        # Row i has a one at the place that pixel i comes from, and only zeros if this is outside the image.
        shifts.append(tf.one_hot(source, size, dtype=images.dtype))
    return tf.einsum("nhi,nwj,nijc->nhwc", *shifts, images)


def _cut_out(images, draws):
    inside = []
    for draw, size in zip(tf.unstack(draws[..., 0, 0]), tf.unstack(tf.shape(images)[1:3])):
        length = _rounded(size, 1 / 2)
        # Every pixel has the same chance to be cut. A rectangle of even length has its centre between two pixels.
        first = _integers_below(draw, size + 1 - length % 2) - length // 2
        inside.append((tf.range(size) >= first) & (tf.range(size) < first + length))
    is_cut = inside[0][:, :, None] & inside[1][:, None, :]
    return tf.where(is_cut[..., None], tf.zeros([], images.dtype), images)


AUGMENTATIONS = {"color": _change_color, "translation": _translate, "cutout": _cut_out}


def _rounded(size, ratio):
    return tf.cast(tf.cast(size, tf.float32) * ratio + 0.5, tf.int32)


def _integers_below(draw, bound):
    """Integers in `[0, bound)` from float32 in [0, 1), `(n, 1)`."""
    return tf.cast(draw * tf.cast(bound, tf.float32), tf.int32)
