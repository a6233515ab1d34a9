"""Draws without replacement as pure tensor functions of counters: the same everywhere, for any batch."""

import tensorflow as tf


def random_bits(shape, seed, counter):
    """Uniform `uint32` of `shape`, a function of the seed and the counter alone (Philox, the same on every device)."""
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(counter, tf.int64)])
    return tf.random.stateless_uniform(shape, key, minval=None, maxval=None, dtype=tf.uint32, alg="philox")


def sample_without_replacement(bits, population, count):
    """Draws `count` distinct numbers below `population`, in random order.

    Floyd's algorithm, whose work does not grow with the population, then a shuffle, since Floyd's order is not uniform.

    Args:
        bits: `uint32` random numbers `(..., 2 * count)`.
        population: integers `(...)`.
        count: how many to draw.

    Returns:
        int64 numbers `(..., count)`. Where the population is smaller than `count`, a permutation of all of it, then
        numbers that are not below it.

    Reference: Bentley and Floyd, 1987, "Programming pearls: a sample of brilliance", CACM 30(9).
    """
    population = tf.cast(population, tf.int64)
    enlarged, chosen = tf.maximum(population, count), []
    for index in range(count):
        last = enlarged - count + index
        candidate = integers_below(bits[..., index], last + 1)
        if chosen:
            taken = tf.reduce_any(tf.stack(chosen, axis=-1) == candidate[..., None], axis=-1)
            candidate = tf.where(taken, last, candidate)
        chosen.append(candidate)
    chosen, keys = tf.stack(chosen, axis=-1), tf.bitcast(bits[..., count : 2 * count], tf.int32)
    # Numbers beyond a small population go last; they do not change the order of the others.
    keys = tf.where(chosen < population[..., None], tf.cast(keys, tf.int64), tf.constant(2**31, tf.int64))
    return tf.gather(chosen, tf.argsort(keys, axis=-1, stable=True), batch_dims=keys.shape.rank - 1)


def integers_below(bits, bound):
    """Integers in `[0, bound)` from 32 random bits: the high half of the product, off by at most `bound / 2**32`."""
    return tf.bitwise.right_shift(tf.cast(bits, tf.int64) * bound, tf.constant(32, tf.int64))
