"""The base class of all meta-learners: training, evaluation, adaptation, saving and serving."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.engine.copy_network import as_model, copy_network, copy_what_is_no_weight, layer_pairs
from metalearn_tf.engine.gradient_checks import check_reached
from metalearn_tf.engine.keras_internals import loss_of_step, loss_tracker
from metalearn_tf.engine.python_state import python_state
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.regularization import regularization_loss, with_regularization
from metalearn_tf.engine.replicas import apply_mean, is_sum, mean_over_replicas, undivided
from metalearn_tf.engine.task_mapping import TASK_MAPPINGS, has_loops, is_vectorized, shared_ways
from metalearn_tf.engine.text_inputs import takes_texts
from metalearn_tf.learners import task_batches
from metalearn_tf.learners.adapted_model import AdaptedModel
from metalearn_tf.learners.batch_checks import check_task_specs, check_tasks
from metalearn_tf.learners.kept_state import KeptState
from metalearn_tf.learners.made_once import SharedCopy, TracedFunction
from metalearn_tf.learners.network_pass import result_dtype, run_network, running_state, with_layer_losses
from metalearn_tf.learners.padding import most_ways
from metalearn_tf.learners.task_assertions import with_assertions
from metalearn_tf.learners.task_checks import check_adapted, check_network, check_support
from metalearn_tf.learners.task_loss import own_loss, serialized_loss, task_loss, with_loss
from metalearn_tf.learners.task_model import TaskModel
from metalearn_tf.networks.task_normalization import normalization_of
from metalearn_tf.serving.export import export_learner


class MetaLearner(TaskModel, KeptState):
    """A model of tasks: it adapts to a support set, then answers queries.

    A subclass defines two pure functions, `adapt_task` and `classify`. This class does the rest. The model is an
    ordinary Keras model whose examples are tasks, as `mtf.data.episodes` yields them.

    Args:
        network: a built `keras.Model` with one input and one output. Its dtype policy decides about mixed precision.
            Your own layers and learners need a `get_config` from which Keras can build them again.
        task_mapping: how the tasks of a batch run. `"parallel"`: one task on each core. `"vectorized"`: all tasks
            in common operations. `"auto"`: vectorized if TensorFlow sees a GPU, parallel otherwise.

    Call arguments:
        inputs: `(support_x, support_y, query_x)` of shapes `(tasks, support, ...)`, `(tasks, support)` int32 in
            `[0, ways)` (or `(tasks, support, outputs)` float32 for regression) and `(tasks, queries, ...)`.
        training: whether the tasks are for meta-training.

    Output shape: logits `(tasks, queries, ways)` float32, or predictions `(tasks, queries, outputs)`.

    Raises:
        ValueError: if `network` is not such a model, or cannot be copied; or if `task_mapping` is unknown.
    """

    # Whether a task may also be a regression, with floating targets `(support, outputs)`.
    takes_targets = True

    def __init__(self, network, task_mapping="auto", **kwargs):
        check_network(network)
        # Only the network may compute in mixed precision: adapted weights and regression targets are not rounded.
        super().__init__(autocast=False, dtype=network.variable_dtype, **kwargs)
        if task_mapping not in TASK_MAPPINGS:
            raise ValueError(f"`task_mapping` must be one of {TASK_MAPPINGS}. Received: {task_mapping!r}")
        self.network = network
        self.task_mapping = task_mapping
        self._loss_of_file = None
        # By name, because the user may replace a method on the object.
        self._adapt = TracedFunction(lambda *support: self.adapt_task(*support), self._python_state)
        self._classify = TracedFunction(lambda *inputs: self.classify(*inputs), self._python_state)
        self._shared_copy = SharedCopy(self, self._python_state)
        self.built = True

    # === What a learner writes ===

    def adapt_task(self, support_x, support_y):
        """Adapts to one support set.

        Args:
            support_x: examples `(support, ...)` float32.
            support_y: labels `(support,)` int32, or targets `(support, outputs)` float32.

        Returns:
            The task state, a flat list of tensors. It assigns no variable.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `adapt_task`.")

    def classify(self, task_state, query_x):
        """Logits `(queries, ways)` (or predictions `(queries, outputs)`) for `query_x` `(queries, ...)`."""
        raise NotImplementedError(f"{type(self).__name__} must define `classify`.")

    def classify_by_step(self, support_x, support_y, query_x):
        """Logits `(steps, queries, ways)` before the adaptation and after each of its steps.

        The last ones are the result of `classify` after `adapt_task`. A learner that adapts in one step has only these.
        """
        return self.classify(self.adapt_task(support_x, support_y), query_x)[None]

    def adaptation_values(self, support_x, support_y):
        """Learned values of the adaptation itself, such as its rates, on one support set: tensors by name."""
        return {}

    @property
    def max_ways(self):
        """The largest number of classes of a task; `None` if there is no limit."""
        return None

    def how_to_get_ways(self, ways):
        """The advice in an error if the tasks do not have `max_ways` ways."""
        return f"build the network with `outputs={ways}`"

    # === What a learner builds upon ===

    @property
    def vectorizes_tasks(self):
        """Whether all tasks of a batch are computed in common operations.

        TensorFlow cannot do this for strings, nor for the gradient of the loop in recurrent layers.
        """
        return is_vectorized(self.task_mapping) and not takes_texts(self.network) and not has_loops(self.network)

    def encode_support(self, x, weights=None):
        """Applies the network to a support set.

        Args:
            x: examples `(support, ...)`.
            weights: tensors to use instead of the network's trainable weights.

        Returns:
            The outputs `(support, ...)`, and a list of the statistics that queries need with `"support"`
            normalisation; otherwise it is empty.
        """
        return run_network(self.network, x, weights, of_support=True)

    def encode_query(self, x, weights=None, statistics=()):
        """The network's outputs for queries. Give it the weights of `encode_support` and the statistics it returned."""
        return run_network(self.network, x, weights, statistics)[0]

    def ways(self, support_y):
        """The number of classes of the task, int32 scalar. The labels are `0 … ways - 1`."""
        ways = shared_ways()
        return tf.reduce_max(support_y) + 1 if ways is None else ways

    def support_loss(self, y_true, y_pred):
        """The scalar loss for adaptation: the loss of `compile`, or by default the one that fits the task."""
        loss = keras.losses.get(own_loss(self) or task_loss)
        value = tf.reduce_mean(loss(y_true, y_pred))
        return undivided(value, loss) if isinstance(loss, keras.losses.Loss) else value

    def running_state(self):
        """The variables that each task of meta-training changes; `train_step` averages them over the tasks."""
        return running_state(self.network)

    # === Keras ===

    def call(self, inputs, training=False):
        if tf.executing_eagerly():
            inputs, _ = check_tasks(self, inputs, training=False)
        else:
            check_task_specs(self, inputs)
        return task_batches.batch_logits(self, inputs, training)

    def query_loss(self, support_x, support_y, query_x, query_y, sample_weight=None):
        """The loss of one task, which meta-training differentiates.

        Args:
            support_x: as in `adapt_task`.
            support_y: as in `adapt_task`.
            query_x: examples `(queries, ...)`.
            query_y: labels `(queries,)`, or targets `(queries, outputs)`.
            sample_weight: `(queries,)`, or `None`.

        Returns:
            The scalar loss of `compile` plus the losses that layers add, and the logits `(queries, ways)` for metrics.
        """
        logits = self.classify(self.adapt_task(support_x, support_y), query_x)
        logits = tf.cast(logits, result_dtype(self.network))
        return with_layer_losses(self.compiled_loss(query_y, logits, sample_weight)), logits

    def compiled_loss(self, query_y, logits, sample_weight=None):
        """The scalar loss of `compile` for the queries of one task. The arguments are as in `query_loss`."""
        return self.batch_loss(query_y[None], logits[None], None if sample_weight is None else sample_weight[None])

    def batch_loss(self, y, logits, sample_weight=None, tasks=1, training=True):
        """The scalar loss of `compile` for the queries of all tasks of a batch; sums are averaged over the tasks."""
        value = undivided(loss_of_step(self, None, y, logits, sample_weight, training=training), self.loss)
        return value / tf.cast(tasks, value.dtype) if is_sum(self.loss) else value

    @property
    def losses(self):
        """Empty for Keras: `query_loss` already adds the losses of layers, and a step adds those of weights."""
        return []

    def regularization_loss(self):
        """The regularisation loss of the trainable variables, scalar; `None` if there are no regularisers."""
        return regularization_loss(self.trainable_variables)

    def task_gradients(self, *task):
        """The gradients of one task for the outer step. The arguments are as in `query_loss`.

        Returns:
            The loss and the logits of `query_loss`, and a gradient for each trainable variable.
        """
        with tf.GradientTape() as tape:
            loss, logits = self.query_loss(*task)
            scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled_loss, [variable.value for variable in self.trainable_variables])
        check_reached(self.trainable_variables, gradients)
        return loss, logits, gradients

    def batch_gradients(self, tasks, ways):
        """`task_gradients` for each task of a batch, see `mtf.learners.task_batches.batch_gradients`."""
        return task_batches.batch_gradients(self, tasks, ways)

    def train_step(self, data):
        """One outer step with the mean over the tasks of the query loss's gradient, taken through the adaptation."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        tasks = [*map(tf.convert_to_tensor, x), tf.convert_to_tensor(y)]
        tasks += [] if sample_weight is None else [tf.convert_to_tensor(sample_weight)]
        if not tasks[1].dtype.is_floating:
            tasks[1] = tf.cast(tasks[1], tf.int32)
        tasks[:4] = with_assertions(tasks[:4], self.max_ways)
        losses, y_pred, gradients, states = self.batch_gradients(tasks, most_ways(tasks[1]))
        gradients, penalty = with_regularization(self, [tf.reduce_mean(gradient, axis=0) for gradient in gradients])
        apply_mean(self.optimizer, gradients, self.trainable_variables)
        states = [tf.reduce_mean(values, axis=0) if values.dtype.is_floating else values[-1] for values in states]
        for variable, value in zip(self.running_state(), mean_over_replicas(states)):
            variable.assign(value)
        loss_tracker(self).update_state(tf.reduce_mean(losses) + penalty, sample_weight=tf.shape(losses)[0])
        return self.compute_metrics(x, *task_batches.real_queries(self, x, y, y_pred, sample_weight))

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        *x, y = with_assertions([*map(tf.convert_to_tensor, (*x, y))], self.max_ways)
        y_real = None if sample_weight is None else y
        y_pred, added = task_batches.batch_logits_and_losses(self, x, False, y_real)
        loss = task_batches.mean_task_loss(self, x, y, y_pred, sample_weight)
        for more in (tf.reduce_mean(added), self.regularization_loss()):
            loss += 0.0 if more is None else tf.cast(more, loss.dtype)
        loss_tracker(self).update_state(loss, sample_weight=tf.shape(x[0])[0])
        return self.compute_metrics(x, *task_batches.real_queries(self, x, y, y_pred, sample_weight))

    def get_config(self):
        config, loss = keras.Model.get_config(self), own_loss(self)
        return {
            **({} if loss is None else {"loss": serialized_loss(loss)}),
            **{key: config[key] for key in ("name", "trainable") if key in config},
            "network": keras.saving.serialize_keras_object(self.network),
            "task_mapping": self.task_mapping,
        }

    @classmethod
    def from_config(cls, config):
        config = {**config, "network": as_model(config["network"])}
        loss = config.pop("loss", None)
        return with_loss(cls(**config), loss)

    # === Use ===

    @property
    def normalization(self):
        """The statistics that the network's normalisation uses, as reports print it."""
        return normalization_of(self.network)

    def adapt(self, support_x, support_y):
        """Adapts to one task.

        Args:
            support_x: examples `(support, ...)`: float in the range of training (images: `[0, 1]`), or uint8 images;
                strings `(support,)` if the network takes texts; integers if it takes integers.
            support_y: labels `(support,)`, integers `0 … ways - 1`, each at least once; or floating targets
                `(support, outputs)`.

        Returns:
            An ordinary `keras.Model` from queries `(queries, ...)` to probabilities `(queries, ways)`. It has its own
            weights: it does not change the learner, and training the learner further does not change it.

        Raises:
            ValueError: if the support set is empty, does not fit the network, or has NaNs or empty texts; if its labels
                have gaps; or if the adaptation leads to NaN.
        """
        support_x, support_y = check_support(self, support_x, support_y)
        learner = self._shared_copy()  # first: it refuses learners that cannot be copied
        state = self._adapt(tf.constant(support_x), tf.constant(support_y))
        state = check_adapted(self, [np.asarray(tensor) for tensor in state])
        return AdaptedModel(learner, state, regression=support_y.dtype.kind == "f")

    def logits_by_step(self, inputs, query_y=None):
        """`classify_by_step` of each task of a batch, outside training: float32 `(steps, tasks, queries, ways)`.

        Queries whose label in `query_y` `(tasks, queries)` is -1 are padding: they are skipped and get logits of 0.
        """
        return task_batches.batch_logits(self, inputs, False, query_y, by_step=True)

    @random_state_kept(wait=False)  # random initial weights are overwritten at once
    def copy(self):
        """A new learner with the same configuration and copies of the weights."""
        config = {key: value for key, value in self.get_config().items() if key != "loss"}
        copy = type(self).from_config({**config, **self.copied_parts()})
        with_loss(copy, own_loss(self)).set_weights(self.get_weights())
        for layer, copied in layer_pairs(self, copy):
            copy_what_is_no_weight(layer, copied)
        return copy

    def answer(self, task_state, query_x):
        """`classify` outside training. All models that share this learner use the same graph."""
        return self._classify(task_state, query_x)

    def copied_parts(self):
        """Copies of the models in the configuration: Keras cannot build all of them from their configuration."""
        return {"network": copy_network(self.network)}

    def export(self, path, **options):
        """Writes a SavedModel that adapts inside its graph, see `mtf.serving.export_learner`."""
        return export_learner(self, path, **options)

    def _python_state(self):
        return python_state(self), own_loss(self)
