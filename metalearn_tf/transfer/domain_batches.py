"""Batches of a labelled domain beside batches of one without labels."""

import tensorflow as tf

from metalearn_tf.engine.array_batches import shuffled_rows, stream


def domain_batches(source_x, source_y, target_x, batch_size, seed, first_step=0):
    """Endless batches, each a function of the seed and its step alone, so that training goes on where it stopped.

    A domain is read in an order that is drawn anew for each pass; the passes of two domains of different sizes end at
    different steps.

    Args:
        source_x: array `(n, ...)`.
        source_y: int32 array `(n,)`.
        target_x: array `(m, ...)`; `None` for batches of the source alone.
        batch_size: examples of each domain in a batch.
        seed: integer.
        first_step: the step of the first batch.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`, `images` a tuple of `(batch_size, ...)` for each domain, `labels`
        `(batch_size,)` of the first.
    """
    # Tensors of their own: in the graph of the pipeline an array would be held a second time.
    domains = [tf.constant(x) for x in (source_x, target_x) if x is not None]
    labels = tf.constant(source_y)

    def batch(step):
        positions = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        rows = [shuffled_rows(positions, len(x), (seed, index)) for index, x in enumerate(domains)]
        return tuple(tf.gather(x, row) for x, row in zip(domains, rows)), tf.gather(labels, rows[0])

    return stream(batch, first_step)
