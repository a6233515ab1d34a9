"""The range of the images that are scored and drawn: -1 to 1, as a generator's tanh makes them."""

import numpy as np
import tensorflow as tf

# What rounding may add.
_TOLERANCE = 1e-3


def to_image_range(images):
    """Float32 images in `[-1, 1]` from such or from uint8 ones, as a tensor."""
    if images.dtype in (np.uint8, tf.uint8):
        return tf.cast(images, tf.float32) / 127.5 - 1.0
    return tf.cast(images, tf.float32)


def check_image_range(argument, images):
    """Raises a `ValueError` unless the array is uint8, or floating in `[-1, 1]`."""
    if images.dtype == np.uint8:
        return
    if images.dtype.kind != "f" and images.dtype.name != "bfloat16":
        raise ValueError(f"`{argument}` must be uint8, or floating in [-1, 1]. Received: dtype={images.dtype}")
    lowest, highest = float(images.min()), float(images.max())
    # Written so that NaN fails.
    if not (lowest >= -1 - _TOLERANCE and highest <= 1 + _TOLERANCE):
        raise ValueError(
            f"`{argument}` must be in [-1, 1]; `images / 127.5 - 1` brings 0 to 255 there. "
            f"Received: values from {lowest:.4g} to {highest:.4g}"
        )


def check_images(argument, images, least=1):
    """The images as an array `(n, height, width, channels)`, uint8 or floating in `[-1, 1]`.

    Raises:
        ValueError: if they are not such images, or fewer than `least`.
    """
    images = np.asarray(images)
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(
            f"`{argument}` must have shape (images, height, width, channels). Received: shape {images.shape}"
        )
    if len(images) < least:
        raise ValueError(f"`{argument}` must hold at least {least} images. Received: {len(images)}")
    check_image_range(argument, images)
    return images
