"""A function of a model as a graph that follows the model."""

import tensorflow as tf


class TracedFunction:
    """A `tf.function` that is traced anew once what its trace holds is not so any more.

    A trace reads variables when it runs, but keeps plain attributes, flags, tensors and tables as they were.

    Args:
        function: from tensors to tensors.
        state: function without arguments, to what a trace keeps, as `python_state` gives it for a model: a value that
            compares by `==`.
    """

    def __init__(self, function, state):
        self._function = function
        self._state = state
        self._traced = None

    def __call__(self, *inputs):
        state, traced = self._state(), self._traced
        if traced is None or traced[0] != state:
            traced = state, tf.function(self._function, reduce_retracing=True)
        outputs = traced[1](*inputs)
        # What the trace itself has set, such as a count of calls, is no reason to trace again. As one tuple, so that no
        # other thread sees a graph with the state of another.
        self._traced = self._state(), traced[1]
        return outputs
