"""Several learners that answer together."""

import itertools
import math

import keras
import tensorflow as tf

from metalearn_tf.engine.copy_network import as_model
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.network_pass import result_dtype


@keras.saving.register_keras_serializable("metalearn_tf")
class Ensemble(MetaLearner):
    """Averages the class probabilities of several learners, each adapted to the same support set.

    Train each learner first: an ensemble copies the learners as they are and cannot be trained itself. The logits are
    the logarithms of the mean probabilities. The task state is the task states of the learners, one after the other.

    Example:

    ```python
    ensemble = mtf.learners.Ensemble([maml, prototypical])
    report = mtf.evaluation.evaluate_episodes(ensemble, test, ways=5, shots=1)
    ensemble.export("saved_models/ensemble/1", report=report)
    ```

    Args:
        learners: `MetaLearner`s with the same input shape. If several have a `max_ways`, it must be the same.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if `learners` is empty, holds anything else, or they do not fit together.
    """

    takes_targets = False

    def __init__(self, learners, **kwargs):
        learners = list(learners)
        _check_learners(learners)
        learners = [learner.copy() for learner in learners]
        # The first network tells the shape of the examples: all networks have the same input shape.
        super().__init__(learners[0].network, **kwargs)
        self.learners = learners
        self._state_lengths = None

    @property
    def max_ways(self):
        return next((learner.max_ways for learner in self.learners if learner.max_ways is not None), None)

    @property
    def normalization(self):
        """The statistics that the networks' normalisations use, joined by `+` if they differ."""
        found = {name for learner in self.learners for name in learner.normalization.split("+")}
        return "+".join(sorted(found - {"none"})) or "none"

    def adapt_task(self, support_x, support_y):
        if support_y.dtype.is_floating:
            raise ValueError("An ensemble averages class probabilities: `support_y` must be labels. Received: targets")
        return [tensor for learner in self.learners for tensor in learner.adapt_task(support_x, support_y)]

    def classify(self, task_state, query_x):
        log_probabilities = []
        for learner, state in self._with_states(task_state):
            logits = learner.classify(state, query_x)
            log_probabilities.append(tf.nn.log_softmax(tf.cast(logits, result_dtype(self.network))))
        return tf.reduce_logsumexp(tf.stack(log_probabilities), axis=0) - math.log(len(self.learners))

    def state_checks(self, task_state):
        return [check for learner, state in self._with_states(task_state) for check in learner.state_checks(state)]

    def _with_states(self, task_state):
        """Pairs of a learner and its part of the task state."""
        if self._state_lengths is None:
            self._state_lengths = tuple(map(_state_length, self.learners))
        ends = list(itertools.accumulate(self._state_lengths, initial=0))
        return [(learner, task_state[start:end]) for learner, start, end in zip(self.learners, ends, ends[1:])]

    def fit(self, *args, **kwargs):
        raise NotImplementedError("An ensemble is not trained: call `fit` on each learner, then make the ensemble.")

    def train_step(self, data):
        return self.fit()

    def copied_parts(self):
        return {"learners": self.learners}  # the constructor copies them

    def get_config(self):
        config = super().get_config()
        del config["network"]
        config.pop("loss", None)  # the losses of adaptation are the learners'
        learners = [keras.saving.serialize_keras_object(learner) for learner in self.learners]
        for learner in learners:
            # Nobody trains them again, so the states of their optimizers are not saved.
            learner.pop("compile_config", None)
        return {**config, "learners": learners}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "learners": [as_model(one) for one in config["learners"]]})


def _state_length(learner):
    """The number of tensors in a learner's task state. Only its own function tells it."""
    inputs = learner.network.inputs[0]
    support_x = tf.TensorSpec((None, *inputs.shape[1:]), inputs.dtype)
    with tf.init_scope():
        return len(learner.state_specs(support_x, tf.TensorSpec((None,), tf.int32)))


def _check_learners(learners):
    kinds = [type(learner).__name__ for learner in learners]
    if not learners or not all(isinstance(learner, MetaLearner) for learner in learners):
        raise ValueError(f"`learners` must be one or more `MetaLearner`s. Received: {kinds}")
    shapes = [learner.network.input_shape for learner in learners]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"`learners` must have the same input shape. Received: {shapes}")
    ways = [learner.max_ways for learner in learners]
    if len(set(ways) - {None}) > 1:
        raise ValueError(
            "`learners` must have the same number of ways, where they have a bound; build their networks with the same "
            f"`outputs`. Received: max_ways={ways}"
        )
