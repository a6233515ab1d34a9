"""Tasks of different sizes in one batch: padding in the form of label -1, and logits of classes that are not there."""

import tensorflow as tf

# As a logit: a probability of 0, and no infinity that a product with 0 would make NaN.
_NEVER = -1e9


def most_ways(support_y):
    """The most classes of the tasks with labels `(tasks, support)`, int32 scalar; `None` for floating targets."""
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
    """The logits of `real_examples`, with 0 in the places of the padding: `(n, ..., ways)` for labels `(n,)`."""
    shape = tf.concat([[tf.size(labels)], tf.shape(logits)[1:]], axis=0)
    return tf.scatter_nd(tf.where(labels >= 0), logits, tf.cast(shape, tf.int64))


def pad_ways(logits, ways):
    """Logits `(..., some)` with columns of probability 0 up to `(..., ways)`; as they are without `ways`."""
    if ways is None:
        return logits
    before = [[0, 0]] * (logits.shape.rank - 1)
    return tf.pad(logits, [*before, [0, ways - tf.shape(logits)[-1]]], constant_values=_NEVER)


def hide_ways(logits, labels):
    """Logits `(tasks, n, ways)` with a probability of 0 for classes that labels `(tasks, n)` of a task do not have."""
    ways = tf.reduce_max(labels, axis=1)[:, None, None] + 1
    return tf.where(tf.range(tf.shape(logits)[-1]) < ways, logits, tf.cast(_NEVER, logits.dtype))
