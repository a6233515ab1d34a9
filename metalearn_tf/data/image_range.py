"""The range of the pixels that a network takes, and images brought to it."""

import numpy as np
import tensorflow as tf

# What rounding may add, in parts of the range.
_TOLERANCE = 1e-3
# Of images on disk, to tell their range.
_LOOKED_AT = 256


def to_image_range(images, limits):
    """Images as float32: uint8 images in the range `limits`, all others as they are.

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
    """The range in which a dataset's images are read, for those who want them in another.

    Args:
        argument: the name of the dataset in error messages.
        dataset: a `ClassDataset` or a `ShardedClassDataset` of images; of the latter some are looked at.
        wanted: lowest and highest value of a pixel that is wanted.

    Returns:
        `(0, 1)` of uint8 images, which `mtf.data.episodes` brings there, and of floating ones without a pixel
        outside of it; else `wanted`.

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
    for low, high in ((0.0, 1.0), wanted):
        margin = _TOLERANCE * (high - low)
        if low - margin <= lowest and highest <= high + margin:
            return low, high
    raise ValueError(
        f"`{argument}` must hold images of uint8, in [0, 1] or in the wanted [{wanted[0]:g}, {wanted[1]:g}]. "
        f"Received: values from {lowest:.4g} to {highest:.4g}"
    )


def check_limits(image_range):
    """Refuses what is not the lowest and the highest value of a pixel."""
    if len(image_range) != 2 or not -np.inf < image_range[0] < image_range[1] < np.inf:
        raise ValueError(
            f"`image_range` must be the lowest and the highest value of a pixel. Received: image_range={image_range}"
        )


def are_within(low, high, limits):
    """Whether pixels from `low` to `high`, numbers or scalar tensors, are in a generator's range `limits`.

    A little more than its bounds is what resizing and arithmetic of low precision leave.
    """
    margin = 0.005 * (limits[1] - limits[0])
    return (low >= limits[0] - margin) & (high <= limits[1] + margin)


def check_image_range(argument, images, limits):
    """Refuses an array that is neither uint8 nor floating in the range `limits`.

    Raises:
        ValueError: if it is not; names both ranges and, where all pixels are in `[0, 255]`, the fix.
    """
    low, high = limits
    accepted = f"[{low:g}, {high:g}]"
    if images.dtype == np.uint8:
        return
    if images.dtype.kind != "f" and images.dtype.name != "bfloat16":
        raise ValueError(f"`{argument}` must be uint8, or floating in {accepted}. Received: dtype={images.dtype}")
    lowest, highest = float(images.min()), float(images.max())
    margin = _TOLERANCE * (high - low)
    # Written so that NaN fails.
    if not (lowest >= low - margin and highest <= high + margin):
        are_bytes = lowest >= 0 and 1 < highest <= 255
        fix = "; uint8 images are brought there, so that `images.astype('uint8')` helps" if are_bytes else ""
        raise ValueError(
            f"`{argument}` must be in {accepted}{fix}. Received: values from {lowest:.4g} to {highest:.4g}"
        )
