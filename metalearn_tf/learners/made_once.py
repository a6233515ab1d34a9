"""What is made of a learner once, and anew where the learner has changed."""

import numpy as np
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


class SharedCopy:
    """Gives a copy of a learner as it is, the same one until the learner changes.

    Args:
        learner: a `MetaLearner`.
        state: function without arguments, to what of the learner is no weight: a value that compares by `==`.
    """

    def __init__(self, learner, state):
        self._learner = learner
        self._state = state
        self._kept = None

    def __call__(self):
        weights, state, kept = self._learner.get_weights(), self._state(), self._kept
        if kept is None or kept[1] != state or not _are_same(kept[0].get_weights(), weights):
            # As one tuple, so that no other thread sees a copy with the state of another.
            self._kept = kept = self._learner.copy(), state
            kept[0].is_shared = True
        return kept[0]


def _are_same(weights, others):
    return all(np.array_equal(one, other) for one, other in zip(weights, others, strict=True))
