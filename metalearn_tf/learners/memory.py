"""External memory: addressing by content and by least recent use, as pure functions."""

import tensorflow as tf


def read_weights(keys, strengths, memory):
    """Where each head reads: a softmax over the cosines between its key and the memory's slots.

    Args:
        keys: `(batch, heads, width)`.
        strengths: positive factors `(batch, heads)` on the cosines.
        memory: `(batch, slots, width)`.

    Returns:
        Weights `(batch, heads, slots)`, each head's with the sum 1.

    Reference: [Santoro et al., 2016](https://arxiv.org/abs/1605.06065), equations 2 and 3;
        strengths: [Graves et al., 2014](https://arxiv.org/abs/1410.5401), equation 5.
    """
    cosines = tf.matmul(_normalized(keys), _normalized(memory), transpose_b=True)
    return tf.nn.softmax(strengths[:, :, None] * cosines)


def least_used(usage, heads):
    """The slots to write to: one for each head, the least used first.

    Args:
        usage: `(batch, slots)`.
        heads: how many.

    Returns:
        One-hot weights `(batch, heads, slots)`. Of equal slots the first is taken.
    """
    return tf.one_hot(tf.math.top_k(-usage, heads).indices, tf.shape(usage)[1], dtype=usage.dtype)


def write(memory, keys, gates, previous_reads, unused):
    """Each head adds its key where it read last or where memory is least used, and the least used slots are cleared.

    Args:
        memory: `(batch, slots, width)`.
        keys: `(batch, heads, width)`.
        gates: `(batch, heads)` in `[0, 1]`: 1 for where it read last.
        previous_reads: read weights of the step before, `(batch, heads, slots)`.
        unused: what `least_used` returns.

    Returns:
        The new memory, and the write weights `(batch, heads, slots)`.

    Reference: [Santoro et al., 2016](https://arxiv.org/abs/1605.06065), equations 5 to 8.
    """
    gates = gates[:, :, None]
    weights = gates * previous_reads + (1.0 - gates) * unused
    kept = 1.0 - tf.reduce_sum(unused, axis=1)
    return memory * kept[:, :, None] + tf.matmul(weights, keys, transpose_a=True), weights


def _normalized(vectors):
    # Empty slots have the cosine 0 to any key; the constant keeps their gradient finite.
    return vectors * tf.math.rsqrt(tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True) + 1e-8)
