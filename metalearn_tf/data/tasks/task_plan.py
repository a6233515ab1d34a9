"""What each task consists of: rows and labels, as pure tensor functions of the seed and the task's number."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from metalearn_tf.data.tasks.sampling import integers_below, random_bits, sample_without_replacement

# Tasks are drawn in blocks, so that few operations make their random numbers. Another size would change the tasks of a
# seed.
BLOCK = 64


class TaskPlan(NamedTuple):
    """Which examples some tasks consist of. Padding has the row -1 and the label -1, at the end of a task.

    Attributes:
        number: int64 `(tasks,)`, which task of the endless stream it is.
        support_rows: int64 `(tasks, support)`.
        support_y: int32 `(tasks, support)`, in `[0, ways)`.
        query_rows: int64 `(tasks, queries)`.
        query_y: int32 `(tasks, queries)`.
    """

    number: tf.Tensor
    support_rows: tf.Tensor
    support_y: tf.Tensor
    query_rows: tf.Tensor
    query_y: tf.Tensor


@dataclasses.dataclass(frozen=True)
class TaskSize:
    """How large tasks are: each number is a pair, the smallest and the largest, drawn uniformly for each task.

    Attributes:
        ways: classes in a task.
        shots: support examples of a class.
        queries: query examples of a class.
        uneven_shots: whether each class of a task draws its shots on its own.
        ragged: whether any size is a real pair, so that tasks are padded.
    """

    ways: tuple
    shots: tuple
    queries: tuple
    uneven_shots: bool
    ragged: bool


def plan_block(block, pools, size, seed):
    """Draws the tasks `BLOCK * block` to `BLOCK * (block + 1) - 1` of a seed.

    Args:
        block: int64 scalar, not negative.
        pools: `ClassPools`.
        size: `TaskSize`.
        seed: integer.

    Returns:
        A `TaskPlan` of `BLOCK` tasks, padded to the largest size.
    """
    (_, ways), (_, shots), (_, queries) = size.ways, size.shots, size.queries
    # The examples of a task and the kind of the task come from separate counters, so that a new kind of task does not
    # change the examples of a seed.
    bits = random_bits([BLOCK, 2 * ways * (1 + shots + queries)], seed, block)
    kinds = random_bits([BLOCK, 4 + ways], seed, -1 - block)
    class_bits, member_bits = bits[:, : 2 * ways], tf.reshape(bits[:, 2 * ways :], [BLOCK, ways, -1])

    start, available = _draw_pool(pools, kinds[:, 0], kinds[:, 1])
    ways_drawn = _between(kinds[:, 2], size.ways[0], tf.minimum(available, ways))[:, None, None]
    shots_drawn = _between(kinds[:, 4:] if size.uneven_shots else kinds[:, 4:5], *size.shots)[..., None]
    queries_drawn = _between(kinds[:, 3:4], *size.queries)[..., None]

    places = sample_without_replacement(class_bits, available, ways)
    # Places beyond the pool belong to padding, where the class does not matter.
    classes = tf.gather(pools.classes, start[:, None] + tf.minimum(places, available[:, None] - 1))
    support_rows, query_rows = _draw_rows(pools, classes, member_bits, shots, queries)
    support = _flat(support_rows, ways_drawn, shots_drawn, size.ragged)
    query = _flat(query_rows, ways_drawn, queries_drawn, size.ragged)
    return TaskPlan(block * BLOCK + tf.range(BLOCK, dtype=tf.int64), *support, *query)


def _draw_pool(pools, domain_bits, pool_bits):
    """Where each task's pool starts in `pools.classes`, and how many classes it has: int64 `(tasks,)` both."""
    uniform = tf.cast(domain_bits, tf.float64) / 2.0**32
    domain = tf.searchsorted(pools.thresholds, uniform, side="right")
    first, after = tf.gather(pools.pools, domain), tf.gather(pools.pools, domain + 1)
    pool = first + integers_below(pool_bits, after - first)
    start = tf.gather(pools.members, pool)
    return start, tf.gather(pools.members, pool + 1) - start


def _draw_rows(pools, classes, bits, shots, queries):
    """The rows of each class, `(tasks, ways, shots)` and `(tasks, ways, queries)`."""

    def draw(part, part_bits, count):
        starts, sizes = (tf.gather(table, classes) for table in part)
        return starts[..., None] + sample_without_replacement(part_bits, sizes, count)

    if pools.query is pools.support:
        rows = draw(pools.support, bits, shots + queries)
        return rows[..., :shots], rows[..., shots:]
    return draw(pools.support, bits[..., : 2 * shots], shots), draw(pools.query, bits[..., 2 * shots :], queries)


def _flat(rows, ways, count, ragged):
    """Rows and labels `(tasks, ways * count)`, class by class. Places beyond `ways` and `count` become padding."""
    _, most_ways, most = rows.shape
    labels = tf.tile(tf.repeat(tf.range(most_ways), most)[None], [BLOCK, 1])
    rows = tf.reshape(rows, [BLOCK, most_ways * most])
    if not ragged:
        return rows, labels
    is_real = (tf.range(most_ways, dtype=tf.int64)[:, None] < ways) & (tf.range(most, dtype=tf.int64) < count)
    is_real = tf.reshape(is_real, [BLOCK, most_ways * most])
    real_first = tf.argsort(tf.cast(~is_real, tf.int32), axis=-1, stable=True)
    return (
        tf.gather(tf.where(is_real, rows, -1), real_first, batch_dims=1),
        tf.gather(tf.where(is_real, labels, -1), real_first, batch_dims=1),
    )


def _between(bits, smallest, largest):
    """Uniform integers from `smallest` to `largest`, both included."""
    return smallest + integers_below(bits, tf.cast(largest - smallest + 1, tf.int64))
