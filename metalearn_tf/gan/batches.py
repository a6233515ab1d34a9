"""Checks on the first batch of a GAN's data."""

import collections.abc
import os
import types

from metalearn_tf.checks.arrays import as_array
from metalearn_tf.checks.batches import first_batch
from metalearn_tf.data.class_index import ClassIndex

# Keras would refuse these without saying what a GAN takes.
_NO_BATCHES = (dict, tuple, list, str, bytes, os.PathLike, collections.abc.Iterator, ClassIndex)


def as_arrays(argument, x):
    """Makes one array of lists and tuples of numbers or arrays; returns anything else unchanged.

    Raises:
        ValueError: if their parts differ in shape.
    """
    if not isinstance(x, (list, tuple)) or any(isinstance(part, (dict, str, bytes)) or part is None for part in x):
        return x
    return as_array(argument, x)


def first_ordered_batch(argument, x, what="images"):
    """Like `first_batch`, for data whose batches are tuples and not dicts.

    Args:
        argument: the name in error messages.
        x: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator, or other data that Keras can read.
        what: the kind of examples, for the errors.

    Raises:
        ValueError: if it is none of these, has no batch, or its batches are dicts.
    """
    is_generator = isinstance(x, types.GeneratorType)
    if x is None or (isinstance(x, _NO_BATCHES) and not is_generator):
        raise ValueError(
            f"`{argument}` must be {what}, or batches of them, as a `tf.data.Dataset`, a `keras.utils.PyDataset` or a "
            f"generator{_fix(x)}. Received: {type(x).__name__}"
        )
    first, x = first_batch(argument, x)
    _check_has_order(argument, first, what)
    return first, x


def _fix(x):
    if isinstance(x, ClassIndex):
        return "; a `ClassDataset` has `examples` and `labels`, and `mtf.data.image_tasks` makes tasks of it"
    return f"; of named parts, `x[{next(iter(x))!r}]` is one" if isinstance(x, dict) and x else ""


def _check_has_order(argument, first, what):
    parts = first if isinstance(first, (tuple, list)) else [first]
    for named in [part for part in parts if isinstance(part, dict)]:
        part = f"batch[{next(iter(named), None)!r}]"
        make = f"batch: {part}" if len(parts) == 1 else f"batch, labels: ({part}, labels)"
        raise ValueError(
            f"`{argument}` must give batches of {what}, or of `({what}, labels)`; of a dataset with named parts, "
            f"`dataset.map(lambda {make})`. Received: batches of {list(named)}"
        )
