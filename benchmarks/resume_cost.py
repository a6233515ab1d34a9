"""What `Resume` costs: the time of a step with one save an epoch against the same without, and of the way back.

    python benchmarks/resume_cost.py --steps 50 --rounds 5

MAML of a Conv4-64 with Adam, 5-way 1-shot, 15 queries, 8 tasks a batch, 1 inner step. Epochs with and without take
turns in one process, and their medians are compared. Run it on an idle machine.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf
from machine import describe_machine

import keras
import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    mtf.training.use_task_parallelism()
    print(describe_machine())
    images = np.random.default_rng(0).integers(0, 256, (2400, 28, 28, 1), dtype="uint8")
    tasks = mtf.data.episodes(mtf.data.ClassDataset(images, np.repeat(np.arange(120), 20)), 5, 1, 15, tasks_per_batch=8)
    learner = mtf.learners.MAML(mtf.networks.conv4(outputs=5), inner_steps=1, inner_learning_rate=0.4)
    learner.compile(keras.optimizers.Adam(1e-3))
    learner.fit(tasks, steps_per_epoch=3, verbose=0)

    def seconds(callbacks, epochs=2):
        """Of two epochs, so that the first one's state is written."""
        start = time.perf_counter()
        learner.fit(tasks, steps_per_epoch=arguments.steps, epochs=epochs, callbacks=callbacks, verbose=0)
        return time.perf_counter() - start

    plain, saved = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            plain.append(seconds([]))
            # Each epoch is saved: the first at the beginning of the second, the second at the end.
            saved.append(seconds([mtf.training.Resume(f"{folder}/{number}", delete_checkpoint=False)]))
        size = sum(path.stat().st_size for path in pathlib.Path(folder, "0").glob("latest.npz"))
        one, two = (1000 * statistics.median(times) / (2 * arguments.steps) for times in (plain, saved))
        print(f"step {one:.2f} ms, with Resume {two:.2f} ms: {100 * (two / one - 1):+.1f} %")
        print(f"a state is {size / 1e6:.1f} MB")
        # A third epoch behind two that are restored: their batches are drawn again.
        once = seconds([mtf.training.Resume(f"{folder}/0", delete_checkpoint=False)], epochs=3)
        alone = statistics.median(plain) / 2
        print(f"back behind {2 * arguments.steps} steps: {1000 * (once - alone):.0f} ms more than the epoch itself")


if __name__ == "__main__":
    main()
