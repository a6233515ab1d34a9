"""Weights of examples and of classes."""

import numpy as np

from metalearn_tf.checks.arrays import as_array, check_finite
from metalearn_tf.checks.real_numbers import is_real
from metalearn_tf.checks.whole_numbers import is_whole


def check_sample_weight(argument, sample_weight, shape):
    """Checks the weights of examples, and returns them as float32; returns `None` for `None`.

    Args:
        argument: the name in error messages.
        sample_weight: array, list or tensor.
        shape: the shape of the labels, `(n,)` or `(tasks, queries)`.

    Raises:
        ValueError: if they are not finite numbers of at least 0, one for each label.
    """
    if sample_weight is None:
        return None
    weights = as_array(argument, sample_weight)
    if weights.shape != shape or weights.dtype.kind not in "fiub":
        names, fix = "(n,)", ""
        if len(shape) == 2:
            names = "(tasks, queries)"
            fix = f"; a number a task is `np.repeat(weights[:, None], {shape[1]}, axis=1)`"
        raise ValueError(
            f"`{argument}` must have a number for each label, the shape {names} = {shape}{fix}. "
            f"Received: shape {weights.shape}, dtype={weights.dtype}"
        )
    weights = weights.astype("float32")
    check_finite(argument, weights)
    if weights.min() < 0.0:
        raise ValueError(f"`{argument}` must not be negative. Received: {weights.min()} to {weights.max()}")
    return weights


def class_weights(class_weight, y, classes):
    """The weight of each example's class, float32 `(n,)`. A class that is not in the dict has weight 1, as in Keras.

    Args:
        class_weight: dict from class numbers to numbers of at least 0.
        y: int32 `(n,)`.
        classes: the number of classes.

    Raises:
        ValueError: if `class_weight` is not such a dict.
    """
    accepted = isinstance(class_weight, dict) and all(
        is_whole(number) and 0 <= number < classes and is_real(weight) and weight >= 0
        for number, weight in class_weight.items()
    )
    if not accepted:
        raise ValueError(
            f"`class_weight` must be a dict from class numbers in [0, {classes}) to numbers of at least 0. "
            f"Received: {class_weight!r}"
        )
    return np.asarray([class_weight.get(number, 1.0) for number in range(classes)], "float32")[y]
