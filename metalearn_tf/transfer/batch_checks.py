"""A look at the first of what comes in batches."""

import itertools
import types

import keras
import numpy as np
import tensorflow as tf


def first_batch(argument, data):
    """The first batch of a stream, and the stream from its beginning.

    Args:
        argument: the name of the data in error messages.
        data: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator, or arrays.

    Returns:
        The batch, or `None` of arrays; and the data.

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
        first = data[0]
    else:
        return None, data
    if first is None:
        raise ValueError(f"`{argument}` must hold at least one batch. Received: an empty {type(data).__name__}")
    return first, batches


def _in_tuples(first, others):
    """The batches one after the other, by a generator and in tuples, with texts as tensors, which Keras asks for."""
    for batch in itertools.chain([first], others):
        parts = batch if isinstance(batch, (tuple, list)) else (batch,)
        yield tuple(tf.constant(part) if np.asarray(part).dtype.kind in "USO" else part for part in parts)
