"""Brings images and labels to the form that the networks of a GAN take. Only this file decides what is a pixel.

`gan_checks` and `label_checks` check whole arrays and first batches before any work. This file checks every batch,
inside the graph, because nobody else sees the later ones.
"""

import tensorflow as tf

from metalearn_tf.checks.image_range import are_within
from metalearn_tf.data.image_range import to_image_range

# The limit for floats if the range is unknown: standardised images stay far below it, bytes go far above it.
MOST_WITHOUT_RANGE = 30.0


def has_pairs(gan):
    """Whether the networks' second input is an image: floating, with height, width and channels.

    Integer inputs with these axes are maps of classes. All other inputs are classes or attributes, not pixels.
    """
    if not gan.conditional:
        return False
    condition = gan.generator.inputs[1]
    return len(condition.shape) == 4 and tf.as_dtype(condition.dtype).is_floating


def images_of(gan, images, name="x"):
    """Images as float32 in the generator's range. uint8 images are scaled to it, floating ones are not changed.

    Args:
        gan: a `GAN`.
        images: tensor `(…, height, width, channels)`.
        name: name of the argument, for the error.

    Raises:
        InvalidArgumentError: when the graph runs, if a pixel is out of the range.
    """
    images, limits = tf.convert_to_tensor(images), gan.image_range
    if images.dtype == tf.uint8 and limits is not None:
        return to_image_range(images, limits)
    images = tf.cast(images, tf.float32)
    low, high = tf.reduce_min(images), tf.reduce_max(images)
    if limits is not None:
        fits, accepted = are_within(low, high, limits), f"in the range [{limits[0]:g}, {limits[1]:g}] of the generator"
    else:
        fits, accepted = ~are_bytes(low, high), "no floats from 0 to 255 where the range of the generator is not known"
    # Some kernels of the minimum ignore NaN.
    fits &= tf.reduce_all(tf.math.is_finite(images))
    return _after(images, fits, f"`{name}` must be finite and {accepted}. Received: pixels from", low, "to", high)


def are_bytes(low, high):
    """Whether floats from `low` to `high` (numbers or scalar tensors) look like bytes. Used if the range is unknown."""
    return (low >= 0.0) & (high > MOST_WITHOUT_RANGE) & (high <= 255.0)


def condition_of(gan, labels):
    """Labels as the networks take them: source images in the generator's range, others in the input's shape and dtype.

    Args:
        gan: a conditional `GAN`.
        labels: tensor or array `(n, …)`, with or without a last axis of 1.

    Raises:
        InvalidArgumentError: when the graph runs, if labels are not among the networks' classes, attributes are not
            finite, or pixels are out of the range.
    """
    if has_pairs(gan):
        return images_of(gan, labels, "labels")
    condition = gan.generator.inputs[1]
    shape = condition.shape[1:]
    labels = tf.convert_to_tensor(labels)
    labels = _checked(gan, tf.reshape(labels, [-1, *shape]) if shape in ((), (1,)) else labels)
    return tf.cast(labels, condition.dtype)


def class_numbers(gan, labels, rank):
    """Class numbers as int32 with `rank` axes, without a last axis of 1. Raises the same errors as `condition_of`."""
    labels = tf.convert_to_tensor(labels)
    return tf.cast(_checked(gan, labels if labels.shape.rank == rank else tf.squeeze(labels, -1)), tf.int32)


def _checked(gan, labels):
    classes = gan.number_of_classes
    if classes is None:
        if not labels.dtype.is_floating:
            return labels
        fits = tf.reduce_all(tf.math.is_finite(labels))
        return _after(labels, fits, "`labels` must be finite. Received: NaN or infinite numbers")
    numbers = labels if labels.dtype.is_floating else tf.cast(labels, tf.int64)  # 8 bits may not hold the bound
    low, high = tf.reduce_min(numbers), tf.reduce_max(numbers)
    message = f"`labels` must be in [0, {classes}), the classes that the networks know. Received: labels from"
    return _after(labels, (low >= 0) & (high < classes), message, low, "to", high)


def _after(tensor, fits, *message):
    with tf.control_dependencies([tf.debugging.Assert(fits, message)]):
        return tf.identity(tensor)
