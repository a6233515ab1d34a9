"""Functions of a model as graphs that are traced again when the model changes."""

import tensorflow as tf

from metalearn_tf.engine.describe import describe


class FreshTrace:
    """A function of tensors as a graph. It is traced again if the objects that it uses have changed.

    A trace keeps the plain attributes of a model and its layers, which users may set at any time.

    Args:
        function: function of tensors and of the list that `parts` returns.
        parts: function without arguments that returns a list of the objects that `function` reads in addition to
            tensors and variables, see `describe`.
    """

    def __init__(self, function, parts):
        self._function, self._parts = function, parts
        self._description = self._graph = None

    def __call__(self, *inputs):
        description = describe(self._parts())
        if self._graph is None or description != self._description:
            self._description, self._graph = (
                description,
                tf.function(self._function, reduce_retracing=True, autograph=False),
            )
        return self._graph(*inputs)
