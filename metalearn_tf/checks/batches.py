"""Data that come in batches: whether they end, and what the first batch is."""

import itertools
import types

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.check_texts import texts_as_objects


def check_has_end(argument, data, steps_argument=None, steps=None):
    """Refuses endless data, unless a number of steps ends the pass over them.

    Args:
        argument: the name in error messages.
        data: as Keras takes it for `x`. Only a `tf.data.Dataset` or a `PyDataset` can say that it is endless.
        steps_argument: the name of the number of steps; `None` if all data are read.
        steps: the number of steps, or `None`.
    """
    is_endless = isinstance(data, tf.data.Dataset) and int(data.cardinality()) == tf.data.INFINITE_CARDINALITY
    is_endless = is_endless or (isinstance(data, keras.utils.PyDataset) and data.num_batches is None)
    if not is_endless or steps is not None:
        return
    fix = "`dataset.take(batches)` gives a `tf.data.Dataset` an end, and `__len__` a `PyDataset`"
    if steps_argument is None:
        raise ValueError(f"`{argument}` must have an end; {fix}. Received: an endless {type(data).__name__}")
    raise ValueError(
        f"`{steps_argument}` must say how many batches of `{argument}` to take, which has no end; or {fix}. "
        f"Received: {steps_argument}=None with an endless {type(data).__name__}"
    )


def first_batch(argument, data):
    """Reads the first batch of data, and returns it with data that still contain it.

    Args:
        argument: the name in error messages.
        data: as Keras takes it for `x`.

    Returns:
        A pair: the first batch, or `None` for arrays and for data that cannot be read twice; and the data to use from
        now on. For a generator, these are a new generator.

    Raises:
        ValueError: if there is no batch.
    """
    batches = data
    if isinstance(data, types.GeneratorType):
        first = next(data, None)
        batches = _in_tuples(first, data)
    elif isinstance(data, tf.data.Dataset):
        first = next(iter(data.take(1)), None)
    elif isinstance(data, keras.utils.PyDataset):
        first = data[0] if data.num_batches != 0 else None
    elif type(data).__module__.startswith("torch."):  # a `DataLoader`
        first = next(iter(data), None)
    else:
        return None, data
    if first is None:
        raise ValueError(f"`{argument}` must hold at least one batch. Received: an empty {type(data).__name__}")
    return first, batches


def _in_tuples(first, others):
    """A generator of the batches as tuples, with texts as tensors: the form that Keras needs."""
    for batch in itertools.chain([first], others):
        yield tuple(map(_with_tensors_of_texts, batch if isinstance(batch, (tuple, list)) else (batch,)))


def _with_tensors_of_texts(part):
    if isinstance(part, tuple):
        return tuple(map(_with_tensors_of_texts, part))
    part = texts_as_objects(part)
    return tf.constant(part) if isinstance(part, np.ndarray) and part.dtype.kind in "USO" else part
