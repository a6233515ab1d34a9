"""Classifies Caltech-101 with the features of a frozen network that was trained on CIFAR-10.

    python examples/feature_extraction.py --data_dir DIR
    python examples/feature_extraction.py --data_dir DIR --backbone backbone.keras --low 0 --high 1

The features of all images are computed once and then read from a file. First, a linear probe and nearest neighbours are
tested, from 5, 10, 25 and all labelled images of a class. Figures are means over seeds with 95 % intervals; the seed
decides which images are labelled and which fifth of each class is the test set. Then 20 classes that no learner has
seen are classified from few examples, by prototypes of the features, before and after meta-training a layer on top of
them. By default the features come from the small classifier that ships with the library.
"""

import argparse
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np


def timed_extraction(backbone, dataset, limits):
    """The features as a dataset, the time to compute them, and the median time to read them again."""
    seconds = []
    with tempfile.TemporaryDirectory() as cache_dir:
        for _ in range(6):
            start = time.perf_counter()
            features = mtf.transfer.feature_dataset(backbone, dataset, cache_dir=cache_dir, image_range=limits)
            seconds.append(time.perf_counter() - start)
    first, again = seconds[0], np.median(seconds[1:])
    print(
        f"{len(dataset) / first:.0f} images/s in the first run ({first:.1f} s for {len(dataset)} images); "
        f"the second, from the cache, is {first / again:.0f} times faster ({1000 * again:.0f} ms)",
        flush=True,
    )
    return features


def draw(features, shots, seed):
    """Rows of `shots` labelled examples of each class, or all with `None`, and of a fifth of each class as test set."""
    random, labelled, test = np.random.default_rng(seed), [], []
    for first, count in zip(features.offsets, features.class_sizes):
        rows = first + random.permutation(count)
        test.append(rows[: count // 5])
        labelled.append(rows[count // 5 :][:shots])
    return np.concatenate(labelled), np.concatenate(test)


def probe_accuracies(features, shots, seeds):
    """Test accuracies of each probe, a list over the seeds."""
    accuracies = {"linear probe": [], "nearest neighbours": []}
    for seed in range(seeds):
        rows, test = draw(features, shots, seed)
        x, y = features.examples[rows], features.labels[rows]
        models = mtf.transfer.linear_probe(x, y), mtf.transfer.nearest_neighbors(x, y, neighbors=5, temperature=0.07)
        for values, model in zip(accuracies.values(), models):
            answers = np.argmax(model(features.examples[test]), axis=1)
            values.append(np.mean(answers == features.labels[test]))
    return accuracies


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", type=pathlib.Path, default=None, help="a .keras file, images to features")
    parser.add_argument("--low", type=float, default=-1.0, help="lowest value of a pixel in the backbone's training")
    parser.add_argument("--high", type=float, default=1.0, help="highest value of a pixel in the backbone's training")
    parser.add_argument("--labels", type=int, nargs="*", default=[5, 10, 25], help="labelled images a class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300, help="steps of meta-training, four tasks each")
    parser.add_argument("--test_episodes", type=int, default=600)
    parser.add_argument("--data_dir", default=None, help="folder of TensorFlow Datasets; by default TFDS_DATA_DIR")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(0)
    if arguments.backbone:
        backbone = keras.models.load_model(arguments.backbone)
    else:
        backbone = mtf.evaluation.feature_network("cifar10")
    size = backbone.input_shape[1]
    parts = [
        mtf.data.load("caltech101", split, data_dir=arguments.data_dir, image_size=size)
        for split in ("train", "validation", "test")
    ]
    features = timed_extraction(
        backbone, parts[0].merge(parts[1]).merge(parts[2]), limits=(arguments.low, arguments.high)
    )

    print("| labels a class | method | accuracy % |\n|---|---|---|")
    for shots in [*arguments.labels, None]:
        for name, values in probe_accuracies(features, shots, arguments.seeds).items():
            interval = mtf.evaluation.student_half_width(values)
            print(f"| {shots or 'all'} | {name} | {100 * np.mean(values):.1f} ± {100 * interval:.1f} |", flush=True)

    train, _, test = (features.select(part.class_names) for part in parts)
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp(features.example_shape, units=(128,)), "cosine")
    learner.compile(keras.optimizers.Adam(1e-3), metrics=["accuracy"])
    inputs = keras.Input(features.example_shape)
    untrained = mtf.learners.PrototypicalNetwork(keras.Model(inputs, keras.layers.Identity()(inputs)), "cosine")
    learner.fit(mtf.data.episodes(train, 5, 5, 15, tasks_per_batch=4), steps_per_epoch=arguments.steps, verbose=2)
    print(mtf.evaluation.Report.markdown_header())
    for name, one in {"the features themselves": untrained, "a layer on top, meta-trained": learner}.items():
        report = mtf.evaluation.evaluate_episodes(one, test, 5, 5, queries=15, episodes=arguments.test_episodes, seed=7)
        print(report.to_markdown_row(), name, flush=True)


if __name__ == "__main__":
    main()
