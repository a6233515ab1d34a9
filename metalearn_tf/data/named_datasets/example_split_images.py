"""Image datasets divided by example, as published: MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100."""

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.named_datasets.tfds_source import class_names, prepared_directory, read_images

VALIDATION_FRACTION = 0.1
VALIDATION_SEED = 0


def load_example_split(name, split, data_dir=None, image_size=None):
    """MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-100.

    `"test"` is the published test set. The published training set has no validation part. So a tenth of each class
    becomes `"validation"`, drawn with seed 0 from the order in which TFDS stores it, and the rest is `"train"`.
    `train.merge(validation)` gives the published training set again.

    Args:
        name: `"mnist"`, `"fashion_mnist"`, `"cifar10"` or `"cifar100"`.
        split: `"train"`, `"validation"` or `"test"`.
        data_dir: TFDS's folder.
        image_size: optional pair `(height, width)`.

    Returns:
        `ClassDataset` of `uint8` images, `(28, 28, 1)` with white ink on black for the MNISTs and `(32, 32, 3)` for
        the CIFARs, or of `image_size`. CIFAR-100 has its superclasses as `parents`.
    """
    directory = prepared_directory(name, data_dir)
    names = class_names(directory)
    coarse = name == "cifar100"
    keys = ("label", "coarse_label") if coarse else ("label",)
    arrays = read_images(directory, "test" if split == "test" else "train", keys, image_size)
    parents = None
    if coarse:
        superclasses = class_names(directory, "coarse_label")
        parents = {names[c]: superclasses[s] for c, s in zip(arrays["label"], arrays["coarse_label"])}
    present = [names[c] for c in sorted(set(arrays["label"].tolist()))]
    dataset = ClassDataset(arrays["images"], arrays["label"], present, parents, domain=name)
    return split_as_published(dataset, split)


def split_as_published(dataset, split):
    """The part of a published set that is `split`: all of the test set, or a part of the training set.

    Args:
        dataset: a `ClassDataset`, the published test set for `"test"` and the training set otherwise.
        split: `"train"`, `"validation"` or `"test"`.
    """
    if split == "test":
        return dataset
    train, validation = dataset.split_examples([1 - VALIDATION_FRACTION, VALIDATION_FRACTION], seed=VALIDATION_SEED)
    return validation if split == "validation" else train
