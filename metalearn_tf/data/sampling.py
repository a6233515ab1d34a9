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
        population: integers `(...)`, at least `count`.
        count: how many to draw.

    Returns:
        int64 numbers `(..., count)`.

    Reference: Bentley and Floyd, 1987, "Programming pearls: a sample of brilliance", CACM 30(9).
    """
    population = tf.cast(population, tf.int64)
    chosen = []
    for index in range(count):
        last = population - count + index
        candidate = _below(bits[..., index], last + 1)
        if chosen:
            taken = tf.reduce_any(tf.stack(chosen, axis=-1) == candidate[..., None], axis=-1)
            candidate = tf.where(taken, last, candidate)
        chosen.append(candidate)
    keys = tf.bitcast(bits[..., count : 2 * count], tf.int32)
    return tf.gather(tf.stack(chosen, axis=-1), tf.argsort(keys, axis=-1, stable=True), batch_dims=keys.shape.rank - 1)


def _below(bits, bound):
    """Integers in `[0, bound)` from 32 random bits: the high half of the product, off by at most `bound / 2**32`."""
    return tf.bitwise.right_shift(tf.cast(bits, tf.int64) * bound, tf.constant(32, tf.int64))
