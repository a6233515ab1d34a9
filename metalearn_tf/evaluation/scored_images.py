"""Images that are scored and drawn: in [-1, 1], like the outputs of a generator with tanh."""

import numpy as np

from metalearn_tf.checks.image_range import check_image_range, check_limits

SCORED_RANGE = (-1.0, 1.0)


def check_scored_images(argument, images, least=1, image_range=None):
    """The images as an array `(n, height, width, channels)`, uint8 or floating in `[-1, 1]`.

    Args:
        argument: name of the argument in error messages.
        images: array, uint8 or floating in `image_range`.
        least: the smallest number of images.
        image_range: lowest and highest value of a floating pixel; `None` for `[-1, 1]`.

    Raises:
        ValueError: if they are not such images, or fewer than `least`. Without `image_range`, also if they seem to be
            in `[0, 1]`: black is 0, white is 1 and nothing is below 0.
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
    """Floating images scaled from the range `limits` to `[-1, 1]`, and clipped to it."""
    low, high = limits
    if (low, high) == SCORED_RANGE:
        return images
    return np.clip((images.astype("float32") - low) * (2.0 / (high - low)) - 1.0, -1.0, 1.0)
