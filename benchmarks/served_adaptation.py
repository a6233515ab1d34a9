"""Milliseconds of a served `adapt_and_predict` in C++, beside the same work in eager PyTorch.

    python benchmarks/served_adaptation.py --torch_python TORCH_PYTHON

5-way 5-shot, 75 queries, Conv4-64 on 28×28×1, five MAML steps; the median of 60 runs of each side, the sides taking
turns three times. The C++ client is that of `tests/serving`: no Python in its process.
"""

import argparse
import os
import pathlib
import re
import statistics
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf
from machine import describe_machine, run

import numpy as np

HERE = pathlib.Path(__file__).parent
WAYS, SHOTS, QUERIES, ROUNDS, REPEATS = 5, 5, 15, 3, 60

sys.path.insert(0, str(HERE.parent / "serving"))
from cpp_client import CppClient, compile_client


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch_python", help="a Python with PyTorch; without it only our side is measured")
    arguments = parser.parse_args()
    print(describe_machine())

    random = np.random.default_rng(0)
    request = {
        "support_images": random.random((WAYS * SHOTS, 28, 28, 1), "float32"),
        "support_labels": np.arange(WAYS, dtype="int32").repeat(SHOTS),
        "query_images": random.random((WAYS * QUERIES, 28, 28, 1), "float32"),
    }
    learner = mtf.learners.MAML(mtf.networks.conv4(outputs=WAYS), inner_steps=5)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        learner.export(folder / "maml" / "1", warm_up=False)
        (folder / "requests").mkdir()
        client = CppClient(compile_client(folder), folder / "requests")
        ours, theirs = [], []
        for _ in range(ROUNDS):
            if arguments.torch_python:
                output = run([arguments.torch_python, HERE / "torch_adaptation.py"])
                theirs.append(float(re.search(r"([\d.]+) ms", output)[1]))
            (answer,) = client.ask(folder / "maml" / "1", [("adapt_and_predict", request)], repeat=REPEATS)
            ours.append(answer.milliseconds)
    line = f"adapt_and_predict in C++: {statistics.median(ours):.1f} ms"
    if theirs:
        peer = statistics.median(theirs)
        line += f"; eager PyTorch: {peer:.1f} ms, {peer / statistics.median(ours):.2f}× ours"
    print(line)


if __name__ == "__main__":
    main()
