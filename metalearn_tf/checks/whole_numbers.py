"""Counts among arguments."""

import numpy as np


def is_whole(value):
    """Whether a value is an integer, Python's or NumPy's; `True` and `False` are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_whole(least=1, **numbers):
    """Refuses numbers that are not integers of at least `least`.

    Args:
        least: integer; `None` for any.
        **numbers: by their names as arguments.

    Raises:
        ValueError: names the first that is not.
    """
    for name, value in numbers.items():
        if not is_whole(value) or (least is not None and value < least):
            accepted = {None: "an integer", 1: "a positive integer"}.get(least, f"an integer of at least {least}")
            raise ValueError(f"`{name}` must be {accepted}. Received: {name}={value!r}")


def check_whole_between(argument, value, least, most, reason):
    """Refuses what is not an integer from `least` to `most`; the reason, in words, is why there are no more."""
    if not is_whole(value) or not least <= value <= most:
        raise ValueError(
            f"`{argument}` must be an integer from {least} to {most}, {reason}. Received: {argument}={value!r}"
        )


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


def check_seed(seed, signed=False):
    """The seed as Python's integer.

    Args:
        seed: the argument of that name.
        signed: whether it is of TensorFlow's 32 bits with a sign; otherwise it is what `keras.utils.set_random_seed`
            takes.

    Raises:
        ValueError: if it is another, `None` among them: the same call would not go on the same.
    """
    least, accepted = (-(2**31), "-2**31 to 2**31 - 1") if signed else (0, "0 to 2**32 - 1")
    if not is_whole(seed) or not least <= seed < least + 2**32:
        raise ValueError(
            f"`seed` must be an integer from {accepted}; draw one by `np.random.default_rng().integers(2**31)` for "
            f"another result each time. Received: seed={seed!r}"
        )
    return int(seed)
