"""Batches of a labelled domain beside batches of one without labels."""

import tensorflow as tf


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
        rows = [_rows(step, len(x), batch_size, (seed, index)) for index, x in enumerate(domains)]
        return tuple(tf.gather(x, row) for x, row in zip(domains, rows)), tf.gather(labels, rows[0])

    batches = tf.data.Dataset.counter(first_step).map(batch, num_parallel_calls=1).prefetch(4)
    options = tf.data.Options()
    # With it, the end of `fit` waits for as long as the training took.
    options.autotune.enabled = False
    return batches.with_options(options)


def _rows(step, size, batch_size, seed):
    """The rows of one domain in the batch of a step, int64 `(batch_size,)`."""
    positions = step * batch_size + tf.range(batch_size, dtype=tf.int64)
    passes = positions // size
    seeds = tf.stack([tf.fill([batch_size], tf.constant(part, tf.int64)) for part in seed] + [passes], axis=1)
    # The operation itself: the function around it takes no seed for each row.
    largest = tf.constant(size - 1, tf.int64)
    return tf.raw_ops.RandomIndexShuffle(index=positions % size, seed=seeds, max_index=largest, rounds=4)
