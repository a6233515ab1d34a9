"""Queries that are compared with all that a task has, a block of them at a time."""

import tensorflow as tf

from metalearn_tf.engine.in_blocks import in_blocks
from metalearn_tf.engine.task_mapping import in_training, shared_ways

# Of the comparisons of a block: 4 MiB in float32.
_MOST_NUMBERS = 1 << 20


def in_query_blocks(function, features, numbers):
    """A function of queries, computed for so many at a time that memory does not grow with queries times support.

    In meta-training all are computed at once, since the gradient needs all; and so are tasks that are vectorised.

    Args:
        function: from features of queries `(n, ...)` to logits `(n, ways)`, each query for itself.
        features: `(queries, ...)`.
        numbers: int32 scalar, of the numbers that the function makes for one query.

    Returns:
        `function(features)`.
    """
    if in_training() or shared_ways() is not None:
        return function(features)
    static = tf.get_static_value(numbers)
    size = tf.maximum(_MOST_NUMBERS // numbers, 1) if static is None else max(_MOST_NUMBERS // int(static), 1)
    return in_blocks(function, features, size, features.dtype)
