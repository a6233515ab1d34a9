"""Arrays among arguments: their shapes, and whether their numbers are finite."""

import collections.abc

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.check_texts import texts_as_objects

_NO_ARRAYS = (
    type(None),
    str,
    bytes,
    set,
    collections.abc.Mapping,
    collections.abc.Iterator,
    tf.data.Dataset,
    keras.utils.PyDataset,
    keras.KerasTensor,
)


def as_array(argument, value):
    """Makes a NumPy array of an array-like value, such as a list or a tensor.

    Lists of texts become arrays of objects: these need no more memory if one text is much longer than the others.

    Raises:
        ValueError: if the value cannot become an array; names its type, or the shapes of its parts.
    """
    if isinstance(value, _NO_ARRAYS) or hasattr(value, "class_names"):
        fix = ""
        if hasattr(value, "class_names"):
            fix = "; those of a dataset are `dataset.examples` and `dataset.labels`"
        elif isinstance(value, collections.abc.Iterator):
            fix = "; `np.concatenate` puts the batches of a generator together"
        raise ValueError(f"`{argument}` must be an array{fix}. Received: {type(value).__name__}")
    value = texts_as_objects(value)
    if isinstance(value, (list, tuple)):
        shapes = sorted({tuple(np.shape(part)) for part in value if not isinstance(part, (list, tuple))})
        if len(shapes) > 1:
            raise ValueError(
                f"`{argument}` must be one array, of parts of the same shape. "
                f"Received: a {type(value).__name__} of the shapes {shapes}"
            )
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"`{argument}` must be one array, of parts of the same shape. Received: {error}") from error


def check_shape(argument, array, shape, whose="the network takes"):
    """Refuses an array whose shape is not `(n, *shape)`.

    Args:
        argument: the name in error messages.
        array: array.
        shape: the shape of one example, with `None` for sides of any length.
        whose: who needs this shape, as the words after "that" in the message.

    Raises:
        ValueError: if it has another shape; says what to do with images of another size, or with a single example.
    """
    if array.ndim == len(shape) + 1 and all(side in (None, own) for side, own in zip(shape, array.shape[1:])):
        return
    fix = ""
    if len(shape) == 3 and None not in shape[:2] and array.ndim == 4 and shape[2] in (None, array.shape[3]):
        fix = f"; `mtf.data.load(..., image_size={tuple(shape[:2])})` resizes images"
    elif array.shape == tuple(shape):
        fix = "; a single example goes as `x[None]`"
    raise ValueError(
        f"`{argument}` must have the shape (n{''.join(f', {side}' for side in shape)}) that {whose}{fix}. "
        f"Received: shape {array.shape}"
    )


def check_vectors(argument, x):
    """Checks for finite numbers of shape `(n, d)`, and returns them as an array."""
    x = as_array(argument, x)
    if x.ndim != 2 or x.shape[1] == 0 or x.dtype.kind not in "fiub":
        raise ValueError(f"`{argument}` must be numbers of shape (n, d). Received: shape {x.shape}, dtype={x.dtype}")
    check_finite(argument, x)
    return x


def check_finite(argument, values):
    """Refuses an array with NaN or infinite numbers; the error names the first rows that have them."""
    finite = np.isfinite(np.atleast_1d(values))
    if not finite.all():
        rows = np.flatnonzero(~finite.reshape(len(finite), -1).all(axis=1))
        raise ValueError(f"`{argument}` must be finite. Received: NaN or infinite values in rows {rows[:10].tolist()}")


def check_finite_weights(argument, variables):
    """Refuses the variables of a model whose training has diverged.

    Without this check, activations such as ReLU turn NaN into zeros, and zeros look like a valid answer.
    """
    if not all(np.isfinite(np.asarray(variable)).all() for variable in variables):
        raise ValueError(
            f"`{argument}` must have finite weights: train it again, at a smaller learning rate or with "
            "`keras.optimizers.Adam(clipnorm=1.0)`. Received: weights that are NaN or infinite"
        )
