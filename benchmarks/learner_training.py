"""Tasks a second of the gradient-based learners through `fit`, each against MAML in the same run.

    python benchmarks/learner_training.py --rounds 3

Conv4-64 on 28×28×1, 5-way 1-shot, 15 queries, 8 tasks a batch, 5 inner steps. Each measurement is a process of its own;
the learners take turns, and the medians over the rounds are compared. Run it on an idle machine.
"""

import argparse
import os
import pathlib
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from machine import describe_machine, run

LEARNERS = ("MAML", "FOMAML", "MAML++", "ANIL", "MetaSGD", "MetaLSTM", "Reptile", "MAML, 2 to 5 ways")
WAYS, STEPS = 5, 5


def build(name):
    import metalearn_tf as mtf

    network, learners = mtf.networks.conv4(outputs=WAYS), mtf.learners
    improved = {
        "first_order": "annealed",
        "learned_rates": True,
        "per_step_normalization": True,
        "multi_step_loss": True,
        "annealing_steps": 1,  # measured past the annealing, where training spends most of its time
    }
    makers = {
        "FOMAML": lambda: learners.MAML(network, STEPS, first_order=True),
        "MAML++": lambda: learners.MAML(network, STEPS, **improved),
        "ANIL": lambda: learners.ANIL(network, STEPS),
        "MetaSGD": lambda: learners.MetaSGD(network, STEPS),
        "MetaLSTM": lambda: learners.MetaLSTM(network, STEPS),
        "Reptile": lambda: learners.Reptile(network, STEPS),
    }
    return makers.get(name, lambda: learners.MAML(network, STEPS))()


def measure(name, seconds):
    """Tasks a second of this process."""
    import metalearn_tf as mtf

    import keras
    import numpy as np

    mtf.training.use_task_parallelism()
    images = np.random.default_rng(0).integers(0, 256, (2400, 28, 28, 1), dtype="uint8")
    dataset = mtf.data.ClassDataset(images, np.repeat(np.arange(120), 20))
    tasks = mtf.data.episodes(dataset, (2, WAYS) if "ways" in name else WAYS, 1, 15, tasks_per_batch=8)
    learner = build(name)
    learner.compile(keras.optimizers.SGD(1e-3))
    learner.fit(tasks, steps_per_epoch=3, verbose=0)
    start = time.perf_counter()
    learner.fit(tasks, steps_per_epoch=3, verbose=0)
    steps = max(3, round(3 * seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    learner.fit(tasks, steps_per_epoch=steps, verbose=0)
    return 8 * steps / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--measure", choices=LEARNERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(measure(arguments.measure, arguments.seconds))
        return
    print(describe_machine())
    rates = {name: [] for name in LEARNERS}
    for _ in range(arguments.rounds):
        for name in LEARNERS:
            command = [sys.executable, pathlib.Path(__file__), "--measure", name, "--seconds", str(arguments.seconds)]
            rates[name].append(float(run(command).splitlines()[-1]))
    maml = statistics.median(rates["MAML"])
    for name in LEARNERS:
        rate = statistics.median(rates[name])
        print(f"{name}: {rate:.1f} tasks/s; MAML {maml:.1f} tasks/s: {rate / maml:.2f}×", flush=True)


if __name__ == "__main__":
    main()
