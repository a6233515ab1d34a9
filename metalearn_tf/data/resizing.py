"""How every loader brings images to one size: centred crop, then resize."""

import operator

import tensorflow as tf


def check_image_size(image_size):
    """The size as `(height, width)`; `None` stays `None`.

    Args:
        image_size: `None`, a positive integer for square images, or a pair `(height, width)`.

    Raises:
        ValueError: if it is anything else.
    """
    if image_size is None:
        return None
    sides = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    try:
        sides = tuple(operator.index(side) for side in sides)
    except TypeError:
        sides = ()
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(
            "`image_size` must be a positive integer or a pair (height, width) of them. "
            f"Received: image_size={image_size!r}"
        )
    return sides


def crop_and_resize(images, size):
    """The middle of the images, in the aspect ratio of `size`, resized to it; see `crop` and `resize`."""
    return resize(crop(images, size), size)


def crop(images, size):
    """The middle of the images: the largest part in the aspect ratio of `size`, at least one pixel.

    Args:
        images: `uint8` tensor `(..., height, width, channels)` of rank 3 or 4.
        size: pair `(height, width)`.

    Returns:
        `uint8` tensor `(..., part of the height, part of the width, channels)`.
    """
    height, width = size
    shape = tf.shape(images)
    old_height, old_width = shape[-3], shape[-2]
    crop_height = tf.clip_by_value(old_width * height // width, 1, old_height)
    crop_width = tf.clip_by_value(old_height * width // height, 1, old_width)
    top, left = (old_height - crop_height) // 2, (old_width - crop_width) // 2
    return images[..., top : top + crop_height, left : left + crop_width, :]


def resize(images, size):
    """The images at another size, stretched if the aspect ratio changes.

    Shrinking averages the area under each new pixel, so that nothing is skipped; enlarging is bilinear.

    Args:
        images: `uint8` tensor `(..., height, width, channels)` of rank 3 or 4.
        size: pair `(height, width)`.

    Returns:
        `uint8` tensor `(..., *size, channels)`.
    """
    height, width = size
    shape = tf.shape(images)
    resized = tf.cond(
        tf.logical_and(shape[-3] >= height, shape[-2] >= width),
        lambda: tf.image.resize(images, size, method="area"),
        # Where one side grows and the other shrinks, `antialias` averages along the one that shrinks.
        lambda: tf.image.resize(images, size, method="bilinear", antialias=True),
    )
    return tf.cast(tf.round(resized), "uint8")
