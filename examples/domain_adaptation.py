"""Digits of one collection, learned from the labels of another: MNIST to USPS and back, without target labels.

    python examples/domain_adaptation.py --data_dir DIR --usps_dir DIR
    python examples/domain_adaptation.py --data_dir DIR --usps_dir DIR --directions mnist:usps --seeds 1 --steps 300

All methods use the same network and the same number of steps: on the source alone, or with CORAL, MMD or DANN between
the features of source and target. The target's training images are used without their labels. Accuracies are on the
test splits after the last step, so nothing is chosen by target labels. If a run was killed, its finished rows are not
run again.
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf
from metalearn_tf.files.markdown_table import markdown_row, markdown_table
from metalearn_tf.files.whole_files import write_text

import keras
import numpy as np

METHODS = {"source only": "source_only", "CORAL": "coral", "MMD": "mmd", "DANN": "dann"}
NAMES = {"mnist": "MNIST", "usps": "USPS"}


def load(name, split, arguments):
    folder = (arguments.usps_dir or arguments.data_dir) if name == "usps" else arguments.data_dir
    return mtf.data.load(name, split, data_dir=folder, image_size=28)


def train(method, source, target, seed, arguments):
    """A trained model, and the time of its steps in seconds."""
    keras.utils.set_random_seed(seed)
    backbone = mtf.networks.conv4(filters=arguments.filters, normalization="running")
    model = mtf.transfer.DomainAdaptation(backbone, classes=10, method=METHODS[method], seed=seed)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(arguments.learning_rate, arguments.steps))
    )
    start = time.perf_counter()
    model.fit(
        (source.examples, source.labels),
        target.examples,
        batch_size=arguments.batch_size,
        steps_per_epoch=arguments.steps,
        verbose=2,
    )
    return model, time.perf_counter() - start


def result(method, names, seed, data, arguments):
    """Accuracies on both test splits and the seconds; from the run's folder if they were measured before."""
    source, target = names
    path = arguments.run_dir / f"{source}_{target}_{METHODS[method]}_{seed}.json"
    settings = {name: getattr(arguments, name) for name in ("steps", "batch_size", "learning_rate", "filters")}
    if path.exists() and (measured := json.loads(path.read_text()))["settings"] == settings:
        return measured
    model, seconds = train(method, data[source]["train"], data[target]["train"], seed, arguments)
    measured = {"seconds": seconds, "settings": settings}
    for part, name in (("source", source), ("target", target)):
        test = data[name]["test"]
        measured[part] = model.evaluate(test.examples, test.labels, batch_size=256, verbose=0)[1]
    write_text(path, json.dumps(measured))
    return measured


def interval(values):
    """Mean and half width of the 95 % interval over seeds, in per cent."""
    return f"{100 * np.mean(values):.2f} ± {100 * mtf.evaluation.student_half_width(values):.2f}"


def row(method, names, results, source_only):
    target = [one["target"] for one in results]
    # Seed by seed, because both methods start from the same initial weights.
    gain = "" if method == "source only" or source_only is None else f"+{interval(np.subtract(target, source_only))}"
    return [
        " → ".join(NAMES[name] for name in names),
        method,
        interval(target),
        gain.replace("+-", "-"),
        interval([one["source"] for one in results]),
        str(len(results)),
        f"{np.mean([one['seconds'] for one in results]):.0f}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--directions", nargs="+", choices=["mnist:usps", "usps:mnist"], default=["mnist:usps", "usps:mnist"]
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each method")
    parser.add_argument("--only", nargs="+", choices=list(METHODS), default=list(METHODS), help="methods")
    parser.add_argument("--steps", type=int, default=500, help="steps of each training")
    parser.add_argument("--batch_size", type=int, default=64, help="images of each domain in a step")
    parser.add_argument("--learning_rate", type=float, default=3e-3, help="initial rate; it falls to 0 along a cosine")
    parser.add_argument("--filters", type=int, default=16, help="filters of the Conv4 backbone")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--usps_dir", default=None, help="the folder with usps/usps.npz in it; by default data_dir")
    parser.add_argument("--run_dir", type=pathlib.Path, default=pathlib.Path("runs/domain_adaptation"))
    arguments = parser.parse_args()
    arguments.run_dir.mkdir(parents=True, exist_ok=True)

    data = {name: {split: load(name, split, arguments) for split in ("train", "test")} for name in NAMES}
    names = ("domains", "method", "target accuracy %", "gain", "source accuracy %", "seeds", "training s")
    rows = []
    for direction in arguments.directions:
        domains, source_only = tuple(direction.split(":")), None
        for method in arguments.only:
            results = [result(method, domains, seed, data, arguments) for seed in range(arguments.seeds)]
            if method == "source only":
                source_only = [one["target"] for one in results]
            rows.append(row(method, domains, results, source_only))
            print(markdown_row(rows[-1]), flush=True)
    write_text(arguments.run_dir / "table.md", markdown_table(names, rows) + "\n")
    print(markdown_table(names, rows))


if __name__ == "__main__":
    main()
