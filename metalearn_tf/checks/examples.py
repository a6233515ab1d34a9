"""Examples: one array with the kind and the shape that a network takes."""

import numpy as np

from metalearn_tf.checks.arrays import as_array, check_finite, check_shape
from metalearn_tf.checks.check_texts import check_texts
from metalearn_tf.checks.dtypes import check_dtype
from metalearn_tf.checks.image_range import check_image_range


def check_examples(argument, x, shape, kind, limits=None):
    """Checks that examples are what a network takes, and returns them as an array.

    Args:
        argument: the name in error messages.
        x: array `(n, *shape)`, or a list or tensor of this shape.
        shape: the shape of one example, with `None` for sides of any length.
        kind: see `check_dtype`.
        limits: lowest and highest value of a floating pixel; `None` for any.

    Returns:
        The array in its own dtype; for texts, an array of objects.

    Raises:
        ValueError: if the shape, kind or range is wrong, numbers are not finite, or texts are empty.
    """
    x = as_array(argument, x)
    if kind == "texts":
        x = check_texts(argument, x)
        check_shape(argument, x, [1 if side is None else side for side in shape])
        return x
    check_dtype(argument, x.dtype, kind, limits)
    check_shape(argument, x, shape)
    if kind == "pixels":
        check_image_range(argument, x, limits)
    elif kind == "numbers":
        check_finite(argument, x)
    return x


def check_not_empty(argument, x):
    """Refuses an array without examples."""
    if np.ndim(x) == 0 or len(x) == 0:
        raise ValueError(f"`{argument}` must hold at least one example. Received: shape {np.shape(x)}")
