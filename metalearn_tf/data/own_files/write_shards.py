"""Examples written to shards on disk, one after the other, for `from_shards` to read."""

import json
import logging
import zlib
from array import array
from pathlib import Path

import numpy as np

from metalearn_tf.data.class_dataset import ClassDataset, as_examples
from metalearn_tf.data.class_index import names_of_classes
from metalearn_tf.data.task_tree import check_parents
from metalearn_tf.files.cache import write_arrays
from metalearn_tf.files.local_path import local_path

INDEX = "index.npz"
FORMAT = 1


def write_shards(examples, directory, class_names=None, parents=None, domain=None, shard_bytes=2**30):
    """Writes examples for `from_shards`. Memory holds one example at a time, and 16 bytes for each written example.

    A shard is a file of examples of equal size, with nothing between them. `index.npz`, which is written last, holds
    the class and the checksum of each example.

    Example:

    ```python
    mtf.data.write_shards(((image, label) for image, label in photos), "shards/photos")
    dataset = mtf.data.from_shards("shards/photos")
    ```

    Args:
        examples: an iterable of `(example, label)`: arrays of one shape and dtype, `uint8` or floating, with integer
            labels in any order; or a `ClassDataset`, which also supplies `class_names`, `parents` and `domain`.
        directory: a folder that is empty or does not exist.
        class_names: see `ClassDataset`.
        parents: see `ClassDataset`.
        domain: see `ClassDataset`.
        shard_bytes: a shard is closed before it grows beyond this number of bytes.

    Raises:
        ValueError: if the folder is not empty or has a scheme, such as `gs://`, there is no example, or an example does
            not fit the first.
        TypeError: if an example is neither `uint8` nor floating, or a label is not an integer.
    """
    directory = local_path("directory", directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"`directory` must be empty or new. Received: directory={str(directory)!r}")
    if isinstance(examples, ClassDataset):
        dataset = examples
        examples = zip(dataset.examples, dataset.labels)
        class_names, parents, domain = dataset.class_names, dataset.parents, dataset.domain
    directory.mkdir(parents=True, exist_ok=True)
    labels, checksums, first, sizes = _write_records(examples, directory, shard_bytes)
    values, classes = np.unique(labels, return_inverse=True)
    class_names = names_of_classes(class_names, values)
    description = {
        "format": FORMAT,
        "shape": first.shape,
        "dtype": str(first.dtype),
        "shards": sizes,
        "parents": check_parents(parents, class_names),
        "domain": domain,
    }
    index = {
        "description": np.asarray(json.dumps(description)),
        "classes": classes.astype("int32"),
        "checksums": np.asarray(checksums, "uint32"),
        "class_names": np.asarray(class_names),
    }
    write_arrays(directory / INDEX, index)
    logging.getLogger(__name__).info("Wrote %d examples in %d shards to %s", len(labels), len(sizes), directory)


def shard_path(directory, number):
    """The path of a shard."""
    return Path(directory) / f"shard-{number:05d}.bin"


def _write_records(examples, directory, shard_bytes):
    """Labels, checksums, the first example, and the number of examples in each shard."""
    labels, checksums, sizes, first, file = array("q"), array("L"), [], None, None
    try:
        for example, label in examples:
            example = _check_example(example, first, len(labels))
            first = example if first is None else first
            if file is None or (sizes[-1] + 1) * first.nbytes > shard_bytes:
                if file is not None:
                    file.close()
                file = open(shard_path(directory, len(sizes)), "xb")  # noqa: SIM115
                sizes.append(0)
            record = example.tobytes()
            file.write(record)
            sizes[-1] += 1
            checksums.append(zlib.crc32(record))
            labels.append(_check_label(label, len(labels)))
    finally:
        if file is not None:
            file.close()
    if first is None:
        raise ValueError("`examples` must hold at least one example. Received: none")
    return labels, checksums, first, sizes


def _check_example(example, first, number):
    batch = as_examples(np.asarray(example)[None])
    if batch.dtype.kind == "O":
        raise TypeError("`examples` must be uint8 or floating; shards hold no strings. Received: strings")
    example = batch[0]
    if first is not None and (example.shape != first.shape or example.dtype != first.dtype):
        raise ValueError(
            f"`examples` must be of one shape and dtype, {first.shape} {first.dtype}. "
            f"Received: {example.shape} {example.dtype} as number {number}"
        )
    return example


def _check_label(label, number):
    if np.ndim(label) != 0 or np.asarray(label).dtype.kind not in "iu":
        raise TypeError(f"Labels must be integers. Received: {label!r} as number {number}")
    return int(label)
