"""Tasks a second of the episode pipeline alone: 5-way 1-shot, 15 queries, 28×28.

    python benchmarks/episode_pipeline.py

Its peer, in the same process, is what most libraries do: draw each task in Python with NumPy.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf
from machine import describe_machine

import keras
import numpy as np

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
    measure_kinds(images)


def measure_kinds(images, tasks_per_batch=8, rounds=3):
    """Each kind of task against plain ones of the same padded size, in turns; medians over the rounds."""
    labels = np.repeat(np.arange(1200), 20)
    dataset = mtf.data.ClassDataset(images, labels, parents={str(c): str(1200 + c // 24) for c in range(1200)})
    halves = dataset.split([0.5, 0.5])
    flip = keras.layers.RandomFlip("horizontal")
    kinds = {
        "fixed": (dataset, WAYS, SHOTS, {}),
        "2 to 5 ways": (dataset, (2, WAYS), SHOTS, {}),
        "within a parent": (dataset, WAYS, SHOTS, {"within_parent": True}),
        "two domains": (halves, WAYS, SHOTS, {}),
        "queries flipped": (dataset, WAYS, SHOTS, {"query_augmentation": flip}),
        "fixed, 5 shots": (dataset, WAYS, 5, {}),
        "2 to 5 ways, 1 to 5 uneven shots": (dataset, (2, WAYS), (1, 5), {"uneven_shots": True}),
    }
    rates = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, (data, ways, shots, options) in kinds.items():
            tasks = mtf.data.episodes(data, ways, shots, QUERIES, tasks_per_batch, **options)
            rates[name].append(tasks_per_second(tasks, tasks_per_batch))
    for name, values in rates.items():
        plain = rates["fixed, 5 shots" if "5 " in name and "shots" in name else "fixed"]
        print(f"{name}: {np.median(values):,.0f} tasks/s, {np.median(values) / np.median(plain):.2f} of fixed")


if __name__ == "__main__":
    main()
