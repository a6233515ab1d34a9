"""Checks on the data of a GAN. They run before any work."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.arrays import check_shape
from metalearn_tf.checks.examples import check_not_empty
from metalearn_tf.checks.image_range import check_image_range
from metalearn_tf.checks.whole_numbers import check_seed, check_whole
from metalearn_tf.gan.batches import as_arrays, first_ordered_batch
from metalearn_tf.gan.label_checks import check_classes
from metalearn_tf.gan.network_inputs import are_bytes, condition_of, has_pairs


def check_monitor(monitor, mode):
    """Checks the name of a log and the direction in which it is better, and returns both."""
    if monitor is not None and not isinstance(monitor, str):
        raise ValueError(f"`monitor` must be the name of a log, or None. Received: {monitor!r}")
    if mode not in ("min", "max"):
        raise ValueError(f'`mode` must be "min" or "max". Received: {mode!r}')
    return monitor, mode


def check_training_data(gan, x, y, argument="x"):
    """Refuses images and labels that do not fit the networks. Of data in batches, it checks only the first batch.

    Args:
        gan: a `GAN`.
        x: as in `GAN.fit`.
        y: as in `GAN.fit`.
        argument: name of the argument, for the errors.

    Returns:
        `x` and `y` for Keras's `fit`: a pair of arrays is split into both, lists become arrays, and a generator still
        yields its first batch.
    """
    has_parts = isinstance(x, (tuple, list)) and len(x) in (1, 2) and y is None
    if has_parts and all(hasattr(part, "shape") for part in x) and np.ndim(x[0]) == 4:
        x, y = x if len(x) == 2 else (x[0], None)
    x, y = as_arrays(argument, x), as_arrays("labels", y)
    if hasattr(x, "shape"):
        check_gan_images(argument, x, gan)
        check_gan_labels(gan, y, len(x))
        return x, y
    first, x = first_ordered_batch(argument, x)
    if first is not None:
        if isinstance(first, (tuple, list)) and len(first) > 2:
            raise ValueError(
                f"`{argument}` must be images, or images and labels: a GAN takes no weights. "
                f"Received: {len(first)} parts"
            )
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(first)
        check_gan_images(argument, images, gan)
        check_gan_labels(gan, labels, len(images), in_batches=True)
    return x, y


def check_inputs(gan, x):
    """Refuses wrong inputs of the generator. Of data in batches, it checks only the first batch.

    Args:
        gan: a `GAN`.
        x: as in `GAN.predict`.

    Returns:
        `x` for Keras's `predict`.
    """
    if hasattr(x, "shape") or isinstance(x, (list, tuple)):
        are_parts = isinstance(x, (list, tuple)) and len(x) == 2 and np.ndim(x[0]) == 2
        x = [as_arrays("x", part) for part in x] if are_parts else as_arrays("x", x)
        _check_noise_and_labels(gan, x)
        return x
    first, x = first_ordered_batch("x", x, "noise")
    if first is not None:
        inputs = keras.utils.unpack_x_y_sample_weight(first)[0]
        _check_noise_and_labels(gan, inputs, in_batches=True)
    return x


def _check_noise_and_labels(gan, inputs, in_batches=False):
    noise, *labels = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    if len(labels) != gan.conditional:
        batches = ", as batches of `((noise, labels),)`" if in_batches else ""
        what = f"`[noise, labels]`{batches}, which the generator takes" if gan.conditional else "noise alone"
        raise ValueError(f"`x` must be {what}. Received: {1 + len(labels)} part{'s' if labels else ''}")
    noise = np.asarray(noise)
    if noise.ndim != 2 or noise.shape[1] != gan.latent_dim or noise.dtype.kind not in "fiu":
        raise ValueError(
            f"`x` must have noise of the shape (n, {gan.latent_dim}), floating. "
            f"Received: shape {noise.shape}, dtype={noise.dtype}"
        )
    check_gan_labels(gan, labels[0] if labels else None, len(noise), in_batches)


def check_gan_images(argument, images, gan, shape=None):
    """Refuses images whose shape, dtype or range is not that of the generator.

    Args:
        argument: the name in error messages.
        images: array.
        gan: a `GAN`.
        shape: `(height, width, channels)` of source images; `None` for the shape of the generator's images.

    Returns:
        The images as a NumPy array.
    """
    images, limits = np.asarray(images), gan.image_range
    expected, whose = (gan.image_shape, "the generator makes") if shape is None else (shape, "the source images have")
    check_shape(argument, images, expected, whose)
    check_not_empty(argument, images)
    check_image_range(argument, images, limits)
    if limits is None and images.dtype == np.uint8:
        raise ValueError(
            f"`{argument}` must be floating if the range of the generator is not known: its last layers do not tell "
            "it. Declare it with `GAN(..., image_range=(-1, 1))`, or end the generator with tanh or sigmoid. "
            "Received: uint8"
        )
    low, high = float(images.min()), float(images.max())
    if limits is None and are_bytes(low, high):
        raise ValueError(
            f"`{argument}` must not be floats from 0 to 255 if the range of the generator is not known: a generator "
            "hardly learns such large numbers. Scale them, or declare them with `GAN(..., image_range=(0, 255))`. "
            f"Received: values from {low:g} to {high:g}"
        )
    return images


def check_gan_labels(gan, labels, count, in_batches=False):
    """Refuses labels if the networks take none, and missing labels if they need them.

    Args:
        gan: a `GAN`.
        labels: array, or `None`.
        count: the number of images, or a pair: the number of tasks, and of images in each.
        in_batches: as in `check_classes`.
    """
    if not gan.conditional:
        if labels is not None:
            raise ValueError(
                "`labels` must be None: the networks take no labels. Leave them out, of a dataset by "
                "`.map(lambda images, labels: images)`. Received: labels"
            )
        return
    if labels is None:
        raise ValueError("`labels` are needed: the networks take labels with noise and images. Received: None")
    labels = np.asarray(labels)
    if not has_pairs(gan):
        check_classes(gan, labels, count if isinstance(count, tuple) else (count,), in_batches)
        return
    check_gan_images("labels", labels, gan, gan.source_shape)
    if len(labels) != count:
        raise ValueError(f"`labels` must hold {count} source images, one for each image. Received: {len(labels)}")


def check_sampling(gan, n, labels=None, seed=0):
    """Checks the labels to sample, and returns them as the networks take them; `None` becomes each class in turn.

    Raises:
        ValueError: see `GAN.sample`.
    """
    check_whole(n=n)
    check_seed(seed, signed=True)
    if labels is None and gan.conditional and not has_pairs(gan):
        condition, classes = gan.generator.inputs[1], gan.number_of_classes
        if classes is None or len(condition.shape) > 2:
            what = (
                "the networks do not say how many classes there are" if classes is None else "each is a map of classes"
            )
            raise ValueError(f"`labels` are needed: {what}. Received: None")
        labels = np.arange(n) % classes
    labels = as_arrays("labels", labels)
    check_gan_labels(gan, labels, n)
    return None if labels is None else condition_of(gan, tf.convert_to_tensor(labels))
