"""Splits batches over several workers."""

import tensorflow as tf


def by_worker(make, sizes):
    """A dataset that can make only the part of one worker, without the work for the others.

    Args:
        make: function from a worker's number and the number of workers to a `tf.data.Dataset` of this worker's rows of
            each batch, as in `worker_rows`.
        sizes: all sizes that a batch may have.

    Returns:
        `make(0, 1)`. A dataset that you make of it with `map`, `take` and so on loses this ability.
    """
    dataset = make(0, 1)
    dataset.of_worker, dataset.batch_sizes = make, sizes
    return dataset


def worker_rows(batch, worker, workers):
    """The rows of a worker in each tensor of a batch. All workers get the same number of rows, in order."""

    def rows(tensor):
        size = tf.shape(tensor)[0] // workers if tensor.shape[0] is None else tensor.shape[0] // workers
        return tensor[worker * size : (worker + 1) * size]

    return tf.nest.map_structure(rows, batch)


def split_batches(dataset, strategy):
    """Splits a dataset of batches over the replicas of a strategy. Each replica gets its rows of every batch.

    TensorFlow's own sharding derives the batches from the operations of a pipeline. Pipelines of tasks have too many
    operations for this, and each worker would do the work of all. Here, batch `i` of all replicas together is always
    batch `i` of the dataset.

    Args:
        dataset: a `tf.data.Dataset` of batches.
        strategy: a `tf.distribute` strategy whose replicas take equal parts.

    Returns:
        A `tf.distribute.DistributedDataset`.

    Raises:
        ValueError: if the size of the batches is known, and not a multiple of the number of replicas.
    """
    replicas = strategy.num_replicas_in_sync
    size = tf.nest.flatten(dataset.element_spec)[0].shape[0]
    _check_sizes(getattr(dataset, "batch_sizes", [] if size is None else [size]), replicas)

    def of_pipeline(context):
        rows = _of_worker(dataset, context.input_pipeline_id, context.num_input_pipelines, replicas)
        local = replicas // context.num_input_pipelines
        return rows if local == 1 else _cut(rows, local)

    return strategy.distribute_datasets_from_function(of_pipeline)


def _check_sizes(sizes, replicas):
    for size in sizes:
        if size % replicas:
            nearest = max(replicas, round(size / replicas) * replicas)
            raise ValueError(
                f"A batch (`tasks_per_batch` or `batch_size`), also the last of a pass, must be a multiple of the "
                f"{replicas} replicas that share it; the nearest is {nearest}. Received: a batch of {size}"
            )


def _of_worker(dataset, worker, workers, replicas):
    """The dataset of a worker's rows of each batch. Each batch must be a multiple of `replicas`."""
    if workers > 1 and hasattr(dataset, "of_worker"):
        return dataset.of_worker(worker, workers)

    def rows(*batch):
        size = tf.shape(tf.nest.flatten(batch)[0])[0]
        message = f"A batch must be a multiple of the {replicas} replicas that share it; leave the rest of a pass out"
        with tf.control_dependencies([tf.debugging.assert_equal(size % replicas, 0, message)]):
            batch = worker_rows(tf.nest.map_structure(tf.identity, batch), worker, workers)
        return batch if len(batch) > 1 else batch[0]

    return dataset.map(rows).with_options(dataset.options())


def _cut(dataset, parts):
    """Splits each batch into `parts` batches, one after the other."""

    def stack(*batch):
        def pieces(tensor):
            return tf.reshape(tensor, tf.concat([[parts, -1], tf.shape(tensor)[1:]], axis=0))

        batch = tf.nest.map_structure(pieces, batch)
        return batch if len(batch) > 1 else batch[0]

    return dataset.map(stack).unbatch().with_options(dataset.options())
