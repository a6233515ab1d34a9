"""The range of a generator's images."""

import tensorflow as tf

_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


def image_range(generator):
    """Lowest and highest value of a generated pixel, from the last activation; `None` where it has no bounds.

    Args:
        generator: a built `keras.Model`.
    """
    layer = generator.layers[-1]
    activation = getattr(layer, "activation", None)
    return _RANGES.get(getattr(activation, "__name__", None))


def to_image_range(images, limits):
    """Images as float32: uint8 images in the range `limits`, all others as they are.

    Args:
        images: tensor `(…, height, width, channels)`, uint8 or floating.
        limits: what `image_range` returned; not `None` for uint8 images.
    """
    if images.dtype != tf.uint8:
        return tf.cast(images, tf.float32)
    low, high = limits
    return tf.cast(images, tf.float32) * ((high - low) / 255.0) + low
