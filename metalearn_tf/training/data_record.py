"""A record of a training's data, stored beside its states."""

import json
import logging
import pathlib

import tensorflow as tf

from metalearn_tf.files.fingerprint import fingerprint
from metalearn_tf.files.whole_files import write_text
from metalearn_tf.training.descriptions import read_description, refuse_differences


class DataRecord:
    """Checks whether a continued training gets the same data as before.

    Args:
        path: path of the file with the record.
        examples: a fingerprint of all examples, for data that are arrays; otherwise `None`.
        fixed_sizes: whether all batches must have the same sizes as before. They may differ in data with an unknown
            number of batches, such as texts grouped by length.
    """

    def __init__(self, path, examples, fixed_sizes):
        self._path = pathlib.Path(path)
        self._examples = examples
        self._fixed_sizes = fixed_sizes

    def check_running(self, batch, is_last):
        """Compares the first batch with the recorded one, for a training that still has steps to do.

        Args:
            batch: nested structure of tensors.
            is_last: whether no other batch can be the first one.

        Returns:
            Whether it is the same batch as before. If not, and no other batch can be the first, `logging` gets a
            warning.

        Raises:
            ValueError: if it has another size.
        """
        found, kept = self._describe(batch), self._read()
        self._check_sizes(found, kept)
        if kept and found["content"] != kept.get("content"):
            if not is_last:
                return False
            logging.getLogger(__name__).warning(
                "The data of the training in %s begin with another batch than before: it continues, but not as it "
                "would without a stop. Data in the same order have a seed wherever they are shuffled or drawn, and a "
                "shuffled dataset is made anew for each call.",
                self._path.parent,
            )
        if found != kept:
            write_text(self._path, json.dumps(found, indent=2) + "\n")
        return True

    def check_ended(self, batches):
        """Compares the data with the recorded ones, for a finished training whose result is returned.

        Args:
            batches: the batches that may be the first one, such as that of each of two passes; not used for arrays.

        Raises:
            ValueError: if the data differ.
        """
        kept = self._read()
        if not kept:
            return
        if self._examples is not None and kept.get("examples") is not None:
            same = self._examples == kept["examples"]
        else:
            found = [self._describe(batch) for batch in batches]
            for described in found:
                self._check_sizes(described, kept)
            same = not found or kept.get("content") in [described["content"] for described in found]
        if not same:
            raise ValueError(
                "`backup_dir` holds a training of other data, or of data in another order, that has ended, and whose "
                "result is not the one asked for; choose another folder, or delete it. Data in the same order have a "
                "seed wherever they are shuffled or drawn, and a shuffled dataset is made anew for each call. "
                f"Received: {str(self._path.parent)!r}"
            )

    def _read(self):
        return read_description("backup_dir", self._path)

    def _check_sizes(self, found, kept):
        if kept and self._fixed_sizes:
            sizes = ({"first_batch": described.get("first_batch")} for described in (found, kept))
            refuse_differences("backup_dir", *sizes, "training")

    def _describe(self, batch):
        parts = [part for part in tf.nest.flatten(batch, expand_composites=True) if part is not None]
        parts = [part for part in parts if part.dtype != tf.variant]  # Keras's value for `None` from a generator
        return {
            "first_batch": [f"{part.shape[:1]}, {part.shape.rank} axes, {part.dtype.name}" for part in parts],
            "content": fingerprint(*(part.numpy() for part in parts)),
            "examples": self._examples,
        }
