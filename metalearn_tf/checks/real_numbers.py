"""Rates, weights and shares among arguments."""

import math
import numbers

import numpy as np


def is_real(value):
    """Whether a value is a finite number of Python or NumPy. `True` and `False` do not count as numbers."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def check_positive(argument, value):
    """Refuses a value that is not a positive number."""
    if not is_real(value) or value <= 0:
        raise ValueError(f"`{argument}` must be a positive number. Received: {argument}={value!r}")


def check_all_positive(argument, values):
    """Refuses a value that is not a list, tuple or array of one or more positive numbers."""
    are_several = isinstance(values, (list, tuple, np.ndarray)) and len(values) > 0
    if not are_several or not all(is_real(value) and value > 0 for value in values):
        raise ValueError(f"`{argument}` must be one or more positive numbers. Received: {argument}={values!r}")


def check_not_negative(argument, value):
    """Refuses a value that is not a number of at least 0."""
    if not is_real(value) or value < 0:
        raise ValueError(f"`{argument}` must be a number of at least 0. Received: {argument}={value!r}")


def check_share(argument, value):
    """Refuses a value that is not a number in (0, 1]."""
    if not is_real(value) or not 0 < value <= 1:
        raise ValueError(f"`{argument}` must be a number in (0, 1]. Received: {argument}={value!r}")


def check_below_one(argument, value):
    """Refuses a value that is not a number in [0, 1)."""
    if not is_real(value) or not 0 <= value < 1:
        raise ValueError(f"`{argument}` must be a number in [0, 1). Received: {argument}={value!r}")
