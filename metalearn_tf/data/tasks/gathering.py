"""Examples of several tables, read as if they were one."""

import tensorflow as tf


def gather_from(tables, first_rows, rows):
    """Reads rows of tables that follow each other.

    Args:
        tables: functions from rows `(n,)` of one table to its examples `(n, ...)`, all of one shape and dtype.
        first_rows: integers `(tables + 1,)`; table `t` holds the rows `first_rows[t]` to `first_rows[t + 1]`.
        rows: int64 `(n,)`.

    Returns:
        The examples `(n, ...)`, in the order of `rows`.
    """
    if len(tables) == 1:
        return tables[0](rows)
    table = tf.searchsorted(first_rows, rows, side="right", out_type=tf.int32) - 1
    positions = tf.dynamic_partition(tf.range(tf.size(rows)), table, len(tables))
    parts = [
        read(tf.gather(rows, position) - first) for read, position, first in zip(tables, positions, first_rows[:-1])
    ]
    return tf.dynamic_stitch(positions, parts)
