"""The images that are scored and drawn: in [-1, 1], as a generator's tanh makes them."""

import numpy as np

from metalearn_tf.checks.image_range import check_image_range, check_limits

SCORED_RANGE = (-1.0, 1.0)


def check_scored_images(argument, images, least=1, image_range=None):
    """The images as an array `(n, height, width, channels)`, uint8 or floating in `[-1, 1]`.

    Args:
        argument: name of the argument, for the errors.
        images: array, uint8 or floating in `image_range`.
        least: how many there must be.
        image_range: lowest and highest value of a floating pixel; `None` for `[-1, 1]`.

    Raises:
        ValueError: if they are not such images, or fewer than `least`; and without `image_range` if they seem to be in
            `[0, 1]`, with black at 0 and white at 1 and nothing below.
    """
    images = np.asarray(images)
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(
            f"`{argument}` must have shape (images, height, width, channels). Received: shape {images.shape}"
        )
    if len(images) < least:
        raise ValueError(f"`{argument}` must hold at least {least} images. Received: {len(images)}")
    limits = SCORED_RANGE if image_range is None else image_range
    check_limits(limits)
    check_image_range(argument, images, limits)
    if images.dtype == np.uint8:
        return images
    low, high = float(images.min()), float(images.max())
    if image_range is None and 0.0 <= low < 0.1 and 0.9 < high <= 1.0:
        raise ValueError(
            f"`{argument}` must be in [-1, 1], and seems to be in [0, 1]; say which by `image_range=(0, 1)` or "
            f"`image_range=(-1, 1)`. Received: values from {low:.4g} to {high:.4g}"
        )
    return to_scored_range(images, limits)


def to_scored_range(images, limits):
    """Floating images of a range `limits` in `[-1, 1]`, what is beyond at its bounds."""
    low, high = limits
    if (low, high) == SCORED_RANGE:
        return images
    return np.clip((images.astype("float32") - low) * (2.0 / (high - low)) - 1.0, -1.0, 1.0)
