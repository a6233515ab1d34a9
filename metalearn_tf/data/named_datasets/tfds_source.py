"""Where TensorFlow Datasets keeps a dataset, and how its images are read."""

import hashlib
import os
import re

import numpy as np
import tensorflow as tf

from metalearn_tf.data.resizing import crop_and_resize
from metalearn_tf.engine.usable_cores import usable_cores

# tensorflow_datasets is imported where it is used: data from the cache does not need it.

BATCH = 256


def prepared_directory(name, data_dir=None):
    """The folder of a dataset that TFDS has prepared; if there is none, downloads and prepares the dataset.

    Accepts any version that is there, also one that the installed TFDS can no longer build.

    Args:
        name: TFDS's name of the dataset.
        data_dir: TFDS's folder. Defaults to the environment variable `TFDS_DATA_DIR`, then to
            `~/tensorflow_datasets` as in TFDS.

    Returns:
        The path `data_dir/name/version` as a string.

    Raises:
        FileNotFoundError: if the dataset is not there and the download fails. Other errors of TFDS are not changed.
    """
    root = data_directory(data_dir)
    return _newest_version(root, name) or _prepare(root, name)


def data_directory(data_dir=None):
    """TFDS's folder: `data_dir`, or else the environment variable `TFDS_DATA_DIR`, or else TFDS's default."""
    root = os.fspath(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    return os.path.expanduser(root)


def _newest_version(root, name):
    """The folder of the highest version with complete metadata, or `None`."""
    folder = os.path.join(root, name)
    if not tf.io.gfile.isdir(folder):
        return None
    versions = [entry.rstrip("/") for entry in tf.io.gfile.listdir(folder)]
    versions = [entry for entry in versions if re.fullmatch(r"\d+\.\d+\.\d+", entry)]
    for version in sorted(versions, key=lambda entry: [int(part) for part in entry.split(".")], reverse=True):
        directory = os.path.join(folder, version)
        # TFDS writes this file last.
        if tf.io.gfile.exists(os.path.join(directory, "dataset_info.json")):
            return directory
    return None


def _prepare(root, name):
    import requests
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=root)
    try:
        if not _has_downloads(root, name):
            # Without a network TFDS retries for minutes. One request to the download server shows at once whether
            # there is a network; its answer does not matter.
            for url in list(builder.url_infos)[:1]:
                requests.head(url, timeout=20)
        builder.download_and_prepare()
    except (requests.exceptions.RequestException, tfds.download.DownloadError, ModuleNotFoundError) as error:
        # TFDS needs importlib_resources for preparing and does not always install it.
        install = f" `pip install {error.name}` first." if isinstance(error, ModuleNotFoundError) else ""
        raise FileNotFoundError(
            f"{name!r} is not prepared in {os.path.join(root, name)!r}, and preparing it failed. Run "
            f"`tensorflow_datasets.builder({name!r}, data_dir=...).download_and_prepare()` where there is a network, "
            "copy its folder here if that is another machine, and name the folder above it with `data_dir` or with the "
            f"environment variable TFDS_DATA_DIR.{install} Received: data_dir={root!r}, error: {error}"
        ) from error
    return _newest_version(root, name)


def _has_downloads(root, name):
    """Whether TFDS may have downloaded the files earlier, so that it can prepare them without a network."""
    downloads = os.path.join(root, "downloads")
    found = [path for part in ("*", f"{name}/*") for path in tf.io.gfile.glob(os.path.join(downloads, part))]
    return any(".tmp." not in path and not tf.io.gfile.isdir(path) for path in found)


def data_version(directory):
    """A short text that is the same for the same prepared data: for names of cache files."""
    digest = hashlib.sha256()
    for file in sorted(tf.io.gfile.listdir(directory)):
        path = os.path.join(directory, file)
        digest.update(f"{file} {tf.io.gfile.stat(path).length}\n".encode())
        if file.endswith((".json", ".txt")):
            digest.update(tf.io.gfile.GFile(path, "rb").read())
    return digest.hexdigest()[:16]


def class_names(directory, key="label"):
    """The names of a label in the order of its numbers."""
    import tensorflow_datasets as tfds

    return list(tfds.builder_from_directory(directory).info.features[key].names)


def read_images(directory, split, keys=("label",), image_size=None, classes=None, transform=None):
    """Reads images and their labels from a prepared dataset. The order is always the same.

    Args:
        directory: folder of the prepared dataset.
        split: TFDS's name of a split, or several as in `"train+test"`.
        keys: names of the integer features to read beside `"image"`.
        image_size: pair `(height, width)`, or `None` to keep images that all have one size.
        classes: numbers of the classes to read; the others are not decoded. All by default.
        transform: optional function of decoded `uint8` images `(height, width, channels)`, before the resize.

    Returns:
        A dict of the `uint8` array `"images"` `(n, height, width, channels)` and one `int64` array `(n,)` per key.

    Raises:
        ValueError: if the files are damaged or hold no example of the wanted classes.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(directory)
    shape = builder.info.features["image"].shape
    same_shape = None not in shape
    wanted = None
    if classes is not None:
        wanted = tf.scatter_nd(
            [[c] for c in classes], [True] * len(classes), [builder.info.features["label"].num_classes]
        )

    def decode(example):
        image = tf.io.decode_image(example["image"], channels=shape[-1], expand_animations=False)
        image.set_shape(shape)
        image = transform(image) if transform else image
        image = image if same_shape or image_size is None else crop_and_resize(image, image_size)
        return {"images": image, **{key: example[key] for key in keys}}

    def resize(batch):
        return {**batch, "images": crop_and_resize(batch["images"], image_size)}

    data = builder.as_dataset(
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    if wanted is not None:
        data = data.filter(lambda example: wanted[example["label"]])
    data = data.map(decode, num_parallel_calls=usable_cores()).batch(BATCH)
    if same_shape and image_size is not None and image_size != shape[:2]:
        data = data.map(resize, num_parallel_calls=usable_cores())
    options = tf.data.Options()
    options.autotune.enabled = False  # with it on, the end of a dataset can wait as long as the dataset took
    try:
        batches = list(data.with_options(options).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise ValueError(
            f"Split {split!r} in {directory!r} cannot be read; if its files are damaged, remove the folder so that it "
            f"is prepared again. Received: {error.message}"
        ) from error
    if not batches:
        raise ValueError(f"Split {split!r} in {directory!r} holds no example of the classes asked for.")
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
