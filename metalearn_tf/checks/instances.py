"""Grouped arguments: one object in place of many numbers."""


def check_instance(argument, value, kind):
    """Refuses what is no object of a class that groups arguments.

    Args:
        argument: its name.
        value: what was given.
        kind: the public class.

    Raises:
        TypeError: if `value` is none of it; says how to make one.
    """
    if not isinstance(value, kind):
        folder = kind.__module__.split(".")[1]
        raise TypeError(
            f"`{argument}` must be a `{kind.__name__}`: `{argument}=mtf.{folder}.{kind.__name__}(...)`. "
            f"Received: {type(value).__name__}"
        )
