"""Transfers a network from CIFAR-10 to other classes: from scratch, frozen with a probe, and fine-tuned.

    python examples/cifar_transfer.py --data_dir DIR --source cifar10 --target caltech101
    python examples/cifar_transfer.py --data_dir DIR --source cifar10 --target cifar100

The same network is pre-trained on the source in three ways: with labels, as a denoising autoencoder, and contrastively
(SimCLR). Each then learns the target from 5, 10, 25 and all labelled images of a class. Test accuracies are means over
seeds, with 95 % intervals by Student's t. A seed draws the labelled images, their order, the head and, for Caltech-101,
which fifth of each class is the test set. Training from scratch has the same epochs, augmentation and schedule, but its
own learning rate. All compute in bfloat16 if the machine has it. Finished parts are kept in `--run_dir`; a run that was
stopped continues from there.
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
from matplotlib.figure import Figure

METHODS = ("supervised", "autoencoder", "contrastive")
ARMS = ["from scratch", *(f"{method}, {use}" for method in METHODS for use in ("frozen with a probe", "fine-tuned"))]


def augmentation():
    # Moves by whole pixels: interpolation would blur, but the test images are sharp.
    return keras.Sequential(
        [keras.layers.RandomFlip("horizontal"), keras.layers.RandomTranslation(0.125, 0.125, interpolation="nearest")]
    )


def target_data(arguments, seed):
    """Training pool and test set of the target."""
    if arguments.target == "cifar100":
        return [mtf.data.load("cifar100", split, data_dir=arguments.data_dir) for split in ("train", "test")]
    parts = [
        mtf.data.load("caltech101", split, data_dir=arguments.data_dir, image_size=32)
        for split in ("train", "validation", "test")
    ]
    dataset, random = parts[0].merge(parts[1]).merge(parts[2]), np.random.default_rng(seed)
    rows = [first + random.permutation(count) for first, count in zip(dataset.offsets, dataset.class_sizes)]
    test, train = (np.concatenate(part) for part in zip(*((r[: len(r) // 5], r[len(r) // 5 :]) for r in rows)))
    return [
        mtf.data.ClassDataset(dataset.examples[rows], dataset.labels[rows], dataset.class_names)
        for rows in (train, test)
    ]


def labelled(pool, labels, seed):
    """The images and labels of `labels` examples of each class; `None` for all."""
    random = np.random.default_rng(seed)
    chosen = [first + random.permutation(count)[:labels] for first, count in zip(pool.offsets, pool.class_sizes)]
    rows = np.concatenate(chosen)
    return pool.examples[rows], pool.labels[rows]


class TestAccuracy(keras.callbacks.Callback):
    """The accuracy on the test set after each epoch."""

    def __init__(self, test):
        super().__init__()
        self.test, self.accuracies = test, []

    def on_epoch_end(self, epoch, logs=None):
        probabilities = self.model.predict(self.test.examples, batch_size=256, verbose=0)
        self.accuracies.append(float(np.mean(np.argmax(probabilities, axis=1) == self.test.labels)))


def pretrained(method, arguments):
    """The backbone, pre-trained on the source; from the run's folder if it is there."""
    keras.utils.set_random_seed(0)
    keras.mixed_precision.set_global_policy(arguments.precision)
    backbone = mtf.networks.resnet9(filters=arguments.filters)
    keras.mixed_precision.set_global_policy("float32")
    path = arguments.run_dir / f"{method}.weights.h5"
    if method is None:
        return backbone
    if path.exists():
        backbone.load_weights(path)
        return backbone
    source = mtf.data.load(arguments.source, "train", data_dir=arguments.data_dir)
    rows = slice(None, None, max(1, len(source) // (arguments.source_images or len(source))))
    start, history = time.perf_counter(), keras.callbacks.History()
    # A decoder as small as the backbone.
    options = {"filters": 16} if method == "autoencoder" else {}
    mtf.transfer.pretrain(
        backbone,
        source.examples[rows],
        source.labels[rows],
        method=method,
        epochs=arguments.pretrain_epochs,
        augmentation=None if method == "contrastive" else augmentation(),
        callbacks=[history],
        verbose=2,
        **options,
    )
    last = {name: round(values[-1], 4) for name, values in history.history.items()}
    print(f"pre-trained, {method}: {last}, {time.perf_counter() - start:.0f} s", flush=True)
    backbone.save_weights(path)
    return backbone


def fine_tuned(method, x, y, seed, arguments, callbacks=()):
    """A classifier of the target, from the pre-trained backbone, or from random weights if it is `None`."""
    plan, learning_rate = mtf.transfer.UnfreezingPlan(0, 1, layer_decay=1.0, train_normalization=True), 3e-3
    if method:
        plan, learning_rate = mtf.transfer.UnfreezingPlan(head_epochs=2, stages=3, layer_decay=0.7), 2e-3
    return mtf.transfer.fine_tune(
        pretrained(method, arguments),
        x,
        y,
        epochs=arguments.epochs,
        batch_size=64,
        weight_decay=0.01,
        augmentation=augmentation(),
        seed=seed,
        callbacks=callbacks,
        unfreezing=plan,
        learning_rate=learning_rate,
        verbose=0,
    )


def run(arm, labels, seed, arguments):
    """Test accuracies of one arm after each epoch; a single one for a probe."""
    record = arguments.run_dir / f"{arm.replace(', ', '_').replace(' ', '_')}_{labels or 'all'}_{seed}.json"
    if record.exists():
        return json.loads(record.read_text())
    pool, test = target_data(arguments, seed)
    x, y = labelled(pool, labels, seed)
    method, _, use = arm.partition(", ")
    if use == "frozen with a probe":
        features = [
            mtf.transfer.extract_features(pretrained(method, arguments), part, verbose=0) for part in (x, test.examples)
        ]
        probe = mtf.transfer.linear_probe(features[0], y)
        accuracies = [float(np.mean(np.argmax(probe.predict(features[1], verbose=0), axis=1) == test.labels))]
    else:
        accuracy = TestAccuracy(test)
        fine_tuned(method if use else None, x, y, seed, arguments, [accuracy])
        accuracies = accuracy.accuracies
    write_text(record, json.dumps(accuracies))
    return accuracies


def export(path, arguments, result):
    """Writes a SavedModel: the classifier pre-trained with the source's labels and trained on all labelled images."""
    pool, _ = target_data(arguments, seed=0)
    trained = fine_tuned("supervised", pool.examples, pool.labels, 0, arguments)
    # Exported in float32, whatever the training used.
    classifier = mtf.transfer.TransferClassifier(
        mtf.networks.resnet9(filters=arguments.filters), pool.num_classes, name=f"{arguments.target}_classifier"
    )
    classifier.backbone.set_weights(trained.backbone.get_weights())
    classifier.head.set_weights(trained.head.get_weights())
    description = (
        f"`resnet9` with the filters {tuple(arguments.filters)}, pre-trained on {arguments.source} with its labels for "
        f"{arguments.pretrain_epochs} epochs, fine-tuned on {len(pool):,} images of {arguments.target} at 32 pixels "
        f"for {arguments.epochs} epochs; made by `examples/cifar_transfer.py`. Such classifiers are right about "
        f"{result} % of the test images (mean over seeds, and 95 % interval)."
    )
    classifier.export(path, class_names=pool.class_names, description=description)


def mean_and_interval(values):
    """The mean of values `(seeds, ...)`, and half the 95 % interval."""
    return np.mean(values, axis=0), mtf.evaluation.student_half_width(values)


def draw(results, labels, path):
    """Accuracy against labels a class, and against epochs with the second fewest labels."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    by_labels, by_epochs = figure.subplots(1, 2)
    shown = labels[min(1, len(labels) - 1)]
    for number, arm in enumerate(ARMS):
        style = {"color": f"C{(number + 1) // 2}", "linestyle": "--" if "probe" in arm else "-", "label": arm}
        means, widths = zip(*(mean_and_interval([run[-1] for run in results[arm, count]]) for count in labels))
        by_labels.errorbar(range(len(labels)), 100 * np.array(means), 100 * np.array(widths), marker=".", **style)
        means, widths = mean_and_interval(results[arm, shown])
        if len(means) == 1:
            by_epochs.axhline(100 * means[0], **style)
            continue
        epochs = 1 + np.arange(len(means))
        by_epochs.plot(epochs, 100 * means, **style)
        by_epochs.fill_between(epochs, 100 * (means - widths), 100 * (means + widths), alpha=0.15)
    by_labels.set_xticks(range(len(labels)), [str(count or "all") for count in labels])
    by_labels.set_xlabel("labelled images a class")
    by_epochs.set_xlabel(f"epochs, with {shown or 'all'} labels a class")
    for axis in (by_labels, by_epochs):
        axis.set_ylabel("test accuracy %")
    by_labels.legend(fontsize=7)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="cifar10")
    parser.add_argument("--target", choices=["caltech101", "cifar100"], default="caltech101")
    parser.add_argument("--labels", nargs="+", default=["5", "10", "25", "all"], help="labelled images of a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="on the target")
    parser.add_argument("--pretrain_epochs", type=int, default=15)
    parser.add_argument("--source_images", type=int, default=None, help="use only this many images for pre-training")
    parser.add_argument("--filters", type=int, nargs=4, default=[16, 32, 64, 128], help="of `mtf.networks.resnet9`")
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    parser.add_argument("--run_dir", type=pathlib.Path, default=None, help="by default runs/SOURCE_TARGET")
    parser.add_argument("--export", default=None, help="where to write the fine-tuned classifier's SavedModel")
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "mixed_bfloat16", "mixed_float16"],
        default="auto",
        help="precision of the training; by default the fastest one on this machine",
    )
    arguments = parser.parse_args()
    if arguments.precision == "auto":
        arguments.precision = mtf.training.fastest_precision()
    arguments.run_dir = arguments.run_dir or pathlib.Path(f"runs/{arguments.source}_{arguments.target}")
    arguments.run_dir.mkdir(parents=True, exist_ok=True)
    # The folder belongs to these settings.
    settings = {
        name: getattr(arguments, name)
        for name in ("source", "target", "epochs", "pretrain_epochs", "source_images", "filters", "precision")
    }
    check_same("--run_dir", arguments.run_dir / "settings.json", settings, "run")
    labels = [None if count == "all" else int(count) for count in arguments.labels]

    header = ["method", *(f"{count or 'all'} labels" for count in labels)]
    rows, results = [], {}
    for arm in ARMS:
        cells = [arm]
        for count in labels:
            results[arm, count] = [run(arm, count, seed, arguments) for seed in range(arguments.seeds)]
            mean, width = mean_and_interval([accuracies[-1] for accuracies in results[arm, count]])
            cells.append(f"{100 * mean:.1f} ± {100 * width:.1f}")
        rows.append(cells)
        print(markdown_row(cells), flush=True)
    print(markdown_table(header, rows))
    for count in labels:
        final = np.mean(results["from scratch", count], axis=0)[-1]
        for method in METHODS:
            reached = np.flatnonzero(np.mean(results[f"{method}, fine-tuned", count], axis=0) >= final)
            when = f"after {reached[0] + 1} of {arguments.epochs} epochs" if len(reached) else "not reached"
            print(f"{count or 'all'} labels, {method}, fine-tuned: the accuracy from scratch {when}")
    draw(results, labels, arguments.run_dir / "transfer.png")
    write_text(arguments.run_dir / "table.md", markdown_table(header, rows) + "\n")
    if arguments.export:
        result = rows[2 + ARMS.index("supervised, fine-tuned")].split("|")[-2].strip()
        export(arguments.export, arguments, result)


if __name__ == "__main__":
    main()
