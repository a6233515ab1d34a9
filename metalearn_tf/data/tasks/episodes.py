"""Few-shot tasks from labelled examples, as a `tf.data` pipeline."""

import tensorflow as tf

from metalearn_tf.data.tasks.augmentation import augment, check_augmentation
from metalearn_tf.data.tasks.class_pools import first_rows, make_class_pools
from metalearn_tf.data.tasks.episode_checks import (
    check_domains,
    check_enough_classes,
    check_enough_examples,
    check_integers,
    check_query_dataset,
    check_size,
)
from metalearn_tf.data.tasks.task_plan import BLOCK, plan_block
from metalearn_tf.engine.usable_cores import usable_cores
from metalearn_tf.engine.worker_batches import by_worker, worker_rows


def episodes(
    dataset, ways, shots, queries, tasks_per_batch=1, seed=0, within_parent=False, proportions=None, query_dataset=None,
    uneven_shots=False, support_augmentation=None, query_augmentation=None,
):  # fmt: skip
    """An endless stream of few-shot tasks.

    Each task draws `ways` classes and, from each, `shots` support and `queries` query examples, all without
    replacement. Episode `i` of a seed is the same on every machine and for every `tasks_per_batch`.

    Example:

    ```python
    tasks = mtf.data.episodes(train, ways=5, shots=1, queries=15, tasks_per_batch=8)
    learner.fit(tasks, steps_per_epoch=100)

    mtf.data.episodes(train, ways=5, shots=1, queries=15, within_parent=True)  # five letters of one alphabet
    mtf.data.episodes([photos, sketches], 5, 1, 15, proportions=[3, 1])  # three of four tasks are of photos
    mtf.data.episodes(photos, 5, 1, 15, query_dataset=sketches)  # adapt to photos, ask for sketches
    mtf.data.episodes(train, ways=(2, 5), shots=(1, 10), queries=15, uneven_shots=True)
    ```

    Args:
        dataset: a `ClassDataset` or a `ShardedClassDataset`, or a list of them, the domains: each task is of one
            domain. All pipelines share one copy of the examples in memory.
        ways: classes in a task. An integer, or a pair `(smallest, largest)` from which each task draws uniformly.
        shots: support examples of each class, an integer or a pair.
        queries: query examples of each class, an integer or a pair.
        tasks_per_batch: tasks in a batch, the first axis of every output.
        seed: integer.
        within_parent: whether all classes of a task share a parent. A task first draws one node of the dataset's tree,
            uniformly among the nodes with at least `ways` classes below them (the smallest `ways` of a pair). Then it
            draws classes from below this node, at most as many as there are. In a tree of several levels a class is
            below its parent, its parent's parent, and so on, as in Meta-Dataset.
        proportions: positive numbers, the share of each domain in the tasks, in any unit; by default equal shares.
        query_dataset: where the queries come from, if not from `dataset`: a dataset of another domain, with classes of
            the same names. Classes that are only in `query_dataset` are not drawn.
        uneven_shots: whether each class of a task draws its shots on its own; needs `shots` as a pair.
        support_augmentation: optional Keras layer or `keras.Sequential`, such as `keras.layers.RandomFlip()`, applied
            with `training=True` to the support images of each task, in `[0, 1]`. Layers with a `value_range` must be
            built with `(0, 1)`. Its random numbers depend only on `seed` and the task, not on the layer's own seed, so
            that augmented episodes can be repeated like others. This does not hold for layers that do not use Keras's
            seed generators.
        query_augmentation: the same for the query images.

    Returns:
        An infinite `tf.data.Dataset` of `((support_x, support_y, query_x), query_y)`, class by class:
        `support_x` `(tasks, ways * shots, ...)`, float32 in `[0, 1]` for uint8 images, else as the examples are;
        `support_y` `(tasks, ways * shots)` int32 in `[0, ways)`; `query_x` and `query_y` have the same form.

        With a pair, tasks are padded at their ends to the largest numbers. Padding has the label -1 and examples of
        zeros (or empty strings). The elements are then `((support_x, support_y, query_x), query_y, sample_weight)`,
        with `sample_weight` `(tasks, queries)` float32, 1 for queries and 0 for padding, as Keras takes it.

    Raises:
        ValueError: if a number is not positive or a pair not ascending; if a dataset, domain or parent has too few
            classes or a class too few examples for the largest task; if domains differ in shape or dtype; or if
            the arguments do not go together.
        TypeError: if a dataset is not a `ClassDataset` or an augmentation not a Keras layer.

    Reference: [Triantafillou et al., 2020](https://arxiv.org/abs/1903.03096), for tasks from a tree.
    """
    check_integers(tasks_per_batch, seed)
    size = check_size(ways, shots, queries, uneven_shots)
    datasets = query_datasets = check_domains(dataset, proportions)
    if query_dataset is not None:
        query_datasets = [check_query_dataset(datasets, query_dataset)]
    check_enough_classes(datasets, size, within_parent)
    check_enough_examples(datasets, query_datasets, size)
    if support_augmentation is not None:
        support_augmentation = check_augmentation("support_augmentation", support_augmentation, datasets[0])
    if query_augmentation is not None:
        query_augmentation = check_augmentation("query_augmentation", query_augmentation, datasets[0])
    pools = make_class_pools(datasets, query_datasets, size.ways[0], within_parent, proportions)

    def make_tasks(plan):
        support_x = take_examples(datasets, plan.support_rows, size.ragged)
        query_x = take_examples(query_datasets, plan.query_rows, size.ragged)
        if support_augmentation is not None:
            support_x = augment(support_augmentation, support_x, plan.support_rows, plan.number, seed, stream=0)
        if query_augmentation is not None:
            query_x = augment(query_augmentation, query_x, plan.query_rows, plan.number, seed, stream=1)
        tasks = (support_x, plan.support_y, query_x), plan.query_y
        return (*tasks, tf.cast(plan.query_y >= 0, tf.float32)) if size.ragged else tasks

    cores = usable_cores()

    def make(worker, workers):
        tasks = tf.data.Dataset.counter().map(lambda block: plan_block(block, pools, size, seed), num_parallel_calls=1)
        tasks = tasks.rebatch(tasks_per_batch, drop_remainder=True) if tasks_per_batch != BLOCK else tasks
        tasks = tasks.map(
            lambda plan: make_tasks(worker_rows(plan, worker, workers)),
            num_parallel_calls=cores,
            deterministic=True,
        )
        tasks = tasks.prefetch(2).apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        options = tf.data.Options()
        # With autotuning, `fit` or `evaluate` may end late: the wait can be as long as the iterator lived.
        options.autotune.enabled = False
        return tasks.with_options(options)

    return by_worker(make, [tasks_per_batch])


def take_examples(datasets, rows, ragged):
    """The examples `(tasks, n, ...)` of rows `(tasks, n)`; zeros, or empty strings, for the row -1."""
    flat = tf.reshape(rows, [-1])
    chosen = _gather_from([dataset.gather for dataset in datasets], first_rows(datasets), tf.maximum(flat, 0))
    if not ragged:
        examples = to_float(chosen)
    elif chosen.dtype == tf.string:
        examples = tf.where(flat >= 0, chosen, "")
    else:
        # A product by rows is several times faster than `tf.where`. It is correct because examples are finite.
        is_real = tf.cast(flat >= 0, tf.float32)[:, None]
        scale = is_real * (1.0 / 255.0) if chosen.dtype == tf.uint8 else is_real
        examples = tf.cast(tf.reshape(chosen, [flat.shape[0], -1]), tf.float32) * scale
    return tf.reshape(examples, [*rows.shape, *datasets[0].example_shape])


def to_float(images):
    """uint8 images as float32 in `[0, 1]`; anything else as it is."""
    return tf.cast(images, tf.float32) * (1.0 / 255.0) if images.dtype == tf.uint8 else images


def _gather_from(tables, first_rows, rows):
    """Reads rows from several tables that are numbered one after the other.

    Args:
        tables: functions from rows `(n,)` of one table to its examples `(n, ...)`, all of one shape and dtype.
        first_rows: integers `(tables + 1,)`; table `t` holds the rows `first_rows[t]` to `first_rows[t + 1]`.
        rows: int64 `(n,)`.

    Returns:
        The examples `(n, ...)`, in the order of `rows`.
    """
    if len(tables) == 1:
        return tables[0](rows)
    table = tf.searchsorted(first_rows, rows, side="right", out_type=tf.int32) - 1
    positions = tf.dynamic_partition(tf.range(tf.size(rows)), table, len(tables))
    parts = [
        read(tf.gather(rows, position) - first) for read, position, first in zip(tables, positions, first_rows[:-1])
    ]
    return tf.dynamic_stitch(positions, parts)
