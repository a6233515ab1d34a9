"""The range of the pixels that a network takes, and images brought to it."""

import numpy as np
import tensorflow as tf

from metalearn_tf.checks.image_range import are_within

# How many images on disk are read to find their range.
_LOOKED_AT = 256


def to_image_range(images, limits):
    """Images as float32: uint8 images are scaled to the range `limits`, all others keep their values.

    Args:
        images: tensor or array `(…, height, width, channels)`, uint8 or floating.
        limits: lowest and highest value of a pixel, such as `(0, 1)` or `(-1, 1)`; may be `None` where the images are
            not uint8.

    Returns:
        Tensor of the same shape.
    """
    if images.dtype not in (np.uint8, tf.uint8):
        return tf.cast(images, tf.float32)
    low, high = limits
    return tf.cast(images, tf.float32) * ((high - low) / 255.0) + low


def change_range(images, given, wanted):
    """Floating images from the range `given` to the range `wanted`."""
    return (images - given[0]) * ((wanted[1] - wanted[0]) / (given[1] - given[0])) + wanted[0]


def range_of_images(argument, dataset, wanted):
    """The range in which a dataset's images are read, for callers that need another range.

    Args:
        argument: the name of the dataset in error messages.
        dataset: a `ClassDataset` or a `ShardedClassDataset` of images; of a sharded one only some images are read.
        wanted: lowest and highest value of a pixel that is wanted.

    Returns:
        `(0, 1)` for uint8 images, which `mtf.data.episodes` scales to it, and for floating images whose pixels are all
        within it; otherwise `wanted`.

    Raises:
        ValueError: if pixels are outside of both.
    """
    if dataset.dtype == np.uint8:
        return 0.0, 1.0
    if hasattr(dataset, "examples"):
        images = dataset.examples
    else:
        images = dataset.gather(np.unique(np.linspace(0, len(dataset) - 1, _LOOKED_AT).astype("int64"))).numpy()
    lowest, highest = float(images.min()), float(images.max())
    for limits in ((0.0, 1.0), wanted):
        if are_within(lowest, highest, limits):
            return limits
    raise ValueError(
        f"`{argument}` must hold images of uint8, in [0, 1] or in the wanted [{wanted[0]:g}, {wanted[1]:g}]. "
        f"Received: values from {lowest:.4g} to {highest:.4g}"
    )
