"""Batches of arrays, each a function of a seed and its number alone."""

import numpy as np
import tensorflow as tf

from metalearn_tf.engine.worker_batches import by_worker, worker_rows


def array_batches(x, y, batch_size, seed, shuffle=True):
    """Pass after pass over arrays, each in a new order, without end.

    A stream can be taken up again at any place, as Keras's own pipeline for arrays cannot; and that has tf.data's
    autotuning, whose end after each epoch took a fifth to a third of the time with 16 steps of `resnet9`.

    Args:
        x: array `(n, ...)` of numbers or texts.
        y: array `(n, ...)`; `None` without labels.
        batch_size: examples in a batch; the last one of a pass has what is left.
        seed: integer.
        shuffle: whether in random order.

    Returns:
        A `tf.data.Dataset` of `(x, y)`, or of `x`.
    """
    # Tensors of their own: in the graph of the pipeline an array would be held a second time.
    arrays = tuple(tf.constant(array) for array in (x, y) if array is not None)
    size = len(x)
    batches = -(-size // batch_size)

    def batch(number, worker, workers):
        start = number % batches * batch_size
        rows = worker_rows(tf.range(start, tf.minimum(start + batch_size, size)), worker, workers)
        rows = shuffled_rows(number // batches * size + rows, size, (seed, 0)) if shuffle else rows
        parts = tuple(tf.gather(array, rows) for array in arrays)
        return parts if len(parts) > 1 else parts[0]

    sizes = {min(batch_size, size), size % batch_size or min(batch_size, size)}
    return by_worker(lambda *worker: stream(lambda number: batch(number, *worker)), sizes)


def fit_arguments(x, y, options, steps_per_execution=1):
    """The arguments of a Keras `fit`, with `array_batches` in place of arrays.

    Args:
        x: as in `fit`.
        y: the same.
        options: dict of the other arguments of `fit`.
        steps_per_execution: as in Keras's `compile`. Of a stream without end Keras takes so many batches at a time,
            also where the last ones are beyond the epoch: then the arrays stay arrays.

    Returns:
        A dict of all arguments; the order of arrays is drawn by NumPy's global seed.
    """
    options = {"x": x, "y": y, **options}
    # Keras takes these with arrays alone.
    of_arrays = options.get("sample_weight") is not None or options.get("validation_split")
    batch_size = options.get("batch_size") or 32
    steps = options.get("steps_per_epoch") or (-(-len(x) // batch_size) if isinstance(x, np.ndarray) else 1)
    if isinstance(x, np.ndarray) and not of_arrays and steps % steps_per_execution == 0:
        options.pop("batch_size", None)
        options["steps_per_epoch"] = steps
        shuffle = options.pop("shuffle", True)
        options |= {"x": array_batches(x, y, batch_size, np.random.randint(2**31), shuffle), "y": None}
    if isinstance(options["x"], tf.data.Dataset):
        options["shuffle"] = False  # Keras warns of its own default, which a dataset cannot follow
    return options


def stream(batch, first=0):
    """The endless dataset of `batch(0), batch(1), …`, from number `first` on; the argument is an int64 scalar."""
    batches = tf.data.Dataset.counter(first).map(batch, num_parallel_calls=1).prefetch(4)
    options = tf.data.Options()
    # With autotuning on, the end of `fit` can wait for as long as the iterator lived.
    options.autotune.enabled = False
    return batches.with_options(options)


def shuffled_rows(positions, size, seed):
    """Rows at places of an endless stream of passes over `size` rows, each pass in an order of its own.

    Args:
        positions: int64 `(n,)`.
        size: integer.
        seed: a pair of integers.

    Returns:
        int64 `(n,)`, in `[0, size)`.
    """
    seeds = [tf.zeros_like(positions) + part for part in seed]
    # The operation itself: the function around it takes no seed for each row.
    return tf.raw_ops.RandomIndexShuffle(
        index=positions % size,
        seed=tf.stack([*seeds, positions // size], axis=1),
        max_index=tf.constant(size - 1, tf.int64),
        rounds=4,
    )
