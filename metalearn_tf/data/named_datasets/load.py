"""`load`: every dataset that the library knows, by name."""

import functools
import inspect

from metalearn_tf.data.named_datasets.class_split_images import load_caltech101, load_cifar_benchmark
from metalearn_tf.data.named_datasets.example_split_images import load_example_split
from metalearn_tf.data.named_datasets.glyphs import load_glyphs
from metalearn_tf.data.named_datasets.newsgroups import load_20newsgroups
from metalearn_tf.data.named_datasets.omniglot import load_omniglot
from metalearn_tf.data.named_datasets.usps import load_usps
from metalearn_tf.data.resizing import check_image_size

SPLITS = ("train", "validation", "test")


def load(name, split, data_dir=None, image_size=None, **options):
    """Loads one split of a dataset.

    ```python
    train = mtf.data.load("glyphs", "train")
    test = mtf.data.load("omniglot", "test", protocol="lake")
    ```

    | name | split by | train / validation / test | examples | options |
    |---|---|---|---|---|
    | `"glyphs"` | script | see `load_glyphs` | 28 × 28 × 1 | `cache_dir` |
    | `"omniglot"` | character or alphabet | 1,100 / 100 / 423 classes | 28 × 28 × 1 | see below |
    | `"cifar_fs"` | class | 64 / 16 / 20 classes | 32 × 32 × 3 | |
    | `"fc100"` | superclass | 60 / 20 / 20 classes | 32 × 32 × 3 | |
    | `"caltech101"` | class | 64 / 16 / 20 classes | 84 × 84 × 3 | `cache_dir` |
    | `"mnist"`, `"fashion_mnist"` | example | 54,000 / 6,000 / 10,000 images | 28 × 28 × 1 | |
    | `"cifar10"`, `"cifar100"` | example | 45,000 / 5,000 / 10,000 images | 32 × 32 × 3 | |
    | `"usps"` | example | 6,562 / 729 / 2,007 images | 16 × 16 × 1 | |
    | `"20newsgroups"` | group | 8 / 5 / 7 classes | strings | `data_home`, `remove` |

    The glyphs are embedded. 20 Newsgroups comes through scikit-learn (see `load_20newsgroups`) and USPS from a NumPy
    file (see `load_usps`). All others come through TensorFlow Datasets, which downloads and prepares a dataset on its
    first use. Where the published training set has no validation part, a tenth of each of its classes is taken out of
    `"train"`.

    Args:
        name: name of the dataset, from the table.
        split: `"train"`, `"validation"` or `"test"`.
        data_dir: folder of TensorFlow Datasets. Defaults to the environment variable `TFDS_DATA_DIR`, then to TFDS's
            own default, `~/tensorflow_datasets`. 20 Newsgroups has `data_home`, scikit-learn's folder, instead.
        image_size: height and width of square images, or a pair `(height, width)`. Defaults to the table's. Images of
            another aspect ratio are cropped to their middle.
        **options: the dataset's own: `protocol` (`"vinyals"`, the default, or `"lake"`) and `rotations` (turned
            characters as new classes) of Omniglot; `remove` and `data_home` of 20 Newsgroups; `cache_dir` of datasets
            that are made on the first use, the folder in which they are kept.

    Returns:
        `ClassDataset` of `uint8` images, or of strings.

    Raises:
        ValueError: if the name, the split, the size or an option is not among those accepted, or the data is damaged.
        FileNotFoundError: if the data is not there and cannot be downloaded.
        ImportError: if a dataset needs a package that is not installed; the message names the extra.
    """
    if not isinstance(name, str) or name not in _LOADERS:
        raise ValueError(f"`name` must be one of {sorted(_LOADERS)}. Received: name={name!r}")
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {SPLITS}. Received: split={split!r}")
    loader = _LOADERS[name]
    parameters = inspect.signature(loader).parameters.values()
    accepted = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    unknown = sorted(set(options) - set(accepted))
    if unknown:
        listed = ", ".join(f"`{option}`" for option in accepted) or "none"
        raise ValueError(f"The options of {name!r} are: {listed}. Received: {', '.join(unknown)}")
    return loader(split, data_dir, check_image_size(image_size), **options)


def _load_glyphs(split, data_dir=None, image_size=None, *, cache_dir=None):
    height, width = image_size or (28, 28)
    if height != width:
        raise ValueError(f"`image_size` of the glyphs must be square. Received: image_size={image_size}")
    return load_glyphs(split, height, cache_dir)


# A loader takes (split, data_dir, image_size as a pair or None); its keyword-only arguments are its options.
_LOADERS = {
    "glyphs": _load_glyphs,
    "omniglot": load_omniglot,
    "cifar_fs": functools.partial(load_cifar_benchmark, "cifar_fs"),
    "fc100": functools.partial(load_cifar_benchmark, "fc100"),
    "caltech101": load_caltech101,
    "mnist": functools.partial(load_example_split, "mnist"),
    "fashion_mnist": functools.partial(load_example_split, "fashion_mnist"),
    "cifar10": functools.partial(load_example_split, "cifar10"),
    "cifar100": functools.partial(load_example_split, "cifar100"),
    "usps": load_usps,
    "20newsgroups": load_20newsgroups,
}
