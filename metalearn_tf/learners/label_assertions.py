"""Checks on the labels of every batch, made when its graph runs: what can be told beforehand is in `batch_checks`."""

import tensorflow as tf


def with_label_assertions(support_y, query_y, max_ways=None):
    """The labels of a batch, which raise where they are those of no tasks.

    Arrays are checked whole before any work; of data that are read in batches, only the first batch is.

    Args:
        support_y: labels `(tasks, support)`, -1 for padding; or floating targets, which are returned as they are.
        query_y: labels `(tasks, queries)`, or targets.
        max_ways: the most classes that a task may have; `None` without a bound.

    Returns:
        `support_y` and `query_y`, as they are.

    Raises:
        InvalidArgumentError: when the graph runs, if a task lacks a label below its largest, has a query of a class
            that its support set does not have, or has more than `max_ways` classes.
    """
    if support_y.dtype.is_floating or query_y.dtype.is_floating:
        return support_y, query_y
    support, queries = (tf.cast(labels, tf.int32) for labels in (support_y, query_y))  # unsigned ones have no -1
    first, *of_width = _support_checks(support, max_ways)
    ways = tf.reduce_max(support, axis=1) + 1
    out_of_place = tf.reduce_any(tf.reduce_max(queries, axis=1) >= ways)
    of_queries = (
        ~out_of_place & (tf.reduce_min(queries) >= -1),
        "`query_y` must be in [0, ways), the labels of the support set. Received: labels",
        queries,
    )
    return _asserted([first, of_queries, *of_width], [support_y, query_y])


def with_support_assertions(support_y, max_ways=None):
    """The labels of the support sets alone, where no one asks for those of the queries; see above."""
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
            "`support_y` must hold every label from 0 to ways - 1 in each task, and not padding alone. "
            "Received: labels",
            support_y,
        )
    ]
    if max_ways is not None:
        message = f"The tasks must have at most {max_ways} ways, the width of the network's head. Received: ways"
        checks.append((most <= max_ways, message, most))
    return checks


def _asserted(checks, given):
    # One after the other, so that of two faults always the first is told.
    asserted = []
    for fits, message, received in checks:
        with tf.control_dependencies(asserted):
            asserted = [tf.debugging.Assert(fits, [message, received])]
    with tf.control_dependencies(asserted):
        return [tf.identity(labels) for labels in given]
