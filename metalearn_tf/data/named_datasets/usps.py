"""USPS: handwritten digits from envelopes, the other domain beside MNIST."""

import zipfile

import numpy as np
import tensorflow as tf

from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.named_datasets.example_split_images import split_as_published
from metalearn_tf.data.named_datasets.tfds_source import data_directory
from metalearn_tf.data.resizing import resize
from metalearn_tf.files.local_path import local_path

_FILE = "usps/usps.npz"


def load_usps(split, data_dir=None, image_size=None):
    """USPS: 7,291 training and 2,007 test digits, in white ink on black like MNIST's.

    TensorFlow Datasets does not have USPS. It is read from the file `usps/usps.npz` below `data_dir`, which holds the
    NumPy arrays `x_train`, `x_test` uint8 `(n, 16, 16)` and `y_train`, `y_test` `(n,)`. To make the file with
    scikit-learn:

    ```python
    x, y = sklearn.datasets.fetch_openml("usps", version=2, return_X_y=True, as_frame=False)
    x, y = ((x + 1) * 127.5).round().astype("uint8").reshape(-1, 16, 16), y.astype(int) - 1
    np.savez("usps/usps.npz", x_train=x[:7291], y_train=y[:7291], x_test=x[7291:], y_test=y[7291:])
    ```

    Args:
        split: `"train"`, `"validation"` or `"test"`; see `load_example_split`.
        data_dir: the folder with `usps/` in it, by default TFDS's.
        image_size: optional pair `(height, width)`.

    Returns:
        `ClassDataset` of `uint8` images `(16, 16, 1)`, or of `image_size`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or has other arrays.

    Reference: [Hull, 1994](https://doi.org/10.1109/34.291440)
    """
    path = local_path("data_dir", data_directory(data_dir)) / _FILE
    if not path.exists():
        raise FileNotFoundError(
            f"USPS is read from {str(path)!r}, which is not there; the docstring of "
            "`metalearn_tf.data.named_datasets.usps.load_usps` says how to make it."
        )
    part = "test" if split == "test" else "train"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"USPS is damaged: {str(path)!r} has no readable x_{part} and y_{part} ({error}).") from error
    if images.shape[1:] != (16, 16) or images.dtype != np.uint8 or len(images) != len(labels):
        raise ValueError(
            f"USPS must be uint8 images (n, 16, 16) with as many labels. Received: {images.dtype} {images.shape} and "
            f"{len(labels)} labels in {str(path)!r}"
        )
    images = images[..., None]
    if image_size is not None:
        images = resize(tf.constant(images), image_size).numpy()
    return split_as_published(ClassDataset(images, labels, domain="usps"), split)
