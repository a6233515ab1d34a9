"""Selects the images of a dataset for training and for testing."""

import numpy as np

from metalearn_tf.data.class_dataset import ClassDataset


def target_halves(target):
    """For each class the rows of images that may be shown, and of those for the test; always the same."""
    halves = []
    for label, (first, size) in enumerate(zip(target.offsets, target.class_sizes)):
        rows = first + np.random.default_rng(label).permutation(size)
        halves.append((rows[: size // 2], rows[size // 2 :]))
    return halves


def few_and_test(target, count, seed):
    """Two datasets: `count` images of each class from those that may be shown, and all images for the test."""
    halves = target_halves(target)
    few = [np.random.default_rng([seed, label]).permutation(half)[:count] for label, (half, _) in enumerate(halves)]
    test = [half for _, half in halves]
    return _part(target, few, target.domain), _part(target, test, f"{target.domain}, test")


def at_most(dataset, count):
    """The dataset with the first `count` examples of each class."""
    rows = [first + np.arange(min(count, size)) for first, size in zip(dataset.offsets, dataset.class_sizes)]
    return _part(dataset, rows, dataset.domain)


def share_of(dataset, images):
    """A dataset and a number of passes over it, about `images` images in total; at least 2 of every class."""
    if images >= len(dataset):
        return dataset, round(images / len(dataset))
    return at_most(dataset, max(2, images // dataset.num_classes)), 1


def _part(dataset, rows, domain):
    rows = np.concatenate(rows)
    return ClassDataset(dataset.examples[rows], dataset.labels[rows], dataset.class_names, dataset.parents, domain)
