"""Second-order MAML, tasks a second: through `fit`, as a bare step, and against a PyTorch program that does the same.

    python benchmarks/maml_training.py --peer "TORCH_PYTHON torch_maml.py loop" --rounds 3

The peer is called as `PEER INNER_STEPS TASKS QUERIES FILTERS [--bfloat16]` and prints `... N tasks/s ...`. Conv4-64 on
28×28×1, 5-way 1-shot, 15 queries, inner rate 0.4. Each side is a process of its own; the sides take turns, and the
medians over the rounds are compared. Run it on an idle machine.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from machine import describe_machine, dtypes, run

WAYS, SHOTS, QUERIES, FILTERS = 5, 1, 15, 64


def measure(inner_steps, tasks_per_batch, bfloat16, seconds):
    """Rates of this process: first step, `fit` on the episode pipeline, the bare step on one batch, peak memory."""
    import resource

    import metalearn_tf as mtf

    import keras
    import numpy as np
    import tensorflow as tf

    mtf.training.use_task_parallelism()
    if bfloat16:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    images = np.random.default_rng(0).integers(0, 256, (24000, 28, 28, 1), dtype="uint8")
    dataset = mtf.data.ClassDataset(images, np.repeat(np.arange(1200), 20))
    tasks = mtf.data.episodes(dataset, WAYS, SHOTS, QUERIES, tasks_per_batch)
    learner = mtf.learners.MAML(mtf.networks.conv4(outputs=WAYS), inner_steps=inner_steps)
    learner.compile(optimizer=keras.optimizers.Adam(1e-3))

    start = time.perf_counter()
    learner.fit(tasks, steps_per_epoch=1, verbose=0)
    first_step = time.perf_counter() - start

    def rate(run_steps):
        run_steps(2)
        start = time.perf_counter()
        run_steps(3)
        count = max(3, round(seconds * 3 / (time.perf_counter() - start)))
        start = time.perf_counter()
        run_steps(count)
        return tasks_per_batch * count / (time.perf_counter() - start)

    batch = next(iter(tasks))
    step = tf.function(learner.train_step)

    def bare_steps(count):
        for _ in range(count):
            logs = step(batch)
        return logs["loss"].numpy()

    rates = {
        "fit": rate(lambda count: learner.fit(tasks, steps_per_epoch=count, verbose=0)),
        "bare": rate(bare_steps),
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**rates, "first_step": first_step, "peak_memory": peak}


def ours(inner_steps, tasks_per_batch, bfloat16, seconds):
    arguments = [inner_steps, tasks_per_batch, int(bfloat16), seconds]
    command = [sys.executable, pathlib.Path(__file__), "--measure", *map(str, arguments)]
    return json.loads(run(command).splitlines()[-1])


def peer(command, inner_steps, tasks_per_batch, bfloat16):
    arguments = [inner_steps, tasks_per_batch, QUERIES, FILTERS, *(["--bfloat16"] if bfloat16 else [])]
    return float(re.search(r"([\d.]+) tasks/s", run([*shlex.split(command), *map(str, arguments)]))[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="command of the PyTorch program; without it only our side is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        steps, tasks, bfloat16, seconds = arguments.measure
        print(json.dumps(measure(int(steps), int(tasks), bool(int(bfloat16)), float(seconds))))
        return

    print(describe_machine())
    for inner_steps in (1, 5):
        for bfloat16 in (dtype == "bfloat16" for dtype in dtypes()):
            mine, theirs = [], []
            for _ in range(arguments.rounds):
                if arguments.peer:
                    theirs.append(peer(arguments.peer, inner_steps, 8, bfloat16))
                mine.append(ours(inner_steps, 8, bfloat16, arguments.seconds))
            middle = {key: statistics.median(result[key] for result in mine) for key in mine[0]}
            line = (
                f"{inner_steps} inner steps, {'bfloat16' if bfloat16 else 'float32'}: fit {middle['fit']:.1f} tasks/s, "
                f"bare step {middle['bare']:.1f} (fit at {middle['fit'] / middle['bare']:.1%}), "
                f"first step after {middle['first_step']:.1f} s, peak memory {middle['peak_memory']:.2f} GiB"
            )
            if theirs:
                other = statistics.median(theirs)
                line += f"; peer {other:.1f} tasks/s: {middle['fit'] / other:.2f}×"
            print(line, flush=True)
    few, many = (ours(1, tasks, False, 4)["peak_memory"] for tasks in (8, 64))
    print(f"peak memory with 64 tasks a batch {many:.2f} GiB, with 8 {few:.2f} GiB: {many / few:.2f}×")


if __name__ == "__main__":
    main()
