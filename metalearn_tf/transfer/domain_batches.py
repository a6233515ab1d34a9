"""Pairs of batches: one of a labelled domain, one of a domain without labels."""

import tensorflow as tf

from metalearn_tf.engine.array_batches import shuffled_rows, stream


def domain_batches(source_x, source_y, target_x, batch_size, seed, first_step=0):
    """Endless batches. Each depends only on the seed and its step, so that training can go on where it stopped.

    Each pass over a domain has a new random order. Passes over domains of different sizes end at different steps.

    Args:
        source_x: array `(n, ...)`.
        source_y: int32 array `(n,)`.
        target_x: array `(m, ...)`; `None` for batches of the source only.
        batch_size: examples of each domain in a batch.
        seed: integer.
        first_step: the step of the first batch.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`, `images` a tuple of `(batch_size, ...)` for each domain, `labels`
        `(batch_size,)` of the first.
    """
    # Eager tensors: as a constant in the pipeline's graph, an array would be in memory a second time.
    domains = [tf.constant(x) for x in (source_x, target_x) if x is not None]
    labels = tf.constant(source_y)

    def batch(step):
        positions = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        rows = [shuffled_rows(positions, len(x), (seed, index)) for index, x in enumerate(domains)]
        return tuple(tf.gather(x, row) for x, row in zip(domains, rows)), tf.gather(labels, rows[0])

    return stream(batch, first_step)
