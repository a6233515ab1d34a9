"""Datasets larger than memory, read example by example from shards on disk."""

import json
import zlib

import numpy as np
import tensorflow as tf

from metalearn_tf.data.class_index import ClassIndex
from metalearn_tf.data.own_files.write_shards import FORMAT, INDEX, shard_path
from metalearn_tf.files.cache import UNREADABLE, read_arrays
from metalearn_tf.files.local_path import local_path


def from_shards(directory):
    """Opens what `write_shards` wrote.

    ```python
    train, test = mtf.data.from_shards("shards/photos").split([0.8, 0.2])
    tasks = mtf.data.episodes(train, ways=5, shots=1, queries=15, tasks_per_batch=8)
    ```

    Args:
        directory: the folder.

    Returns:
        A `ShardedClassDataset`.

    Raises:
        ValueError: if the index is missing or damaged, or a shard is missing or does not have the size that was
            written.
    """
    index = _read_index(local_path("directory", directory))
    description, classes = index["description"], index["classes"]
    shape, dtype = tuple(description["shape"]), np.dtype(description["dtype"])
    shards = [shard_path(directory, number) for number in range(len(description["shards"]))]
    for path, count in zip(shards, description["shards"]):
        expected = count * dtype.itemsize * int(np.prod(shape))
        size = path.stat().st_size if path.exists() else None
        if size != expected:
            found = "no such file" if size is None else f"{size} bytes"
            raise ValueError(f"The shard {str(path)!r} must have {expected} bytes; write it again. Received: {found}")
    first_records = np.cumsum([0, *description["shards"]]).astype("int64")
    table = _ShardTable(shards, first_records, index["checksums"], shape, dtype)
    names = index["class_names"].tolist()
    records = np.argsort(classes, kind="stable")
    return ShardedClassDataset(table, records, classes[records], names, description["parents"], description["domain"])


class ShardedClassDataset(ClassIndex):
    """Examples with their classes, on disk. `from_shards` returns it, and `episodes` takes it like a `ClassDataset`.

    Each example of a task is read directly from its place in the shard. So the draws are the same as those of a
    `ClassDataset` of the same examples: uniform, not from a shuffle buffer, and equal for equal seeds. Memory holds the
    tasks that are being made, and 12 bytes for each example; the operating system caches as much of the files as it has
    room for. Put shards on a disk with fast random reads. Every example is checked against its checksum when it is
    read.

    Reading runs in Python (`tf.numpy_function`), so such a pipeline cannot be serialised.

    `select`, `split` and `split_examples` work as in `ClassDataset` and copy no example.

    Attributes:
        offsets: `int64` array `(num_classes + 1,)`; class `c` holds the rows `offsets[c]` to `offsets[c + 1]`.
        class_names, parents, domain: see `ClassDataset`.
        example_shape: shape of one example.
        dtype: NumPy's dtype of the examples, `uint8` or `float32`.
    """

    def __init__(self, table, records, labels, class_names, parents, domain):
        offsets = np.searchsorted(labels, np.arange(len(class_names) + 1)).astype("int64")
        super().__init__(offsets, class_names, parents, domain)
        self._table, self._records = table, records
        self.example_shape, self.dtype = table.shape, table.dtype

    def gather(self, rows):
        examples = tf.numpy_function(lambda rows: self._table.read(self._records[rows]), [rows], self.dtype)
        return tf.ensure_shape(examples, [rows.shape[0], *self.example_shape])

    def _part(self, rows, labels, class_names):
        return ShardedClassDataset(self._table, self._records[rows], labels, class_names, self.parents, self.domain)


class _ShardTable:
    """The records of all shards as one table on disk."""

    def __init__(self, paths, first_records, checksums, shape, dtype):
        self.paths, self.first_records, self.checksums = paths, first_records, checksums
        self.shape, self.dtype = shape, dtype

    def read(self, records):
        """Examples `(n, ...)` by their numbers `(n,)`.

        Raises:
            ValueError: if a shard is shorter than it was, or damaged.
        """
        examples = np.empty((len(records), *self.shape), self.dtype)
        raw = examples.view("uint8").reshape(len(records), -1)
        shards = np.searchsorted(self.first_records, records, side="right") - 1
        for shard in np.unique(shards):
            path = self.paths[shard]
            with open(path, "rb", buffering=0) as file:
                for place in np.flatnonzero(shards == shard):
                    self._read_record(file, path, records[place], self.first_records[shard], raw[place])
        return examples

    def _read_record(self, file, path, record, first, target):
        file.seek(int(record - first) * len(target))
        if file.readinto(target) != len(target):
            raise ValueError(f"The shard {str(path)!r} is cut short; write it again.")
        if zlib.crc32(target) != self.checksums[record]:
            raise ValueError(f"The shard {str(path)!r} is damaged at example {record - first}; write it again.")


def _read_index(directory):
    path = directory / INDEX
    if not path.exists():
        raise ValueError(
            f"`directory` must hold shards that `write_shards` has finished. Received: no file {str(path)!r}"
        )
    try:
        index = read_arrays(path)
        index["description"] = json.loads(str(index["description"]))
    except UNREADABLE as error:
        raise ValueError(f"The index {str(path)!r} is damaged; write the shards again. Received: {error}") from error
    if index["description"]["format"] != FORMAT:
        raise ValueError(
            f"The index {str(path)!r} must be of format {FORMAT}; write the shards again. "
            f"Received: format {index['description']['format']}"
        )
    return index
