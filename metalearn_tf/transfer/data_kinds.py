"""Reads all kinds of data into arrays."""

import typing

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.arrays import as_array
from metalearn_tf.checks.batches import check_has_end
from metalearn_tf.checks.class_names import numbers_of_names
from metalearn_tf.data.class_index import ClassIndex


class Examples(typing.NamedTuple):
    """Data that was read.

    Attributes:
        x: the examples, unchanged.
        y: their labels, or `None`.
        sample_weight: their weights, or `None`.
        class_names: the names of the classes `0, 1, …` of a `ClassDataset`; or `None`.
    """

    x: object
    y: object = None
    sample_weight: object = None
    class_names: list | None = None


def read_examples(argument, data, rank):
    """Reads data of any kind into memory.

    Args:
        argument: the name of the data in error messages.
        data: a `ClassDataset` or `ShardedClassDataset`; a finite, batched `tf.data.Dataset` or a
            `keras.utils.PyDataset` of `x`, `(x, y)` or `(x, y, sample_weight)`; or an array `x`, or anything that NumPy
            converts to one.
        rank: the number of axes of a batch of examples.

    Returns:
        `Examples`; an array is not changed.

    Raises:
        ValueError: if the data are infinite, not batched or of another kind.
    """
    if isinstance(data, ClassIndex):
        x = data.examples if hasattr(data, "examples") else data.gather(tf.range(len(data), dtype=tf.int64)).numpy()
        return Examples(x, np.repeat(np.arange(data.num_classes), data.class_sizes), None, data.class_names)
    if isinstance(data, tf.data.Dataset):
        check_has_end(argument, data)
        check_batched(argument, data, rank)
        return _concatenated(argument, list(data))
    if isinstance(data, keras.utils.PyDataset):
        check_has_end(argument, data)
        return _concatenated(argument, [data[number] for number in range(data.num_batches)])
    return Examples(data)


def read_labelled(x, y, rank):
    """Reads the arguments `x` and `y` of a training, see `read_examples`.

    Args:
        x: data of any kind, or a pair `(x, y)`.
        y: labels of an array; `None` if `x` contains them, or if there are none.
        rank: the number of axes of a batch of examples.

    Raises:
        ValueError: as for `read_examples`, or if labels are given twice, or if a tuple is no pair.
    """
    if isinstance(x, tuple):
        if y is not None or len(x) != 2:
            raise ValueError(
                "`x` must be examples, with their labels as `y`, or a pair `(x, y)` alone. "
                f"Received: x=a tuple of {len(x)}, y={type(y).__name__}"
            )
        x, y = x
    data = read_examples("x", x, rank)
    if y is None:
        return data
    if data.y is not None:
        raise ValueError(
            f"`y` must be None, as `x` has the labels. Received: x={type(x).__name__}, y={type(y).__name__}"
        )
    return data._replace(y=y)


def is_batches(data):
    """Whether the data come in batches, with their labels."""
    return isinstance(data, (tf.data.Dataset, keras.utils.PyDataset))


def numbers_by_name(argument, data, classes, class_names):
    """The labels of `Examples` as class numbers of a classifier; those of a `ClassDataset` are matched by name.

    Args:
        argument: the name of the data in error messages.
        data: `Examples`.
        classes: the number of the classifier's classes.
        class_names: the names of the classes that it was trained on, in the order of their numbers; `None` if they are
            not known.

    Raises:
        ValueError: if the classifier does not have a class, or if it is not known which one it is.
    """
    names = data.class_names
    if names is None:
        return data.y
    if class_names is None:
        if len(names) != classes:
            raise ValueError(
                f"`{argument}` must have the {classes} classes of the training data, which came without names: "
                "`dataset.with_classes(names)` numbers the classes of a dataset as those are. "
                f"Received: the {len(names)} classes {names[:10]}"
            )
        return data.y
    numbers = numbers_of_names(names, class_names)
    unknown = [name for name, number in zip(names, numbers) if number < 0]
    if unknown:
        raise ValueError(
            f"`{argument}` must hold classes of the training data; `dataset.select(names)` picks them. "
            f"Received: the classes {unknown[:10]}, which are none of {class_names[:10]}"
        )
    return numbers[data.y]


def check_batched(argument, dataset, rank):
    """Refuses a `tf.data.Dataset` of single examples; a batch of them would have `rank` axes."""
    first = dataset.element_spec[0] if isinstance(dataset.element_spec, tuple) else dataset.element_spec
    received = getattr(getattr(first, "shape", None), "rank", None)
    if received == rank - 1:
        raise ValueError(
            f"`{argument}` must be batched: `dataset.batch(64)`. Received: elements of shape {tuple(first.shape)}"
        )


def _concatenated(argument, batches):
    parts = [batch if isinstance(batch, (tuple, list)) else (batch,) for batch in batches]
    if not parts:
        raise ValueError(f"`{argument}` must hold at least one batch. Received: an empty dataset")
    shapes = {len(part) for part in parts}
    if len(shapes) > 1 or not shapes <= {1, 2, 3} or any(isinstance(p, (dict, tuple, list)) for p in parts[0]):
        raise ValueError(
            f"`{argument}` must give batches of examples `x`, `(x, y)` or `(x, y, sample_weight)`. "
            f"Received: {tf.nest.map_structure(lambda tensor: tuple(np.shape(tensor)), batches[0])}"
        )
    return Examples(*(np.concatenate([as_array(argument, part) for part in column]) for column in zip(*parts)))
