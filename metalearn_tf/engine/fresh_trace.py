"""Functions of a model as graphs, that follow what the model is."""

import tensorflow as tf

from metalearn_tf.engine.describe import describe


class FreshTrace:
    """A function of tensors as a graph, traced anew once what it was traced from has changed.

    A trace holds the plain attributes of a model and its layers, which may be set at any time.

    Args:
        function: of tensors, and of what `parts` returns.
        parts: from nothing to a list of what the function reads beside tensors and variables, see `describe`.
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
