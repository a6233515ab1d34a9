"""Queries that are compared with all support examples or classes, one block of queries at a time."""

import tensorflow as tf

from metalearn_tf.engine.in_blocks import in_blocks
from metalearn_tf.engine.task_mapping import in_training, shared_ways

# The numbers of one block: 4 MiB in float32.
_MOST_NUMBERS = 1 << 20


def in_query_blocks(function, features, numbers):
    """Computes a function of queries in blocks, so memory does not grow with queries times support.

    In meta-training it computes all queries at once, because the gradient needs all. Vectorised tasks do the same.

    Args:
        function: from features of queries `(n, ...)` to logits `(n, ways)`, each query separately.
        features: `(queries, ...)`.
        numbers: int32 scalar, how many numbers the function computes for one query.

    Returns:
        `function(features)`.
    """
    if in_training() or shared_ways() is not None:
        return function(features)
    static = tf.get_static_value(numbers)
    size = tf.maximum(_MOST_NUMBERS // numbers, 1) if static is None else max(_MOST_NUMBERS // int(static), 1)
    return in_blocks(function, features, size, features.dtype)
