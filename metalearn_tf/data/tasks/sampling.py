"""Draws without replacement as pure tensor functions of counters: the same everywhere, for any batch."""

import tensorflow as tf


def random_bits(shape, seed, counter):
    """Uniform `uint32` of `shape`, a function of the seed and the counter alone (Philox, the same on every device)."""
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(counter, tf.int64)])
    return tf.random.stateless_uniform(shape, key, minval=None, maxval=None, dtype=tf.uint32, alg="philox")


def sample_without_replacement(bits, population, count):
    """Draws `count` distinct numbers below `population`, in random order.

    Floyd's algorithm, whose work does not grow with the population, then a shuffle, since Floyd's order is not uniform.
    Its steps are taken all at once: the number of operations does not grow with `count`.

    Args:
        bits: `uint32` random numbers `(..., 2 * count)`.
        population: integers `(...)`.
        count: how many to draw.

    Returns:
        int64 numbers `(..., count)`. Where the population is smaller than `count`, a permutation of all of it, then
        numbers that are not below it.

    Reference: Bentley and Floyd, 1987, "Programming pearls: a sample of brilliance", CACM 30(9).
    """
    population = tf.cast(population, tf.int64)[..., None]
    # Step `i` draws a number up to `last[i]`, or takes `last[i]` itself if an earlier step has chosen that number.
    last = tf.maximum(population, count) - count + tf.range(count, dtype=tf.int64)
    drawn = integers_below(bits[..., :count], last + 1)
    chosen = tf.where(_is_taken(drawn, last[..., :1], count), last, drawn)
    keys = tf.bitcast(bits[..., count : 2 * count], tf.int32)
    # Numbers beyond a small population go last; they do not change the order of the others.
    keys = tf.where(chosen < population, tf.cast(keys, tf.int64), tf.constant(2**31, tf.int64))
    return _take(chosen, tf.argsort(keys, axis=-1, stable=True))


def _is_taken(drawn, first, count):
    """Whether an earlier step of Floyd's algorithm has chosen what a step draws, `(..., count)`.

    It has if it drew the same number, or if that number is its own last one, of the steps `first`, `first + 1`, …, and
    what it drew was taken itself.
    """
    order = tf.argsort(drawn, axis=-1, stable=True)
    in_order = _take(drawn, order)
    repeated = tf.concat([tf.zeros_like(in_order[..., :1], tf.bool), in_order[..., 1:] == in_order[..., :-1]], axis=-1)
    taken = _take(repeated, tf.argsort(order, axis=-1))
    # The step that has this last one; the step itself where none has, or it itself has.
    steps = tf.range(count, dtype=tf.int64)
    step = tf.where(drawn >= first, drawn - first, steps)
    # As far as 1, 2, 4, … steps back.
    for _ in range((count - 1).bit_length()):
        taken, step = taken | _take(taken, step), _take(step, step)
    return taken


def _take(values, places):
    """The values `(..., count)` at places `(..., count)`."""
    return tf.gather(values, places, batch_dims=values.shape.rank - 1)


def integers_below(bits, bound):
    """Integers in `[0, bound)` from 32 random bits: the high half of the product, off by at most `bound / 2**32`."""
    return tf.bitwise.right_shift(tf.cast(bits, tf.int64) * bound, tf.constant(32, tf.int64))
