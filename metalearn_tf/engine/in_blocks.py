"""Many rows, one block at a time."""

import tensorflow as tf


def in_blocks(function, rows, size, dtype=tf.float32):
    """Computes a function of rows in blocks. It needs the memory of one block and of the result.

    Args:
        function: from `(n, ...)` to `(n, ...)`, each row separately.
        rows: tensor `(n, ...)`, or a nested structure of such tensors that the function takes.
        size: the largest number of rows in a block, an integer of at least 1, or an int32 scalar.
        dtype: the dtype that the function returns.

    Returns:
        `function(rows)`.
    """
    first = tf.nest.flatten(rows)[0]
    count = tf.shape(first)[0] if first.shape[0] is None else first.shape[0]
    if isinstance(count, int) and isinstance(size, int) and count <= size:
        return function(rows)
    blocks = tf.maximum(-(-count // size), 1)
    # All blocks have the same size, so little is computed twice: repeats of the last row fill the last block.
    even = -(-count // blocks)

    def answer(block):
        places = tf.minimum(block * even + tf.range(even), count - 1)
        return function(tf.nest.map_structure(lambda part: tf.gather(part, places), rows))

    answers = tf.map_fn(answer, tf.range(blocks), fn_output_signature=dtype, parallel_iterations=1)
    return tf.reshape(answers, tf.concat([[-1], tf.shape(answers)[2:]], axis=0))[:count]
