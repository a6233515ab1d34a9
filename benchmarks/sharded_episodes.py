"""Tasks a second and memory of a dataset larger than it: 4 GB of 84×84 colour images in shards on disk.

    python benchmarks/sharded_episodes.py [--gigabytes 4] [--folder FOLDER]

The folder needs as much space; what is written there is deleted. Peak memory is that of the whole process, which
writes the shards and then samples them, TensorFlow included; what the operating system caches is not of the process.
"""

import argparse
import os
import pathlib
import resource
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf
from machine import describe_machine

import numpy as np

SHAPE, PER_CLASS, TASKS_PER_BATCH, SECONDS = (84, 84, 3), 500, 4, 10.0


def random_images(count):
    """Images with their labels, one after the other, classes mixed."""
    random = np.random.default_rng(0)
    for number in range(count):
        yield random.integers(0, 256, SHAPE, dtype="uint8"), number % (count // PER_CLASS)


def forget_cached_files(folder):
    """Asks the operating system to drop the shards from its cache."""
    for path in pathlib.Path(folder).iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def tasks_per_second(dataset):
    iterator = iter(mtf.data.episodes(dataset, ways=5, shots=1, queries=15, tasks_per_batch=TASKS_PER_BATCH))
    next(iterator)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        next(iterator)
        count += TASKS_PER_BATCH
    return count / (time.perf_counter() - start)


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--folder", help="where the temporary shards are written")
    arguments = parser.parse_args()
    print(describe_machine())
    print(f"peak memory before anything is done: {peak_megabytes():,.0f} MB")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        count = int(np.ceil(arguments.gigabytes * 2**30 / np.prod(SHAPE) / PER_CLASS)) * PER_CLASS
        start = time.perf_counter()
        mtf.data.write_shards(random_images(count), folder)
        size = sum(path.stat().st_size for path in pathlib.Path(folder).iterdir()) / 2**30
        print(f"{count:,} images written, {size:.2f} GiB, in {time.perf_counter() - start:.0f} s")
        forget_cached_files(folder)
        dataset = mtf.data.from_shards(folder)
        for state in ("from disk", "again, cached by the operating system as it can"):
            print(f"5-way 1-shot, 15 queries, {state}: {tasks_per_second(dataset):,.0f} tasks/s")
        print(f"peak memory: {peak_megabytes():,.0f} MB")
        part = dataset.select(list(range(20)))
        images = part.gather(np.arange(len(part))).numpy()
        memory = mtf.data.ClassDataset(images, np.repeat(np.arange(20), PER_CLASS))
        print(f"the same from 20 classes held in memory: {tasks_per_second(memory):,.0f} tasks/s")


if __name__ == "__main__":
    main()
