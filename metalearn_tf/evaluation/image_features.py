"""The features of images, in batches."""

import numpy as np

from metalearn_tf.checks.arrays import check_vectors
from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.evaluation.scored_images import SCORED_RANGE, check_scored_images


def image_features(images, feature_network, batch_size=256, image_range=None):
    """The features that a network computes from images. Several scores can share them.

    Args:
        images: `(n, height, width, channels)`, floating in `image_range`, or uint8.
        feature_network: a Keras model from images in `[-1, 1]` to features `(batch, d)`, such as
            `mtf.evaluation.feature_network("mnist")`. It is called with `training=False`.
        batch_size: images in a call.
        image_range: lowest and highest value of a floating pixel; `None` for `[-1, 1]`.

    Returns:
        float32 array `(n, d)`.

    Raises:
        ValueError: if the images are not such arrays or do not have the size that the network takes, or if the features
            are not 2-D or not finite.
    """
    images = check_scored_images("images", images, image_range=image_range)
    check_takes("feature_network", feature_network, images)
    return check_vectors("features", outputs(feature_network, images, batch_size)).astype("float32")


def outputs(network, images, batch_size=256):
    """The outputs of a network for checked images, as one array."""
    check_whole(batch_size=batch_size)
    batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    return np.concatenate(
        [np.asarray(network(to_image_range(batch, SCORED_RANGE), training=False)) for batch in batches]
    )


def check_takes(argument, network, images):
    """Refuses images whose shape is not that of the network, if the network has a fixed shape."""
    shape = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple):
        return
    expected, received = shape[1:], images.shape[1:]
    fits = len(expected) == 3 and all(size is None or size == other for size, other in zip(expected, received))
    if not fits:
        raise ValueError(f"`{argument}` takes images of shape {expected}. Received: images of shape {received}")
