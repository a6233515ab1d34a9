"""What every meta-learner shares: training, evaluation, adaptation, saving and serving."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.learners.adapted_model import AdaptedModel
from metalearn_tf.learners.task_checks import check_first_batch, check_network, check_support
from metalearn_tf.learners.task_loss import check_loss, task_loss
from metalearn_tf.learners.task_mapping import TASK_MAPPINGS, in_training, map_tasks, shared_ways, task_context
from metalearn_tf.networks.task_normalization import TaskNormalization, normalization_of, support_pass
from metalearn_tf.networks.text_inputs import copy_vocabularies
from metalearn_tf.serving.export import export_learner


class MetaLearner(keras.Model):
    """A model of tasks: it adapts to a support set, then answers queries.

    A subclass writes two pure functions, `adapt_task` and `classify`; all else is here. The model is an ordinary Keras
    model whose examples are tasks, as `mtf.data.episodes` yields them.

    Args:
        network: a built `keras.Model`. Its dtype policy says whether the arithmetic is mixed.
        task_mapping: `"auto"`, `"parallel"` or `"vectorized"`: how the tasks of a batch are run, see `map_tasks`.

    Call arguments:
        inputs: `(support_x, support_y, query_x)` of shapes `(tasks, support, ...)`, `(tasks, support)` int32 in
            `[0, ways)` (or `(tasks, support, outputs)` float32 for regression) and `(tasks, queries, ...)`.
        training: whether the tasks are for meta-training.

    Output shape: logits `(tasks, queries, ways)` float32, or predictions `(tasks, queries, outputs)`.

    Raises:
        ValueError: if `network` is not a built Keras model or `task_mapping` is unknown.
    """

    def __init__(self, network, task_mapping="auto", **kwargs):
        # No autocast: it would round the targets of a regression; the network casts its own inputs.
        check_network(network)
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(autocast=False, **kwargs)
        if task_mapping not in TASK_MAPPINGS:
            raise ValueError(f"`task_mapping` must be one of {TASK_MAPPINGS}. Received: {task_mapping!r}")
        self.network = network
        self.task_mapping = task_mapping
        self._compiled_adapt = None
        self.built = True

    # === What a learner writes ===

    def adapt_task(self, support_x, support_y):
        """What the learner makes of one support set.

        Args:
            support_x: examples `(support, ...)` float32.
            support_y: labels `(support,)` int32, or targets `(support, outputs)` float32.

        Returns:
            The task state: a flat list of tensors. No variable is assigned.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `adapt_task`.")

    def classify(self, task_state, query_x):
        """Logits `(queries, ways)` (or predictions `(queries, outputs)`) for `query_x` `(queries, ...)`."""
        raise NotImplementedError(f"{type(self).__name__} must define `classify`.")

    @property
    def max_ways(self):
        """The most classes that a task may have; `None` without a bound."""
        return None

    # === What a learner builds upon ===

    def encode_support(self, x, weights=None):
        """The network on a support set.

        Args:
            x: examples `(support, ...)`.
            weights: tensors to use in place of the network's trainable weights.

        Returns:
            Outputs `(support, ...)`, and the list of the statistics that queries need under `"support"`
            normalisation; empty otherwise.
        """
        with support_pass():
            return self._run_network(x, weights, None)

    def encode_query(self, x, weights=None, statistics=()):
        """The network's outputs on queries; the arguments are what `encode_support` was given and returned."""
        return self._run_network(x, weights, statistics)[0]

    def ways(self, support_y):
        """The number of classes of the task, int32 scalar: the labels are `0 … ways - 1`."""
        ways = shared_ways()
        return tf.reduce_max(support_y) + 1 if ways is None else ways

    def support_loss(self, y_true, y_pred):
        """The scalar loss of `compile`, or the one that fits the task, for adaptation."""
        loss = keras.losses.get(self.loss) if self.compiled else task_loss
        return tf.reduce_mean(loss(y_true, y_pred))

    def _run_network(self, x, weights, statistics):
        network, kept = self.network, self._support_statistics()
        weights = [tf.convert_to_tensor(v) for v in network.trainable_variables] if weights is None else weights
        values = {id(v): tf.convert_to_tensor(v) for v in network.non_trainable_variables}
        if statistics:
            values.update((id(v), statistic) for v, statistic in zip(kept, statistics))
        outputs, updated = network.stateless_call(weights, list(values.values()), x, training=in_training())
        updated = dict(zip(values, updated))
        if in_training():
            # Running averages and random states; `train_step` catches these and averages them over tasks.
            for variable in self._running_state():
                variable.assign(updated[id(variable)])
        return tf.cast(outputs, tf.float32), [updated[id(v)] for v in kept]

    def _support_statistics(self):
        layers = self.network._flatten_layers()
        return [
            variable
            for layer in layers
            if isinstance(layer, TaskNormalization) and layer.normalization == "support"
            for variable in (layer.mean, layer.variance)
        ]

    def _running_state(self):
        kept = {id(variable) for variable in self._support_statistics()}
        trained = {id(variable) for variable in self.network.trainable_variables}
        frozen = {id(w) for layer in self.network._flatten_layers() for w in layer._trainable_variables} - trained
        return [v for v in self.network.non_trainable_variables if id(v) not in kept | frozen]

    # === Keras ===

    def compile(self, optimizer="adam", loss=None, metrics=None, jit_compile=False, **kwargs):
        """As `keras.Model.compile`, with two defaults of its own.

        Args:
            optimizer: of the outer loop.
            loss: on logits; by default cross-entropy for class labels, the squared error for real targets.
            metrics: as in Keras, of queries after adaptation.
            jit_compile: off by default, since XLA halves the speed on CPUs.
            **kwargs: as in Keras.

        Raises:
            ValueError: if `loss` expects probabilities.
        """
        check_loss(loss)
        self._compiled_adapt = None  # it holds the loss
        super().compile(
            optimizer=optimizer,
            loss=task_loss if loss is None else loss,
            metrics=metrics,
            jit_compile=jit_compile,
            **kwargs,
        )

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs, training=False):
        support_x, support_y, query_x = inputs
        support_y = tf.convert_to_tensor(support_y)
        support_y = support_y if support_y.dtype.is_floating else tf.cast(support_y, tf.int32)
        ways = shared_ways()
        if ways is None and not support_y.dtype.is_floating:
            ways = tf.reduce_max(support_y) + 1

        def solve(task):
            task_support_x, task_support_y, task_query_x = task
            return [tf.cast(self.classify(self.adapt_task(task_support_x, task_support_y), task_query_x), tf.float32)]

        with task_context(bool(training), ways):
            (outputs,) = map_tasks(solve, [support_x, support_y, query_x], [tf.float32], self.task_mapping)
        return outputs

    def train_step(self, data):
        """One outer step: the mean over tasks of the gradient of the query loss through the adaptation.

        The gradient of a task is taken inside the map over tasks, so that the memory is that of the tasks in flight.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        weights = [] if sample_weight is None else [sample_weight]
        variables, state = self.trainable_variables, self._running_state()
        ways = None if tf.as_dtype(x[1].dtype).is_floating else tf.cast(tf.reduce_max(x[1]), tf.int32) + 1

        def solve(task):
            *task_x, task_y = [tensor[None] for tensor in task[:4]]
            task_weight = task[4][None] if weights else None
            with keras.StatelessScope() as scope, tf.GradientTape() as tape:
                y_pred = self(tuple(task_x), training=True)
                loss = self._compute_loss(x, task_y, y_pred, task_weight, training=True)
                scaled_loss = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled_loss, variables, unconnected_gradients="zero")
            updates = [scope.get_current_value(variable) for variable in state]
            return [loss, y_pred[0], *map(tf.convert_to_tensor, gradients + updates)]

        with task_context(True, ways):
            types = [tf.float32, tf.float32, *(variable.dtype for variable in variables + state)]
            outputs = map_tasks(solve, [*x, y, *weights], types, self.task_mapping)
        loss, y_pred, outputs = outputs[0], outputs[1], outputs[2:]
        gradients = [tf.reduce_mean(gradient, axis=0) for gradient in outputs[: len(variables)]]
        self.optimizer.apply(gradients, variables)
        for variable, values in zip(state, outputs[len(variables) :]):
            variable.assign(tf.reduce_mean(values, axis=0) if values.dtype.is_floating else values[-1])
        self._loss_tracker.update_state(tf.reduce_mean(loss), sample_weight=tf.shape(loss)[0])
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def fit(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.fit`; the first batches of tasks are checked before any work is done."""
        check_first_batch(self, x, y)
        if isinstance(kwargs.get("validation_data"), tf.data.Dataset):
            check_first_batch(self, kwargs["validation_data"])
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # Keras warns of its own default, which a dataset cannot follow
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.evaluate`; the first batch of tasks is checked before any work is done."""
        if not kwargs.get("_use_cached_eval_dataset"):  # `fit` has checked its validation data once for all epochs
            check_first_batch(self, x, y, training=False)
        return super().evaluate(x, y, *args, **kwargs)

    def get_config(self):
        config = keras.Model.get_config(self)
        return {
            **{key: config[key] for key in ("name", "trainable", "dtype") if key in config},
            "network": keras.saving.serialize_keras_object(self.network),
            "task_mapping": self.task_mapping,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["network"] = keras.saving.deserialize_keras_object(config["network"])
        return cls(**config)

    # === Use ===

    @property
    def normalization(self):
        """The statistics that the network's normalisation uses, as reports print it."""
        return normalization_of(self.network)

    def adapt(self, support_x, support_y):
        """Adapts to one task.

        Args:
            support_x: examples `(support, ...)`: float in the range of training (images: `[0, 1]`), or uint8 images;
                strings `(support,)` for a network of texts.
            support_y: labels `(support,)`, integers `0 … ways - 1`, each there at least once; or floating targets
                `(support, outputs)`.

        Returns:
            An ordinary `keras.Model` from queries `(queries, ...)` to probabilities `(queries, ways)`. It has weights
            of its own: the learner is not changed by it, nor it by further training of the learner.

        Raises:
            ValueError: if the support set is empty, does not fit the network, has NaNs or empty texts, or its labels
                have gaps.
        """
        support_x, support_y = check_support(self, support_x, support_y)
        state = self._adapt_function()(support_x, support_y)
        return AdaptedModel(
            self.copy(), [np.asarray(tensor) for tensor in state], regression=support_y.dtype.kind == "f"
        )

    def copy(self):
        """A learner of the same configuration and weights, which shares none of them."""
        copy = type(self).from_config(self.get_config())
        copy_vocabularies(self.network, copy.network)
        copy.set_weights(self.get_weights())
        if self.compiled:
            copy.compile(loss=self.loss)
        return copy

    def export(self, path, **options):
        """Writes a SavedModel that adapts inside its graph, see `mtf.serving.export_learner`."""
        return export_learner(self, path, **options)

    def _adapt_function(self):
        if self._compiled_adapt is None:
            self._compiled_adapt = tf.function(self.adapt_task, reduce_retracing=True)
        return self._compiled_adapt
