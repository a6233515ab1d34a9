"""The range of pixels: whether it is valid, and whether images are in it."""

import numpy as np

from metalearn_tf.checks.arrays import check_finite
from metalearn_tf.checks.dtypes import check_dtype

# How far resizing and low precision may leave the range at both ends, as a share of the range.
TOLERANCE = 0.005


def check_limits(image_range):
    """Refuses a range that is not a pair of the lowest and the highest value of a pixel."""
    if len(image_range) != 2 or not -np.inf < image_range[0] < image_range[1] < np.inf:
        raise ValueError(
            f"`image_range` must be the lowest and the highest value of a pixel. Received: image_range={image_range}"
        )


def are_within(low, high, limits):
    """Whether pixels from `low` to `high` (numbers or scalar tensors) are in the range `limits`, with a small
    tolerance."""
    margin = TOLERANCE * (limits[1] - limits[0])
    return (low >= limits[0] - margin) & (high <= limits[1] + margin)


def check_image_range(argument, images, limits=None):
    """Accepts uint8 images, and floating images that are finite and in the range. Refuses all others.

    Args:
        argument: the name in error messages.
        images: array.
        limits: lowest and highest value of a floating pixel; `None` for any.

    Raises:
        ValueError: says what is accepted and, if all pixels are in `[0, 255]`, how to convert them.
    """
    check_dtype(argument, images.dtype, "pixels", limits)
    if images.dtype == np.uint8 or images.size == 0:
        return
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        check_finite(argument, images)
    if limits is not None and not are_within(low, high, limits):
        are_bytes = low >= 0 and 1 < high <= 255
        fix = "; uint8 images are scaled to it: use `images.astype('uint8')`" if are_bytes else ""
        raise ValueError(
            f"`{argument}` must be in [{limits[0]:g}, {limits[1]:g}]{fix}. "
            f"Received: values from {low:.4g} to {high:.4g}"
        )
