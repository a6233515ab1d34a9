"""Data that come batch by batch: whether they end, and a look at the first of them."""

import itertools
import types

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.check_texts import texts_as_objects


def check_has_end(argument, data, steps_argument=None, steps=None):
    """Refuses data that say of themselves that they have no end, where no number of steps ends the pass over them.

    Args:
        argument: the name in error messages.
        data: as Keras takes it for `x`; other data than a `tf.data.Dataset` or a `PyDataset` are taken to end.
        steps_argument: the name of the number of steps; `None` where all data are read.
        steps: that number, or `None`.
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
    """The first batch of data that come in batches, and the data with that batch in them.

    Args:
        argument: the name in error messages.
        data: as Keras takes it for `x`.

    Returns:
        A pair: the batch as it came, or `None` of arrays and of what cannot be read twice; and the data to go on with,
        which for a generator are another one.

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
    """The batches one after the other, by a generator and in tuples, with texts as tensors, as Keras asks for them."""
    for batch in itertools.chain([first], others):
        yield tuple(map(_with_tensors_of_texts, batch if isinstance(batch, (tuple, list)) else (batch,)))


def _with_tensors_of_texts(part):
    if isinstance(part, tuple):
        return tuple(map(_with_tensors_of_texts, part))
    part = texts_as_objects(part)
    return tf.constant(part) if isinstance(part, np.ndarray) and part.dtype.kind in "USO" else part
