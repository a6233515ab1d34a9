"""Few-shot benchmarks whose classes are divided by a list: CIFAR-FS, FC100 and Caltech-101."""

import numpy as np

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.named_datasets.splits import read_split_lists
from metalearn_tf.data.named_datasets.tfds_source import class_names, data_version, prepared_directory, read_images
from metalearn_tf.files.cache import cached_arrays

# The size of mini-ImageNet, so that networks and settings made for it fit. The photographs are 200 to 300 pixels a
# side. At CIFAR's 32 pixels, much of the detail that distinguishes the objects is lost.
CALTECH_SIZE = (84, 84)


def load_cifar_benchmark(name, split, data_dir=None, image_size=None):
    """CIFAR-FS or FC100: the classes of CIFAR-100 divided among the splits, 600 images of 32 × 32 × 3 a class.

    Both published splits of CIFAR-100 are joined. Superclasses are the `parents`.

    Args:
        name: `"cifar_fs"` (64 training, 16 validation and 20 test classes) or `"fc100"` (60, 20 and 20, and no
            superclass in two splits).
        split: `"train"`, `"validation"` or `"test"`.
        data_dir: TFDS's folder with `cifar100`.
        image_size: optional pair `(height, width)`.

    Returns:
        `ClassDataset` of `uint8` images `(32, 32, 3)`, or of `image_size`.

    Reference:
        CIFAR-FS: [Bertinetto et al., 2019](https://arxiv.org/abs/1805.08136), class lists as in
        `torchmeta/datasets/assets/cifar100/cifar-fs` of tristandeleu/pytorch-meta and, the same, in
        `mcp/data/dataset/cifar.py` of nathanielsimard/improving-fs-ssl.
        FC100: [Oreshkin et al., 2018](https://arxiv.org/abs/1805.10123), superclasses as in
        `datasets/create_dataset_cifar100.py` of the authors' ServiceNow/TADAM and, the same, in
        `torchmeta/datasets/assets/cifar100/fc100` of tristandeleu/pytorch-meta.
    """
    directory = prepared_directory("cifar100", data_dir)
    names, chosen = class_names(directory), read_split_lists(name)[split]
    numbers = _class_numbers(chosen, names, directory)
    arrays = read_images(directory, "train+test", ("label", "coarse_label"), image_size, classes=numbers)
    superclasses = class_names(directory, "coarse_label")
    parents = {names[c]: superclasses[s] for c, s in zip(arrays["label"], arrays["coarse_label"])}
    return _class_dataset(arrays, numbers, names, directory, parents, domain=name)


def load_caltech101(split, data_dir=None, image_size=None, *, cache_dir=None):
    """Caltech-101 divided by class: 64 training, 16 validation and 20 test classes of 31 to 800 photographs.

    TFDS's two splits are joined: they divide by example, and differently on each machine. Two of the 102 labels are
    left out: `background_google` is clutter, and `faces_easy` repeats the photographs of `faces`. Which classes are in
    which split, and how that was drawn, is in `splits/caltech101.json`.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        data_dir: TFDS's folder with `caltech101`.
        image_size: pair `(height, width)`. Defaults to `(84, 84)`, mini-ImageNet's. The middle of the photograph is
            cropped to the aspect ratio and resized.
        cache_dir: folder of the cache of resized images.

    Returns:
        `ClassDataset` of `uint8` images `(84, 84, 3)`, or of `image_size`.

    Reference:
        [Fei-Fei et al., 2004](https://doi.org/10.22002/D1.20086).
    """
    directory = prepared_directory("caltech101", data_dir)
    height, width = size = image_size or CALTECH_SIZE
    chosen = read_split_lists("caltech101")[split]

    def build():
        names = class_names(directory)
        numbers = _class_numbers(chosen, names, directory)
        arrays = read_images(directory, "train+test", image_size=size, classes=numbers)
        return {**arrays, "names": np.asarray(names), "numbers": numbers}

    arrays = cached_arrays(f"caltech101_{split}_{height}x{width}_{data_version(directory)}", build, cache_dir)
    names = arrays["names"].tolist()
    return _class_dataset(arrays, arrays["numbers"].tolist(), names, directory, domain="caltech101")


def _class_numbers(chosen, names, directory):
    missing = sorted(set(chosen) - set(names))
    if missing:
        raise ValueError(f"The data in {directory!r} does not have the classes {missing}.")
    return sorted(names.index(name) for name in chosen)


def _class_dataset(arrays, numbers, names, directory, parents=None, domain=None):
    empty = [names[c] for c in sorted(set(numbers) - set(arrays["label"].tolist()))]
    if empty:
        raise ValueError(f"The data in {directory!r} has no examples of the classes {empty}.")
    return ClassDataset(arrays["images"], arrays["label"], [names[c] for c in numbers], parents, domain)
