"""Few-shot tasks from labelled examples, as a `tf.data` pipeline."""

import os

import numpy as np
import tensorflow as tf

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.sampling import random_bits, sample_without_replacement

# Episodes are drawn in blocks, so that their random numbers come from few operations. Part of what a seed means.
_BLOCK = 64


def episodes(dataset, ways, shots, queries, tasks_per_batch=1, seed=0):
    """An endless stream of few-shot tasks.

    Each task draws `ways` classes and, from each, `shots` support and `queries` query examples, all without
    replacement. Episode `i` of a seed is the same on every machine and for every `tasks_per_batch`.

    Example:

    ```python
    tasks = mtf.data.episodes(train, ways=5, shots=1, queries=15, tasks_per_batch=8)
    learner.fit(tasks, steps_per_epoch=100)
    ```

    Args:
        dataset: a `ClassDataset`. Its examples are held once, whatever the number of pipelines.
        ways: classes in a task.
        shots: support examples of each class.
        queries: query examples of each class.
        tasks_per_batch: tasks in a batch, the leading axis of all that comes out.
        seed: integer.

    Returns:
        An infinite `tf.data.Dataset` of `((support_x, support_y, query_x), query_y)`, class by class:
        `support_x` `(tasks, ways * shots, ...)`, float32 in `[0, 1]` for uint8 images, else as the examples are;
        `support_y` `(tasks, ways * shots)` int32 in `[0, ways)`; `query_x` and `query_y` alike.

    Raises:
        ValueError: if a number is not positive, or the dataset has too few classes or a class too few examples.
        TypeError: if `dataset` is not a `ClassDataset`.
    """
    _check(dataset, ways, shots, queries, tasks_per_batch, seed)
    sizes, offsets = np.diff(dataset.offsets), dataset.offsets[:-1]
    examples, per_class = dataset.as_tensor(), shots + queries

    def draw_block(block):
        bits = random_bits([_BLOCK, 2 * ways * (1 + per_class)], seed, block)
        classes = sample_without_replacement(bits[:, : 2 * ways], tf.fill([_BLOCK], dataset.num_classes), ways)
        bits = tf.reshape(bits[:, 2 * ways :], [_BLOCK, ways, 2 * per_class])
        members = sample_without_replacement(bits, tf.gather(sizes, classes), per_class)
        return tf.gather(offsets, classes)[..., None] + members

    def make_tasks(indices):
        (support_x, support_y), (query_x, query_y) = (
            take(indices[..., :shots], shots),
            take(indices[..., shots:], queries),
        )
        return (support_x, support_y, query_x), query_y

    def take(indices, count):
        chosen = tf.gather(examples, tf.reshape(indices, [tasks_per_batch, ways * count]))
        labels = tf.repeat(tf.range(ways, dtype=tf.int32), count)
        return to_float(chosen), tf.tile(labels[None], [tasks_per_batch, 1])

    cores = os.cpu_count() or 1
    tasks = tf.data.Dataset.counter().map(draw_block, num_parallel_calls=1)
    tasks = tasks.rebatch(tasks_per_batch, drop_remainder=True) if tasks_per_batch != _BLOCK else tasks
    tasks = tasks.map(make_tasks, num_parallel_calls=cores, deterministic=True).prefetch(2)
    tasks = tasks.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    options = tf.data.Options()
    # With autotuning on, the end of `fit` or `evaluate` can wait for as long as the iterator lived.
    options.autotune.enabled = False
    return tasks.with_options(options)


def to_float(images):
    """uint8 images as float32 in `[0, 1]`; anything else as it is."""
    return tf.cast(images, tf.float32) * (1.0 / 255.0) if images.dtype == tf.uint8 else images


def _check(dataset, ways, shots, queries, tasks_per_batch, seed):
    if not isinstance(dataset, ClassDataset):
        raise TypeError(f"`dataset` must be a ClassDataset. Received: {type(dataset).__name__}")
    numbers = {"ways": ways, "shots": shots, "queries": queries, "tasks_per_batch": tasks_per_batch}
    for name, number in numbers.items():
        if not isinstance(number, (int, np.integer)) or number < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {number!r}")
    if not isinstance(seed, (int, np.integer)):
        raise ValueError(f"`seed` must be an integer. Received: {seed!r}")
    if dataset.num_classes < ways:
        raise ValueError(f"`ways` must be at most the {dataset.num_classes} classes of the dataset. Received: {ways}")
    sizes = np.diff(dataset.offsets)
    if sizes.min() < shots + queries:
        small = [name for name, size in zip(dataset.class_names, sizes) if size < shots + queries]
        raise ValueError(
            f"`shots + queries` must be at most the number of examples of every class; {len(small)} classes have "
            f"fewer, among them {small[0]!r} with {sizes.min()}. Leave them out with `dataset.select(...)`. "
            f"Received: shots={shots}, queries={queries}"
        )
