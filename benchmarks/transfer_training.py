"""Steps a second of a small ResNet through `fit` against the same in PyTorch.

    python benchmarks/transfer_training.py --peer "TORCH_PYTHON benchmarks/torch_resnet9.py" --rounds 3

`mtf.networks.resnet9()` with a head of 10 classes on 32×32×3, 128 images a batch, AdamW. Each side is a process of its
own; the sides take turns, and the medians over the rounds are compared. Run it on an idle machine.
"""

import argparse
import os
import pathlib
import re
import shlex
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from machine import describe_machine, dtypes, run

BATCH, STEPS = 128, 8


def measure(bfloat16, seconds):
    """Steps a second of this process."""
    import metalearn_tf as mtf

    import keras
    import numpy as np

    if bfloat16:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (STEPS * BATCH, 32, 32, 3), dtype="uint8")
    labels = random.integers(0, 10, len(images))
    classifier = mtf.transfer.TransferClassifier(mtf.networks.resnet9(), 10, train_normalization=True)
    classifier.compile(keras.optimizers.AdamW(1e-3), metrics=[])
    classifier.fit(images, labels, batch_size=BATCH, verbose=0)
    start = time.perf_counter()
    classifier.fit(images, labels, batch_size=BATCH, verbose=0)
    epochs = max(1, round(seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    classifier.fit(images, labels, batch_size=BATCH, epochs=epochs, verbose=0)
    return STEPS * epochs / (time.perf_counter() - start)


def steps_per_second(command):
    return float(re.search(r"([\d.]+) steps/s", run(command))[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="command of the PyTorch program; without it only our side is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--measure", choices=["float32", "bfloat16"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(f"{measure(arguments.measure == 'bfloat16', arguments.seconds):.2f} steps/s")
        return

    print(describe_machine())
    for dtype in dtypes():
        mine, theirs = [], []
        for _ in range(arguments.rounds):
            if arguments.peer:
                options = ["--bfloat16"] if dtype == "bfloat16" else []
                theirs.append(steps_per_second([*shlex.split(arguments.peer), str(BATCH), *options]))
            mine.append(steps_per_second([sys.executable, pathlib.Path(__file__), "--measure", dtype]))
        rate = statistics.median(mine)
        line = f"{dtype}: fit {rate:.2f} steps/s"
        if theirs:
            line += f"; peer {statistics.median(theirs):.2f} steps/s: {rate / statistics.median(theirs):.2f}×"
        print(line, flush=True)


if __name__ == "__main__":
    main()
