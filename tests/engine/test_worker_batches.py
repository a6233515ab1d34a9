"""How several workers share the batches of one pipeline."""

import types

import metalearn_tf as mtf
from metalearn_tf.engine.array_batches import array_batches
from metalearn_tf.engine.worker_batches import split_batches, worker_rows

import numpy as np
import pytest
import tensorflow as tf

IMAGES = np.random.default_rng(0).uniform(0, 1, (24, 4, 4, 1)).astype("float32")
DATASET = mtf.data.ClassDataset(IMAGES, np.repeat(np.arange(4), 6))


def tasks():
    return mtf.data.episodes(DATASET, ways=3, shots=1, queries=2, tasks_per_batch=6)


PIPELINES = {
    "episodes": tasks,
    "ragged": lambda: mtf.data.episodes(DATASET, ways=(2, 4), shots=(1, 3), queries=2, tasks_per_batch=6),
    "image_tasks": lambda: mtf.data.image_tasks(DATASET, shots=3, queries=2, tasks_per_batch=6),
    "labelled image_tasks": lambda: mtf.data.image_tasks(DATASET, shots=3, queries=2, tasks_per_batch=6, ways=2),
    "arrays": lambda: array_batches(IMAGES, np.arange(24), batch_size=18, seed=0),
}


@pytest.mark.parametrize(("name", "workers"), [("episodes", 2), ("ragged", 3), ("image_tasks", 2), ("arrays", 3)])
def test_the_workers_parts_are_the_rows_of_each_batch(name, workers):
    whole = PIPELINES[name]()
    parts = [whole.of_worker(worker, workers) for worker in range(workers)]
    # Four batches of arrays are two passes, the second batch of which is smaller.
    for batch, *of_workers in zip(whole.take(4), *parts):
        together = tf.nest.map_structure(lambda *rows: np.concatenate(rows), *of_workers)
        for tensor, expected in zip(tf.nest.flatten(together), tf.nest.flatten(batch), strict=True):
            np.testing.assert_array_equal(tensor, expected)


def test_one_worker_has_the_whole_batch():
    batch = (tf.range(6), {"x": tf.ones([6, 2])})
    rows = worker_rows(batch, 0, 1)
    np.testing.assert_array_equal(rows[0], batch[0])
    assert rows[1]["x"].shape == (6, 2)


@pytest.mark.parametrize(
    ("dataset", "size", "nearest"),
    [
        (tasks, 6, 8),
        (lambda: tf.data.Dataset.range(9).batch(3, drop_remainder=True), 3, 4),
        (lambda: array_batches(IMAGES, None, batch_size=20, seed=0), None, None),
        # The last batch of a pass over 21 images.
        (lambda: array_batches(IMAGES[:21], None, batch_size=8, seed=0), 5, 4),
    ],
)
def test_batches_are_multiples_of_the_replicas(dataset, size, nearest):
    taken = []
    strategy = types.SimpleNamespace(num_replicas_in_sync=4, distribute_datasets_from_function=taken.append)
    if size is None:
        split_batches(dataset(), strategy)
        assert taken
        return
    with pytest.raises(ValueError, match=f"4 replicas that share it; the nearest is {nearest}. Received: a batch of"):
        split_batches(dataset(), strategy)
