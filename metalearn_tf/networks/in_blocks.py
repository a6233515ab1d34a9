"""Many rows, a block of them at a time."""

import tensorflow as tf


def in_blocks(function, rows, size, dtype=tf.float32):
    """A function of rows, computed for a few of them at a time: memory is that of one block, and of the answer.

    Args:
        function: from `(n, ...)` to `(n, ...)`, each row for itself.
        rows: tensor `(n, ...)`.
        size: the most rows of a block, an integer of at least 1, or an int32 scalar.
        dtype: what the function returns.

    Returns:
        `function(rows)`.
    """
    count = tf.shape(rows)[0] if rows.shape[0] is None else rows.shape[0]
    if isinstance(count, int) and isinstance(size, int) and count <= size:
        return function(rows)
    blocks = tf.maximum(-(-count // size), 1)
    # All of one size, so that little is computed twice: what the last block lacks is the last row again.
    even = -(-count // blocks)

    def answer(block):
        return function(tf.gather(rows, tf.minimum(block * even + tf.range(even), count - 1)))

    answers = tf.map_fn(answer, tf.range(blocks), fn_output_signature=dtype, parallel_iterations=1)
    return tf.reshape(answers, tf.concat([[-1], tf.shape(answers)[2:]], axis=0))[:count]
