"""External memory: addressing by content and by least recent use, as pure functions."""

import tensorflow as tf


def read_weights(keys, strengths, memory):
    """Where each head reads: a softmax over the cosines between its key and the memory's slots.

    Args:
        keys: `(batch, heads, width)`.
        strengths: positive factors `(batch, heads)` on the cosines.
        memory: `(batch, slots, width)`.

    Returns:
        Weights `(batch, heads, slots)`; those of each head sum to 1.

    Reference: [Santoro et al., 2016](https://arxiv.org/abs/1605.06065), equations 2 and 3;
        strengths: [Graves et al., 2014](https://arxiv.org/abs/1410.5401), equation 5.
    """
    cosines = tf.matmul(_normalized(keys), _normalized(memory), transpose_b=True)
    return tf.nn.softmax(strengths[:, :, None] * cosines)


def least_used(usage, heads):
    """The slots to write to: one for each head, the least used first.

    Args:
        usage: `(batch, slots)`.
        heads: the number of heads.

    Returns:
        One-hot weights `(batch, heads, slots)`. Of slots with equal usage, the first comes first.
    """
    return tf.one_hot(tf.math.top_k(-usage, heads).indices, tf.shape(usage)[1], dtype=usage.dtype)


def write(memory, keys, gates, previous_reads, unused):
    """Clears the least used slots. Each head then adds its key to the slots that it read last or to the least used one.

    Args:
        memory: `(batch, slots, width)`.
        keys: `(batch, heads, width)`.
        gates: `(batch, heads)` in `[0, 1]`: 1 writes to the slots that the head read last, 0 to the least used slot.
        previous_reads: read weights of the previous step, `(batch, heads, slots)`.
        unused: the result of `least_used`.

    Returns:
        The new memory, and the write weights `(batch, heads, slots)`.

    Reference: [Santoro et al., 2016](https://arxiv.org/abs/1605.06065), equations 5 to 8.
    """
    gates = gates[:, :, None]
    weights = gates * previous_reads + (1.0 - gates) * unused
    kept = 1.0 - tf.reduce_sum(unused, axis=1)
    return memory * kept[:, :, None] + tf.matmul(weights, keys, transpose_a=True), weights


def _normalized(vectors):
    # The cosine of an empty slot with any key is 0. The constant keeps its gradient finite.
    return vectors * tf.math.rsqrt(tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True) + 1e-8)
