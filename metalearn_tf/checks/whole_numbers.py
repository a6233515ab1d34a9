"""Counts among arguments."""

import numpy as np


def is_whole(value):
    """Whether a value is an integer of Python or NumPy. `True` and `False` do not count as integers."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_whole(least=1, **numbers):
    """Refuses values that are not integers of at least `least`.

    Args:
        least: integer; `None` for any.
        **numbers: the values, by the names of the arguments.

    Raises:
        ValueError: names the first wrong argument.
    """
    for name, value in numbers.items():
        if not is_whole(value) or (least is not None and value < least):
            accepted = {None: "an integer", 1: "a positive integer"}.get(least, f"an integer of at least {least}")
            raise ValueError(f"`{name}` must be {accepted}. Received: {name}={value!r}")


def check_whole_between(argument, value, least, most, reason):
    """Refuses a value that is not an integer from `least` to `most`. `reason` says in words why `most` is the limit."""
    if not is_whole(value) or not least <= value <= most:
        raise ValueError(
            f"`{argument}` must be an integer from {least} to {most}, {reason}. Received: {argument}={value!r}"
        )


def check_python_whole(**numbers):
    """Refuses values that are not positive integers of Python: Keras's layers and files need these.

    Args:
        **numbers: the values, by the names of the arguments.

    Raises:
        ValueError: names the first wrong argument.
    """
    check_whole(**numbers)
    for name, value in numbers.items():
        if not isinstance(value, int):
            raise ValueError(f"`{name}` must be a positive Python integer. Received: {name}={value!r}")


def check_seed(seed, signed=False):
    """Checks a seed, and returns it as a Python integer.

    Args:
        seed: the argument `seed`.
        signed: whether the seed is a signed 32-bit integer, as in TensorFlow; otherwise it is what
            `keras.utils.set_random_seed` takes.

    Raises:
        ValueError: if it is something else. `None` is refused too, because a repeated call would give other results.
    """
    least, accepted = (-(2**31), "-2**31 to 2**31 - 1") if signed else (0, "0 to 2**32 - 1")
    if not is_whole(seed) or not least <= seed < least + 2**32:
        raise ValueError(
            f"`seed` must be an integer from {accepted}; draw one by `np.random.default_rng().integers(2**31)` for "
            f"another result each time. Received: seed={seed!r}"
        )
    return int(seed)
