"""Environment variables for a while, and what programs of Ray's find there."""

import contextlib
import os

# Ray gives its workers the priority 15, at which beside other programs they come to a standstill.
RAY_PRIORITY = {"RAY_worker_niceness": "0"}


@contextlib.contextmanager
def environment(variables):
    """Inside, the environment has these variables; after it, those of before.

    Args:
        variables: dict from names to texts.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
