"""Chooses the examples of a support set that an inner step sees."""

import tensorflow as tf


def inner_batch_rows(step, size, count, labels=None):
    """The rows of an inner step's batch. The steps take all examples in turn, and alternate between classes.

    Args:
        step: int32 scalar, counts from 0.
        size: examples in a batch.
        count: examples of the support set, int32 scalar.
        labels: classes `(count,)`, or `None` to keep the order of the examples.

    Returns:
        int32 `(size,)`.
    """
    rows = (step * size + tf.range(size)) % count
    return rows if labels is None else tf.gather(alternating_classes(labels), rows)


def alternating_classes(labels):
    """An order of `labels` `(n,)` in which every class comes once before any comes twice: int32 `(n,)`."""
    same_before = tf.linalg.band_part(tf.cast(labels[:, None] == labels[None, :], tf.int32), -1, 0)
    rounds = tf.reduce_sum(same_before, axis=1)
    return tf.argsort(rounds * (tf.reduce_max(labels) + 1) + labels, stable=True)
