"""Counts among arguments."""

import numpy as np


def is_whole(value):
    """Whether a value is an integer, Python's or NumPy's; `True` and `False` are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_whole(least=1, **numbers):
    """Refuses numbers that are not integers of at least `least`.

    Args:
        least: integer.
        **numbers: by their names as arguments.

    Raises:
        ValueError: names the first that is not.
    """
    for name, value in numbers.items():
        if not is_whole(value) or value < least:
            accepted = "a positive integer" if least == 1 else f"an integer of at least {least}"
            raise ValueError(f"`{name}` must be {accepted}. Received: {name}={value!r}")


def check_python_whole(**numbers):
    """Refuses numbers that are not Python's positive integers, which Keras's layers and files ask for.

    Args:
        **numbers: by their names as arguments.

    Raises:
        ValueError: names the first that is not.
    """
    check_whole(**numbers)
    for name, value in numbers.items():
        if not isinstance(value, int):
            raise ValueError(f"`{name}` must be a positive integer of Python's. Received: {name}={value!r}")
