"""Draws without replacement, as pure tensor functions of counters: the same on every machine and for any batch size."""

import tensorflow as tf


def random_bits(shape, seed, counter):
    """Uniform `uint32` of `shape`, a function of the seed and the counter alone (Philox, the same on every device)."""
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(counter, tf.int64)])
    return tf.random.stateless_uniform(shape, key, minval=None, maxval=None, dtype=tf.uint32, alg="philox")


def sample_without_replacement(bits, population, count):
    """Draws `count` distinct numbers below `population`, in random order.

    First Floyd's algorithm, whose cost does not grow with the population; then a shuffle, because Floyd's order is not
    uniform. All steps run at once, so that the number of operations does not grow with `count`.

    Args:
        bits: `uint32` random numbers `(..., 2 * count)`.
        population: integers `(...)`.
        count: how many to draw.

    Returns:
        int64 numbers `(..., count)`. Where the population is smaller than `count`, they are a permutation of all of it,
        followed by numbers that are outside of it.

    Reference: Bentley and Floyd, 1987, "Programming pearls: a sample of brilliance", CACM 30(9).
    """
    population = tf.cast(population, tf.int64)[..., None]
    # Step `i` draws a number up to `last[i]`, or takes `last[i]` itself if an earlier step has chosen that number.
    last = tf.maximum(population, count) - count + tf.range(count, dtype=tf.int64)
    drawn = integers_below(bits[..., :count], last + 1)
    chosen = tf.where(_is_taken(drawn, last[..., :1], count), last, drawn)
    keys = tf.bitcast(bits[..., count : 2 * count], tf.int32)
    # Numbers outside of a small population are moved to the end; the order of the others stays.
    keys = tf.where(chosen < population, tf.cast(keys, tf.int64), tf.constant(2**31, tf.int64))
    return _take(chosen, tf.argsort(keys, axis=-1, stable=True))


def _is_taken(drawn, first, count):
    """Whether an earlier step of Floyd's algorithm has chosen what a step draws, `(..., count)`.

    There are two such cases. The earlier step drew the same number. Or the number is the last one of that earlier step,
    and the step took it because its own draw had been chosen before. Steps count from `first`.
    """
    order = tf.argsort(drawn, axis=-1, stable=True)
    in_order = _take(drawn, order)
    repeated = tf.concat([tf.zeros_like(in_order[..., :1], tf.bool), in_order[..., 1:] == in_order[..., :-1]], axis=-1)
    taken = _take(repeated, tf.argsort(order, axis=-1))
    # The step whose last number this is; the step itself if there is no such earlier step.
    steps = tf.range(count, dtype=tf.int64)
    step = tf.where(drawn >= first, drawn - first, steps)
    # Follows 1, 2, 4, … steps back.
    for _ in range((count - 1).bit_length()):
        taken, step = taken | _take(taken, step), _take(step, step)
    return taken


def _take(values, places):
    """The values `(..., count)` at places `(..., count)`."""
    return tf.gather(values, places, batch_dims=values.shape.rank - 1)


def integers_below(bits, bound):
    """Integers in `[0, bound)` from 32 random bits: the high half of the product, off by at most `bound / 2**32`."""
    return tf.bitwise.right_shift(tf.cast(bits, tf.int64) * bound, tf.constant(32, tf.int64))
