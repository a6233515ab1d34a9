"""Finds the images that are closest to generated ones, pixel by pixel."""

import numpy as np

from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.evaluation.distances import BLOCK, squared_distances
from metalearn_tf.evaluation.scored_images import SCORED_RANGE, check_scored_images


def nearest_images(generated, images, image_range=None):
    """The nearest image of each generated one, to show whether a generator copies.

    Args:
        generated: `(n, height, width, channels)`, floating in `image_range`, or uint8.
        images: `(m, height, width, channels)`, the images to search, such as the training images.
        image_range: lowest and highest value of a floating pixel; `None` for `[-1, 1]`.

    Returns:
        `(indices, distances)`: int64 `(n,)`, positions in `images`, and float64 `(n,)`, Euclidean distances over all
        pixels in `[-1, 1]`: 0 for a copy, and at most `2 * sqrt(height * width * channels)`.

    Raises:
        ValueError: if the images are not such arrays, or differ in shape.
    """
    generated = check_scored_images("generated", generated, image_range=image_range)
    images = check_scored_images("images", images, image_range=image_range)
    if generated.shape[1:] != images.shape[1:]:
        raise ValueError(
            "`generated` and `images` must hold images of the same shape. "
            f"Received: {generated.shape[1:]} and {images.shape[1:]}"
        )
    points = _points(generated)
    indices, smallest = np.zeros(len(points), "int64"), np.full(len(points), np.inf)
    # In blocks of images: a whole training set in float64 would take gigabytes.
    for start in range(0, len(images), BLOCK):
        distances = squared_distances(points, _points(images[start : start + BLOCK]))
        candidates = distances.argmin(axis=1)
        values = distances[np.arange(len(points)), candidates]
        closer = values < smallest
        indices[closer], smallest[closer] = start + candidates[closer], values[closer]
    # Computed again from the differences, so that a copy has distance 0 and not a rounding error.
    return indices, np.linalg.norm(points - _points(images[indices]), axis=1)


def _points(images):
    return np.asarray(to_image_range(images, SCORED_RANGE), "float64").reshape(len(images), -1)
