"""Model-agnostic meta-learning."""

import keras
import tensorflow as tf

from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.rematerialized import rematerialized
from metalearn_tf.learners.task_mapping import in_training


@keras.saving.register_keras_serializable("metalearn_tf")
class MAML(MetaLearner):
    """Learns initial weights from which a few gradient steps on a support set solve its task.

    The task state is the adapted weights, the support set's normalisation statistics where the network keeps them,
    and the number of ways.

    Args:
        network: a built `keras.Model` from examples to logits `(batch, ways)`, or to the outputs of a regression.
        inner_steps: gradient steps on the support set.
        inner_learning_rate: their size.
        first_order: leaves out the derivative of the inner gradients (FOMAML).
        test_inner_steps: steps outside training; `None` for as many as in training.
        rematerialize: computes the activations of inner steps again in the backward pass instead of keeping them:
            memory that does not grow with the inner steps, for about a third more time.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if a number is out of range.

    Reference: [Finn et al., 2017](https://arxiv.org/abs/1703.03400)
    """

    def __init__(
        self,
        network,
        inner_steps=1,
        inner_learning_rate=0.4,
        first_order=False,
        test_inner_steps=None,
        rematerialize=False,
        **kwargs,
    ):
        super().__init__(network, **kwargs)
        for name, steps in (("inner_steps", inner_steps), ("test_inner_steps", test_inner_steps)):
            is_default = name == "test_inner_steps" and steps is None
            if not is_default and (not isinstance(steps, int) or steps < 1):
                raise ValueError(f"`{name}` must be a positive integer. Received: {steps!r}")
        if not inner_learning_rate > 0:
            raise ValueError(f"`inner_learning_rate` must be positive. Received: {inner_learning_rate!r}")
        self.inner_steps = inner_steps
        self.inner_learning_rate = inner_learning_rate
        self.first_order = first_order
        self.test_inner_steps = test_inner_steps
        self.rematerialize = rematerialize

    @property
    def max_ways(self):
        return self.network.output_shape[-1]

    def adapt_task(self, support_x, support_y):
        ways = self.max_ways if support_y.dtype.is_floating else self.ways(support_y)
        step = self._inner_step(support_x, support_y, ways)
        weights = [tf.convert_to_tensor(variable) for variable in self.network.trainable_variables]
        for _ in range(self.inner_steps if in_training() else self.test_inner_steps or self.inner_steps):
            weights = step(*weights)
        # The statistics that queries need are those of the support set under the adapted weights.
        statistics = self.encode_support(support_x, weights)[1] if self._support_statistics() else []
        return [*weights, *statistics, tf.convert_to_tensor(ways)]

    def classify(self, task_state, query_x):
        # Not the number of trainable weights: an adapted model may be frozen.
        count = len(task_state) - 1 - len(self._support_statistics())
        weights, statistics, ways = task_state[:count], task_state[count:-1], task_state[-1]
        return self.encode_query(query_x, weights, statistics)[:, :ways]

    def _inner_step(self, support_x, support_y, ways):
        """The function from weights to the weights after one step on the support set."""
        # float16 gradients of a mean over few examples underflow; a power of two is exact to divide by again.
        scale = 1024.0 if self.network.compute_dtype == "float16" else 1.0

        def step(*weights):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights)
                outputs, _ = self.encode_support(support_x, weights)
                loss = scale * self.support_loss(support_y, outputs[:, :ways])
            gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
            # Those of embeddings come as slices, which cannot be scaled.
            gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
            if self.first_order:
                gradients = [tf.stop_gradient(gradient) for gradient in gradients]
            rate = self.inner_learning_rate / scale
            return [weight - rate * gradient for weight, gradient in zip(weights, gradients)]

        return rematerialized(step, self._running_state()) if self.rematerialize and in_training() else step

    def get_config(self):
        return {
            **super().get_config(),
            "inner_steps": self.inner_steps,
            "inner_learning_rate": self.inner_learning_rate,
            "first_order": self.first_order,
            "test_inner_steps": self.test_inner_steps,
            "rematerialize": self.rematerialize,
        }
