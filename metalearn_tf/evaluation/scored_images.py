"""The images that are scored and drawn: in [-1, 1], as a generator's tanh makes them."""

import numpy as np

from metalearn_tf.data.image_range import check_image_range

SCORED_RANGE = (-1.0, 1.0)


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
    check_image_range(argument, images, SCORED_RANGE)
    return images
