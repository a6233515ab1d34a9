"""A learner of the user's own says all of its arguments in its configuration, by which it is copied."""

import functools
import inspect


def with_checked_arguments(cls):
    """Lets the constructor of a user's class refuse, at its end, that `get_config` lacks one of its arguments.

    Adapting copies a learner by its configuration: a missing argument would have its default again.
    """
    if cls.__module__.startswith("metalearn_tf."):
        return
    construct = cls.__init__

    @functools.wraps(construct)
    def construct_and_check(self, *args, **kwargs):
        construct(self, *args, **kwargs)
        if type(self) is cls:
            _check_arguments(self)

    cls.__init__ = construct_and_check


def _check_arguments(learner):
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(type(learner)).parameters
    config = learner.get_config()
    # The data type is that of the network.
    missing = [name for name, one in parameters.items() if one.kind not in kinds and name not in {*config, "dtype"}]
    if missing:
        raise ValueError(
            f"`get_config` of a learner must return all that its `__init__` takes, since adapting copies it: "
            f"`def get_config(self): return {{**super().get_config(), {missing[0]!r}: self.{missing[0]}}}`. "
            f"Received: {type(learner).__name__}, whose configuration lacks {missing}"
        )
