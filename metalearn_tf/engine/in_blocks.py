"""Many rows, a block of them at a time."""

import tensorflow as tf


def in_blocks(function, rows, size, dtype=tf.float32):
    """A function of rows, computed for a few of them at a time: memory is that of one block, and of the answer.

    Args:
        function: from `(n, ...)` to `(n, ...)`, each row for itself.
        rows: tensor `(n, ...)`, or a nested structure of such that the function takes.
        size: the most rows of a block, an integer of at least 1, or an int32 scalar.
        dtype: what the function returns.

    Returns:
        `function(rows)`.
    """
    first = tf.nest.flatten(rows)[0]
    count = tf.shape(first)[0] if first.shape[0] is None else first.shape[0]
    if isinstance(count, int) and isinstance(size, int) and count <= size:
        return function(rows)
    blocks = tf.maximum(-(-count // size), 1)
    # All of one size, so that little is computed twice: what the last block lacks is the last row again.
    even = -(-count // blocks)

    def answer(block):
        places = tf.minimum(block * even + tf.range(even), count - 1)
        return function(tf.nest.map_structure(lambda part: tf.gather(part, places), rows))

    answers = tf.map_fn(answer, tf.range(blocks), fn_output_signature=dtype, parallel_iterations=1)
    return tf.reshape(answers, tf.concat([[-1], tf.shape(answers)[2:]], axis=0))[:count]
