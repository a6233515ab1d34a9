"""Checks on the tasks of every batch, inside the graph. `batch_checks` has the checks before any work."""

import tensorflow as tf


def with_assertions(tasks, max_ways=None):
    """Returns the tensors of a batch of tasks, with assertions that they are valid tasks.

    Arrays are checked completely before any work. Of data that come in batches, only the first batch is.

    Args:
        tasks: a list of tensors: `support_x` `(tasks, support, ...)`, `support_y` `(tasks, support)`, labels with -1
            for padding, or floating targets, `query_x` `(tasks, queries, ...)` and, if it is known, `query_y`.
        max_ways: the largest number of classes of a task; `None` if there is no limit.

    Returns:
        A list of the same values.

    Raises:
        InvalidArgumentError: when the graph runs, if a number is NaN or infinite; if the labels of a task have a gap;
            if a query's class is not in the support set; or if a task has more than `max_ways` classes.
    """
    names = ("support_x", "support_y", "query_x", "query_y")
    numbers = [(name, tensor) for name, tensor in zip(names, tasks) if tensor.dtype.is_floating]
    are_finite = [
        (tf.reduce_all(tf.math.is_finite(tensor)), f"`{name}` must be finite", "NaN or infinite values")
        for name, tensor in numbers
    ]
    support_x, support_y, *queries = _asserted(are_finite, tasks)
    if len(queries) == 1:
        return [support_x, _with_support_assertions(support_y, max_ways), *queries]
    support_y, query_y = _with_label_assertions(support_y, queries[1], max_ways)
    return [support_x, support_y, queries[0], query_y]


def _with_label_assertions(support_y, query_y, max_ways):
    if support_y.dtype.is_floating or query_y.dtype.is_floating:
        return support_y, query_y
    support, queries = (tf.cast(labels, tf.int32) for labels in (support_y, query_y))  # unsigned ones have no -1
    first, *of_width = _support_checks(support, max_ways)
    ways = tf.reduce_max(support, axis=1) + 1
    out_of_place = tf.reduce_any(tf.reduce_max(queries, axis=1) >= ways)
    of_queries = (
        ~out_of_place & (tf.reduce_min(queries) >= -1),
        "`query_y` must be in [0, ways), the labels of the support set",
        queries,
    )
    return _asserted([first, of_queries, *of_width], [support_y, query_y])


def _with_support_assertions(support_y, max_ways):
    if support_y.dtype.is_floating:
        return support_y
    return _asserted(_support_checks(tf.cast(support_y, tf.int32), max_ways), [support_y])[0]


def _support_checks(support_y, max_ways):
    ways = tf.reduce_max(support_y, axis=1) + 1
    most = tf.reduce_max(ways)
    is_there = tf.reduce_any(support_y[..., None] == tf.range(most), axis=1)
    has_gaps = tf.reduce_sum(tf.cast(is_there, tf.int32), axis=1) < ways
    checks = [
        (
            ~tf.reduce_any(has_gaps) & (tf.reduce_min(support_y) >= -1) & (tf.reduce_min(ways) > 0),
            "`support_y` must hold every label from 0 to ways - 1 in each task, and not padding alone",
            support_y,
        )
    ]
    if max_ways is not None:
        message = f"The tasks must have at most {max_ways} ways, the width of the network's head"
        checks.append((most <= max_ways, message, most))
    return checks


def _asserted(checks, given):
    # One after the other: with two faults, the error is always about the first.
    asserted = []
    for fits, message, received in checks:
        with tf.control_dependencies(asserted):
            asserted = [tf.debugging.Assert(fits, [f"{message}. Received:", received])]
    with tf.control_dependencies(asserted):
        return [tf.identity(tensor) for tensor in given]
