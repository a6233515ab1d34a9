"""Tasks a second of the episode pipeline alone: 5-way 1-shot, 15 queries, 28×28.

    python tests/benchmarks/episode_pipeline.py

Its peer, in the same process, is what most libraries do: draw each task in Python with NumPy.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine

import metalearn_tf as mtf

WAYS, SHOTS, QUERIES, SECONDS = 5, 1, 15, 5.0


def tasks_per_second(batches, tasks_per_batch):
    iterator = iter(batches)
    for _ in range(10):
        next(iterator)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        next(iterator)
        count += tasks_per_batch
    return count / (time.perf_counter() - start)


def numpy_tasks(images, classes=1200, per_class=20):
    """One task after the other, with NumPy's generator."""
    random = np.random.default_rng(0)
    images = images.reshape(classes, per_class, 28, 28, 1)
    labels = np.arange(WAYS, dtype="int32")
    while True:
        chosen = random.choice(classes, WAYS, replace=False)
        members = np.stack([random.choice(per_class, SHOTS + QUERIES, replace=False) for _ in chosen])
        task = images[chosen[:, None], members].astype("float32") / 255.0
        support, query = task[:, :SHOTS], task[:, SHOTS:]
        yield (
            (support.reshape(-1, 28, 28, 1), labels.repeat(SHOTS), query.reshape(-1, 28, 28, 1)),
            labels.repeat(QUERIES),
        )


def main():
    print(describe_machine())
    images = np.random.default_rng(0).integers(0, 256, (24000, 28, 28, 1), dtype="uint8")
    dataset = mtf.data.ClassDataset(images, np.repeat(np.arange(1200), 20))
    peer = tasks_per_second(numpy_tasks(images), 1)
    print(f"NumPy, one task at a time: {peer:,.0f} tasks/s")
    for tasks_per_batch in (1, 8, 32):
        rate = tasks_per_second(mtf.data.episodes(dataset, WAYS, SHOTS, QUERIES, tasks_per_batch), tasks_per_batch)
        print(f"episodes, {tasks_per_batch} tasks a batch: {rate:,.0f} tasks/s, {rate / peer:.1f}×")


if __name__ == "__main__":
    main()
