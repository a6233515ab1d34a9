"""Sets environment variables for a while, and those that Ray's programs need."""

import contextlib
import os

# Ray gives its workers the priority 15. At this priority they almost stop when other programs run.
RAY_PRIORITY = {"RAY_worker_niceness": "0"}


@contextlib.contextmanager
def environment(variables):
    """A context with these environment variables; afterwards the old ones are restored.

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
