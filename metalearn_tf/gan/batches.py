"""A look at the first batch of what a GAN is given in batches."""

import collections.abc
import itertools
import os
import types

import keras
import tensorflow as tf

from metalearn_tf.checks.arrays import as_array
from metalearn_tf.data.class_index import ClassIndex

# What Keras would refuse without a word of what a GAN takes.
_NO_BATCHES = (dict, tuple, list, str, bytes, os.PathLike, collections.abc.Iterator, ClassIndex)


def as_arrays(x, argument):
    """Lists and tuples of numbers or arrays as one array, all else as it is.

    Raises:
        ValueError: if their parts differ in shape.
    """
    if not isinstance(x, (list, tuple)) or any(isinstance(part, (dict, str, bytes)) or part is None for part in x):
        return x
    return as_array(argument, x)


def first_batch(x, argument, what="images"):
    """The first batch of data that come in batches, `None` where none can be looked at, and the data with all.

    Args:
        x: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator, or what Keras knows to read.
        argument: name of the argument, for the errors.
        what: the examples are, for the errors.

    Raises:
        ValueError: if it is nothing of that kind, has no batch, or its batches have names in place of an order.
    """
    if isinstance(x, keras.utils.PyDataset):
        return _batch(x[0], argument, what), x
    if isinstance(x, (tf.data.Dataset, types.GeneratorType)):
        first = next(iter(x.take(1) if isinstance(x, tf.data.Dataset) else x), None)
        if first is None:
            raise ValueError(f"`{argument}` must have at least one batch. Received: an empty {type(x).__name__}")
        return _batch(first, argument, what), x if isinstance(x, tf.data.Dataset) else _generator(first, x)
    if x is None or isinstance(x, _NO_BATCHES):
        raise ValueError(
            f"`{argument}` must be {what}, or batches of them, as a `tf.data.Dataset`, a `keras.utils.PyDataset` or a "
            f"generator{_fix(x)}. Received: {type(x).__name__}"
        )
    return None, x


def _fix(x):
    if isinstance(x, ClassIndex):
        return "; a `ClassDataset` has `examples` and `labels`, and `mtf.data.image_tasks` makes tasks of it"
    return f"; of named parts, `x[{next(iter(x))!r}]` is one" if isinstance(x, dict) and x else ""


def _batch(first, argument, what):
    """A batch, as it came, unless its parts have names."""
    parts = first if isinstance(first, (tuple, list)) else [first]
    for named in [part for part in parts if isinstance(part, dict)]:
        part = f"batch[{next(iter(named), None)!r}]"
        make = f"batch: {part}" if len(parts) == 1 else f"batch, labels: ({part}, labels)"
        raise ValueError(
            f"`{argument}` must give batches of {what}, or of `({what}, labels)`; of a dataset with named parts, "
            f"`dataset.map(lambda {make})`. Received: batches of {list(named)}"
        )
    return first


def _generator(first, rest):
    """A generator, which Keras knows by its type, of a batch that was looked at and those behind it; of tuples."""
    for batch in itertools.chain([first], rest):
        yield batch if isinstance(batch, tuple) else (batch,)
