"""Tasks of different sizes in one batch: padding has the label -1, and missing classes get logits too."""

import tensorflow as tf

# A logit with the probability 0. It is finite, because an infinite one times 0 would be NaN.
_NEVER = -1e9


def most_ways(support_y):
    """The largest number of classes in tasks with labels `(tasks, support)`, int32 scalar; `None` for targets."""
    return None if support_y.dtype.is_floating else tf.reduce_max(support_y) + 1


def real_examples(labels, *tensors):
    """The rows of `tensors` `(n, ...)` whose label in `labels` `(n,)` is not -1.

    Raises:
        InvalidArgumentError: when the graph runs, if all labels are -1.
    """
    real = tf.where(labels >= 0)
    message = "A task must have a support example and a query that are not padding. Received: only labels of -1"
    with tf.control_dependencies([tf.debugging.assert_positive(tf.size(real), message)]):
        return [tf.gather_nd(tensor, real) for tensor in tensors]


def restore_padding(logits, labels):
    """Puts the logits of `real_examples` back in their places, with 0 for padding: `(n, ..., ways)`, labels `(n,)`."""
    shape = tf.concat([[tf.size(labels)], tf.shape(logits)[1:]], axis=0)
    return tf.scatter_nd(tf.where(labels >= 0), logits, tf.cast(shape, tf.int64))


def pad_ways(logits, ways):
    """Fills logits `(..., some)` up to `(..., ways)` with columns of probability 0; no change if `ways` is `None`."""
    if ways is None:
        return logits
    before = [[0, 0]] * (logits.shape.rank - 1)
    return tf.pad(logits, [*before, [0, ways - tf.shape(logits)[-1]]], constant_values=_NEVER)


def hide_ways(logits, labels):
    """Gives classes that are not in a task's labels `(tasks, n)` the probability 0, in logits `(tasks, n, ways)`."""
    ways = tf.reduce_max(labels, axis=1)[:, None, None] + 1
    return tf.where(tf.range(tf.shape(logits)[-1]) < ways, logits, tf.cast(_NEVER, logits.dtype))
