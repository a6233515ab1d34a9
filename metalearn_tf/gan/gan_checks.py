"""Checks on the data of a GAN, made before any work is done."""

import collections.abc
import itertools
import os
import types

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.data.class_index import ClassIndex
from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.data.whole_numbers import check_whole
from metalearn_tf.gan.network_checks import check_seed, has_pairs, shapes_meet

# Above what images of an unknown range may have as floats: standardised ones stay far below, bytes far above.
_MOST_WITHOUT_RANGE = 30.0
# What Keras would refuse without a word of what a GAN takes.
_NO_BATCHES = (dict, tuple, str, bytes, os.PathLike, collections.abc.Iterator, ClassIndex)


def check_monitor(monitor, mode):
    """The name of a log and the direction in which it is better, as they came."""
    if monitor is not None and not isinstance(monitor, str):
        raise ValueError(f"`monitor` must be the name of a log, or None. Received: {monitor!r}")
    if mode not in ("min", "max"):
        raise ValueError(f'`mode` must be "min" or "max". Received: {mode!r}')
    return monitor, mode


def check_training_data(gan, x, y, argument="x"):
    """Refuses images and labels that do not fit the networks; of batches, the first is looked at.

    Args:
        gan: a `GAN`.
        x: as in `GAN.fit`.
        y: as in `GAN.fit`.
        argument: name of the argument, for the errors.

    Returns:
        `x` and `y` for Keras's `fit`: a pair of arrays is both, lists are arrays, and a generator still has its first
        batch.
    """
    if isinstance(x, (tuple, list)) and len(x) == 2 and y is None and all(hasattr(part, "shape") for part in x):
        x, y = x
    x, y = (np.asarray(part) if isinstance(part, list) else part for part in (x, y))
    if hasattr(x, "shape"):
        check_images(gan, x, f"`{argument}`")
        check_labels(gan, y, len(x))
        return x, y
    first, x = first_batch(x, argument)
    if first is not None:
        name = f"the first batch of `{argument}`"
        if isinstance(first, (tuple, list)) and len(first) > 2:
            raise ValueError(
                f"{name} must be images, or images and labels: a GAN takes no weights. Received: {len(first)} parts"
            )
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(first)
        check_images(gan, images, name)
        check_labels(gan, labels, len(images))
    return x, y


def first_batch(x, argument):
    """The first batch of data that come in batches, `None` where none can be looked at, and the data with all."""
    if isinstance(x, keras.utils.PyDataset):
        return _batch(x[0], argument), x
    if isinstance(x, (tf.data.Dataset, types.GeneratorType)):
        first = next(iter(x.take(1) if isinstance(x, tf.data.Dataset) else x), None)
        if first is None:
            raise ValueError(f"`{argument}` must have at least one batch. Received: an empty {type(x).__name__}")
        return _batch(first, argument), x if isinstance(x, tf.data.Dataset) else _generator(first, x)
    if x is None or isinstance(x, _NO_BATCHES):
        fix = "; a `ClassDataset` has `examples` and `labels`, and `mtf.data.image_tasks` makes tasks of it"
        fix = fix if isinstance(x, ClassIndex) else ""
        raise ValueError(
            f"`{argument}` must be images, or batches of them, as a `tf.data.Dataset`, a "
            f"`keras.utils.PyDataset` or a generator{fix}. Received: {type(x).__name__}"
        )
    return None, x


def _batch(first, argument):
    """A batch, as it came, unless its parts have names."""
    if isinstance(first, dict):
        raise ValueError(
            f"`{argument}` must give batches of images, or of `(images, labels)`; of a dataset with named parts, "
            f"`dataset.map(lambda batch: batch[{next(iter(first), None)!r}])`. Received: batches of {list(first)}"
        )
    return first


def _generator(first, rest):
    """A generator, which Keras knows by its type, of a batch that was looked at and those behind it; of tuples."""
    for batch in itertools.chain([first], rest):
        yield batch if isinstance(batch, tuple) else (batch,)


def check_images(gan, images, name="`images`", shape=None):
    """Refuses images of another shape, dtype or range than the generator's.

    Args:
        gan: a `GAN`.
        images: array.
        name: of the images, for the errors.
        shape: `(height, width, channels)` of images that are not the generator's; `None` for its own.

    Returns:
        The images as a NumPy array.
    """
    images, limits = np.asarray(images), gan.image_range
    expected, whose = (gan.image_shape, "the generator's images") if shape is None else (shape, "the source images")
    if images.ndim != 4 or not shapes_meet(images.shape[1:], expected):
        raise ValueError(
            f"{name} must have the shape (n, {', '.join(map(str, expected))}) of {whose}. "
            f"Received: shape {images.shape}"
        )
    if len(images) == 0:
        raise ValueError(f"{name} must hold at least one image. Received: none")
    if images.dtype == np.uint8:
        if limits is None:
            raise ValueError(
                f"{name} must be floating where the range of the generator is not known: its last layers do not say "
                "it. Declare it by `GAN(..., image_range=(-1, 1))`, or end the generator with tanh or sigmoid. "
                "Received: uint8"
            )
        return images
    if images.dtype.kind != "f":
        raise ValueError(
            f"{name} must be floating, or uint8; `images.astype('uint8')` makes bytes of numbers from 0 to 255. "
            f"Received: dtype={images.dtype}"
        )
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        raise ValueError(f"{name} must be finite. Received: NaN or infinite pixels")
    # A little more than the bounds is what resizing and arithmetic of low precision leave.
    if limits is not None and not (limits[0] - 0.01 <= low and high <= limits[1] + 0.01):
        raise ValueError(
            f"{name} must be in the range [{limits[0]:g}, {limits[1]:g}] of the generator; uint8 images are brought "
            f"there by themselves. Received: values from {low:g} to {high:g}"
        )
    if limits is None and low >= 0.0 and _MOST_WITHOUT_RANGE < high <= 255.0:
        raise ValueError(
            f"{name} must not be floats from 0 to 255 where the range of the generator is not known: from small noise "
            "such numbers are hardly learned. Scale them, or declare them by `GAN(..., image_range=(0, 255))`. "
            f"Received: values from {low:g} to {high:g}"
        )
    return images


def check_labels(gan, labels, count):
    """Refuses labels for networks that take none, and their absence for others."""
    if not gan.conditional:
        if labels is not None:
            raise ValueError(
                "`labels` must be None: the networks take no labels. Leave them out, of a dataset by "
                "`.map(lambda images, labels: images)`. Received: labels"
            )
        return
    if labels is None:
        raise ValueError("`labels` are needed: the networks take labels beside noise and images. Received: None")
    labels, condition = np.asarray(labels), gan.generator.inputs[1]
    if has_pairs(gan):
        check_images(gan, labels, "`labels`", gan.source_shape)
    shape = tuple(condition.shape[1:])
    if labels.ndim != 1 + len(shape) or len(labels) != count or not shapes_meet(labels.shape[1:], shape):
        column = "; `labels[:, 0]` has" if labels.shape == (count, 1) and shape == () else ""
        raise ValueError(f"`labels` must have the shape {(count, *shape)}{column}. Received: shape {labels.shape}")
    if has_pairs(gan):
        return
    classes = gan.number_of_classes
    if classes is None and shape and tf.as_dtype(condition.dtype).is_floating:  # attributes, not classes
        if labels.dtype.kind not in "iuf" or not np.isfinite(labels).all():
            raise ValueError(f"`labels` must be finite numbers. Received: dtype={labels.dtype}")
        return
    if labels.dtype.kind not in "iu":
        raise ValueError(f"`labels` must be integers. Received: dtype={labels.dtype}")
    if classes is not None and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"`labels` must be in [0, {classes}), the classes that the networks know. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )


def check_sampling(gan, n, labels, seed=0):
    """The labels to sample, each class in turn where there are none; source images in the range of the generator.

    Raises:
        ValueError: see `GAN.sample`.
    """
    check_whole(n=n)
    check_seed(seed)
    if labels is None and gan.conditional and not has_pairs(gan):
        classes = gan.number_of_classes
        if classes is None:
            raise ValueError("`labels` are needed: the networks do not say how many classes there are. Received: None")
        labels = (np.arange(n) % classes).reshape(n, *gan.generator.inputs[1].shape[1:])
    check_labels(gan, labels, n)
    return None if labels is None else condition_of(gan, np.asarray(labels))


def condition_of(gan, labels):
    """Checked labels as the networks take them: source images in the generator's range, others in the input's dtype."""
    if has_pairs(gan):
        return to_image_range(labels, gan.image_range)
    return tf.cast(labels, gan.generator.inputs[1].dtype)
