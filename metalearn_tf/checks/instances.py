"""Grouped arguments: one object instead of many numbers."""


def check_instance(argument, value, kind):
    """Refuses a value that is not an object of the class that groups these arguments.

    Args:
        argument: the name of the argument.
        value: its value.
        kind: the public class.

    Raises:
        TypeError: if `value` is not of this class; says how to make one.
    """
    if not isinstance(value, kind):
        folder = kind.__module__.split(".")[1]
        raise TypeError(
            f"`{argument}` must be a `{kind.__name__}`: `{argument}=mtf.{folder}.{kind.__name__}(...)`. "
            f"Received: {type(value).__name__}"
        )
