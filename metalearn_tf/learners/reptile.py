"""Meta-learning without a meta-gradient: the weights move towards the mean of the adapted weights."""

import keras
import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.engine.inner_batches import inner_batch_rows
from metalearn_tf.engine.regularization import regularization_loss
from metalearn_tf.engine.update_rules import given_optimizer, keras_optimizer, on_some_weights, stateless_optimizer
from metalearn_tf.learners.gradient_based_learner import GradientBasedLearner
from metalearn_tf.learners.network_pass import layer_losses, with_layer_losses


@keras.saving.register_keras_serializable("metalearn_tf")
class Reptile(GradientBasedLearner):
    """Moves the initial weights towards the final weights of the training on each task.

    The outer gradient is the initial weights minus the mean of the adapted ones. So `keras.optimizers.SGD(step)` moves
    the weights by `step` times the mean difference. In the paper, `step` falls linearly from 1 to 0. In meta-training,
    the inner steps use the support and query examples together, without queries of weight 0. So the training metrics
    are higher than those on new queries: they count queries that were trained on.

    The moments of the inner optimizer are kept from task to task, as in the authors' code, and averaged over a batch.

    The defaults were tried on tasks of five classes and five shots of standardised vectors, after 100 outer steps of 4
    tasks: 90 % of the queries were right. A linear probe of the support set reached 96 %.

    Args:
        network: a built `keras.Model` from examples to logits `(batch, ways)`, or to the outputs of a regression.
        inner_steps: optimizer steps in meta-training.
        inner_optimizer: a `keras.optimizers.Optimizer`, or its name; `None` for Adam with rate 1e-3 and `beta_1=0`. The
            learner keeps a copy. You may change its options: `learner.inner_optimizer.learning_rate = 1e-4`.
        inner_batch_size: examples in an inner step. The steps take all examples in turn and alternate between classes.
        test_inner_steps: optimizer steps outside training.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if a number is out of range.

    Reference: [Nichol et al., 2018](https://arxiv.org/abs/1803.02999)
    """

    def __init__(
        self, network, inner_steps=5, inner_optimizer=None, inner_batch_size=10, test_inner_steps=50, **kwargs
    ):
        # === Layers ===
        super().__init__(network, inner_steps, test_inner_steps, first_order=True, rematerialize=False, **kwargs)
        check_python_whole(inner_batch_size=inner_batch_size)
        if inner_optimizer is None:
            inner_optimizer = keras.optimizers.Adam(1e-3, beta_1=0.0)
        self._inner_optimizer = stateless_optimizer(keras.optimizers.get(inner_optimizer), self.all_weights())
        self._rule = keras_optimizer(self._inner_optimizer)
        self.inner_optimizer_state = list(self._inner_optimizer.variables)
        # === Config ===
        self.inner_batch_size = inner_batch_size

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        """Like `MetaLearner.compile`; the default outer optimizer is `keras.optimizers.SGD(1.0)`."""
        super().compile(keras.optimizers.SGD(1.0) if optimizer is None else optimizer, loss, metrics, **kwargs)

    @property
    def inner_optimizer(self):
        """The optimizer of the inner steps. Tasks start with its moments."""
        return self._inner_optimizer

    @inner_optimizer.setter
    def inner_optimizer(self, optimizer):
        raise AttributeError(
            "`inner_optimizer` must stay the same, because the learner keeps its moments: set its options, such as "
            "`learner.inner_optimizer.learning_rate = 1e-4`, or build another learner. "
            f"Received: {type(optimizer).__name__}"
        )

    def update_rule(self):
        return on_some_weights(self._rule, self.all_weights())

    def inner_batch(self, inputs, support_y, step):
        count = tf.shape(support_y)[0]
        size = tf.minimum(self.inner_batch_size, count)
        rows = inner_batch_rows(step, size, count, None if support_y.dtype.is_floating else support_y)
        return tf.gather(inputs, rows), tf.gather(support_y, rows)

    def inner_loss(self, support_y, outputs, weights):
        # The inner steps train like Keras: there is no other loss that could contain the regularisers.
        penalty = regularization_loss(self.adapted_variables(), weights)
        return super().inner_loss(support_y, outputs, weights) + (0.0 if penalty is None else penalty)

    def regularization_loss(self):
        return None

    def task_gradients(self, support_x, support_y, query_x, query_y, sample_weight=None):
        examples, labels = [support_x, query_x], [support_y, tf.cast(query_y, support_y.dtype)]
        if sample_weight is not None:
            examples[1], labels[1] = (tf.boolean_mask(queries, sample_weight > 0) for queries in (query_x, labels[1]))
        examples, labels = tf.concat(examples, axis=0), tf.concat(labels, axis=0)
        ways = self.task_ways(support_y)
        weights, state = self.inner_loop(examples, labels, ways)[-1]
        for variable, value in zip(self.inner_optimizer_state, state):
            variable.assign(value)
        differences = [variable - weight for variable, weight in zip(self.adapted_variables(), weights)]
        with layer_losses():
            logits = self.classify(self.task_state(support_x, weights, ways), query_x)
            loss = with_layer_losses(self.compiled_loss(query_y, logits, sample_weight))
        return loss, logits, [self.optimizer.scale_loss(difference) for difference in differences]

    def running_state(self):
        return [*super().running_state(), *self.inner_optimizer_state]

    def _python_state(self):
        return super()._python_state(), self.inner_optimizer.get_config()

    def get_config(self):
        config = super().get_config()
        del config["first_order"], config["rematerialize"]  # there is no derivative of the inner steps
        return {
            **config,
            "inner_optimizer": keras.saving.serialize_keras_object(given_optimizer(self.inner_optimizer)),
            "inner_batch_size": self.inner_batch_size,
        }

    @classmethod
    def from_config(cls, config):
        inner_optimizer = keras.saving.deserialize_keras_object(config["inner_optimizer"])
        return super().from_config({**config, "inner_optimizer": inner_optimizer})
