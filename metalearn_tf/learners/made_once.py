"""Things that are made of a learner once, and made again when the learner has changed."""

import numpy as np
import tensorflow as tf


class TracedFunction:
    """A `tf.function` that is traced again when its trace is out of date.

    A trace reads variables when it runs. But it keeps plain attributes, flags, tensors and tables as they were.

    Args:
        function: from tensors to tensors.
        state: function without arguments that returns what a trace keeps, such as the `python_state` of a model: a
            value that compares by `==`.
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
        # Read the state after tracing: what the trace itself sets, such as a count of calls, is no reason to trace
        # again. Set both as one tuple: otherwise another thread could see a graph with the wrong state.
        self._traced = self._state(), traced[1]
        return outputs


class SharedCopy:
    """Returns a copy of a learner: the same copy until the learner changes.

    Args:
        learner: a `MetaLearner`.
        state: function without arguments that returns everything but the weights: a value that compares by `==`.
    """

    def __init__(self, learner, state):
        self._learner = learner
        self._state = state
        self._kept = None

    def __call__(self):
        weights, state, kept = self._learner.get_weights(), self._state(), self._kept
        if kept is None or kept[1] != state or not _are_same(kept[0].get_weights(), weights):
            # Set both as one tuple: otherwise another thread could see a copy with the wrong state.
            self._kept = kept = self._learner.copy(), state
            kept[0].is_shared = True
        return kept[0]


def _are_same(weights, others):
    return all(np.array_equal(one, other) for one, other in zip(weights, others, strict=True))
