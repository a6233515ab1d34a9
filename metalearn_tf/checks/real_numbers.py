"""Rates, weights and shares among arguments."""

import math
import numbers

import numpy as np


def is_real(value):
    """Whether a value is a finite number, Python's or NumPy's; `True` and `False` are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def check_positive(argument, value):
    """Refuses what is not a positive number."""
    if not is_real(value) or value <= 0:
        raise ValueError(f"`{argument}` must be a positive number. Received: {argument}={value!r}")


def check_all_positive(argument, values):
    """Refuses what is not one or more positive numbers, in a list, a tuple or an array."""
    are_several = isinstance(values, (list, tuple, np.ndarray)) and len(values) > 0
    if not are_several or not all(is_real(value) and value > 0 for value in values):
        raise ValueError(f"`{argument}` must be one or more positive numbers. Received: {argument}={values!r}")


def check_not_negative(argument, value):
    """Refuses what is not a number of at least 0."""
    if not is_real(value) or value < 0:
        raise ValueError(f"`{argument}` must be a number of at least 0. Received: {argument}={value!r}")


def check_share(argument, value):
    """Refuses what is not a number in (0, 1]."""
    if not is_real(value) or not 0 < value <= 1:
        raise ValueError(f"`{argument}` must be a number in (0, 1]. Received: {argument}={value!r}")


def check_below_one(argument, value):
    """Refuses what is not a number in [0, 1)."""
    if not is_real(value) or not 0 <= value < 1:
        raise ValueError(f"`{argument}` must be a number in [0, 1). Received: {argument}={value!r}")
