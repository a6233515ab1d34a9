"""Trains one pair of networks with every loss and penalty, and prints one table and one grid for each.

    python examples/gan_losses_compare.py --data_dir DIR --minutes 2
    python examples/gan_losses_compare.py --data_dir DIR --datasets mnist --only wasserstein+gradient hinge

All start from the same weights and train for the same time. Without a penalty, the discriminator has batch
normalisation as in DCGAN; with a penalty, it has layer normalisation. Scores compare `--samples` generated images with
the test images, in the features of the library's own classifier of the dataset. Finished parts are kept in `--run_dir`;
a run that was stopped continues from there.
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
from metalearn_tf.training.descriptions import check_same

import keras
import numpy as np
import tensorflow as tf

BATCH_SIZE = 64

# Learning rate, beta_1, beta_2 of both Adams: DCGAN's without a penalty, those of Gulrajani et al. (2017) with one.
PLAIN, PENALISED = (2e-4, 0.5, 0.999), (1e-4, 0.0, 0.9)
METHODS = {
    "minimax": ({"loss": "minimax"}, PLAIN),
    "non_saturating": ({"loss": "non_saturating"}, PLAIN),
    "non_saturating+r1": ({"loss": "non_saturating", "penalty": "r1"}, PLAIN),
    "least_squares": ({"loss": "least_squares"}, PLAIN),
    "least_squares+gradient": ({"loss": "least_squares", "penalty": "gradient"}, PENALISED),
    "hinge": ({"loss": "hinge"}, PLAIN),
    "hinge+r1": ({"loss": "hinge", "penalty": "r1"}, PLAIN),
    "wasserstein+gradient": ({"loss": "wasserstein", "penalty": "gradient", "discriminator_steps": 3}, PENALISED),
    "wasserstein+gradient_one_sided": (
        {"loss": "wasserstein", "penalty": "gradient_one_sided", "discriminator_steps": 3},
        PENALISED,
    ),
}


class StopAfter(keras.callbacks.Callback):
    """Ends training with the epoch in which the time is over; the time for scores does not count."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.spent, self.steps, self.epoch_ends = seconds, 0.0, 0, []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.elapsed = time.perf_counter() - self.start

    def on_epoch_end(self, epoch, logs=None):
        self.spent += self.elapsed
        self.epoch_ends.append(self.steps)
        self.model.stop_training = self.spent >= self.seconds


def train(name, dataset, arguments, folder):
    """The scores of one method: a dictionary, also written to its folder."""
    record = folder / "record.json"
    if record.exists():
        return json.loads(record.read_text())
    options, (rate, beta_1, beta_2) = METHODS[name]
    images = mtf.data.load(dataset, "train", data_dir=arguments.data_dir).examples
    images = np.random.default_rng(0).permutation(images)
    batches = tf.data.Dataset.from_tensor_slices(images).repeat().shuffle(4096, seed=0).batch(BATCH_SIZE).prefetch(2)
    test = mtf.data.load(dataset, "test", data_dir=arguments.data_dir).examples
    network = mtf.evaluation.feature_network(dataset)
    keras.utils.set_random_seed(0)
    normalization = "layer" if "penalty" in options else "batch"
    networks = mtf.networks.dcgan(filters=arguments.filters, discriminator_normalization=normalization)
    gan = mtf.gan.GAN(*networks, **options)
    optimizers = [keras.optimizers.Adam(rate, beta_1=beta_1, beta_2=beta_2) for _ in range(2)]
    gan.compile(*optimizers, monitor="kid")
    clock = StopAfter(60 * arguments.minutes)
    scores = mtf.evaluation.GenerativeScores(test, network, count=arguments.samples)
    history = gan.fit(
        batches,
        steps_per_epoch=arguments.steps_per_epoch,
        epochs=10_000,
        callbacks=[clock, scores],
        verbose=0,
    ).history
    best = min(range(len(history["kid"])), key=history["kid"].__getitem__)
    result = {
        "steps": clock.steps,
        "steps_per_second": clock.steps / clock.spent,
        "best": {key: history[key][best] for key in ("fid", "kid", "kid_spread")},
        "best_step": clock.epoch_ends[best],
        "last": {key: history[key][-1] for key in ("fid", "kid", "kid_spread")},
    }
    folder.mkdir(parents=True, exist_ok=True)
    grid = mtf.evaluation.sample_grid(gan.sample(64, seed=1), columns=8)
    keras.utils.save_img(folder / "grid.png", grid, scale=False)
    mtf.evaluation.training_curves(history, folder / "curves.png")
    write_text(record, json.dumps(result))
    return result


def row(dataset, name, result):
    cells = [dataset, name]
    for when in ("best", "last"):
        scores = result[when]
        cells += [f"{scores['fid']:.2f}", f"{1000 * scores['kid']:.1f} ± {1000 * scores['kid_spread']:.1f}"]
    return [*cells, str(result["best_step"]), str(result["steps"]), f"{result['steps_per_second']:.1f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=["fashion_mnist", "mnist"])
    parser.add_argument("--only", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--minutes", type=float, default=15, help="training time of each, without scoring")
    parser.add_argument("--filters", type=int, default=32, help="see `mtf.networks.dcgan`")
    parser.add_argument("--steps_per_epoch", type=int, default=500, help="steps between scores")
    parser.add_argument("--samples", type=int, default=5000, help="generated images for a score")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--run_dir", type=pathlib.Path, default=pathlib.Path("runs/gan_losses"))
    arguments = parser.parse_args()
    # The folder belongs to these settings.
    settings = {name: getattr(arguments, name) for name in ("minutes", "filters", "steps_per_epoch", "samples")}
    check_same("--run_dir", arguments.run_dir / "settings.json", settings, "run")

    scores = ("best FID", "best KID × 1000", "last FID", "last KID × 1000")
    names = ("dataset", "loss", *scores, "best step", "steps", "steps/s")
    rows = []
    for dataset in arguments.datasets:
        for name in arguments.only:
            result = train(name, dataset, arguments, arguments.run_dir / dataset / name)
            rows.append(row(dataset, name, result))
            print(markdown_row(rows[-1]), flush=True)
    write_text(arguments.run_dir / "table.md", markdown_table(names, rows) + "\n")
    print(markdown_table(names, rows))


if __name__ == "__main__":
    main()
