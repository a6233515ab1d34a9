"""What every meta-learner shares: training, evaluation, adaptation, saving and serving."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.learners.adapted_model import AdaptedModel
from metalearn_tf.learners.network_pass import run_network, running_state
from metalearn_tf.learners.padding import most_ways
from metalearn_tf.learners.task_batches import batch_gradients, batch_logits, real_queries
from metalearn_tf.learners.task_checks import check_first_batch, check_network, check_support
from metalearn_tf.learners.task_loss import check_loss, own_loss, serialized_loss, task_loss, with_loss
from metalearn_tf.learners.task_mapping import TASK_MAPPINGS, is_vectorized, shared_ways
from metalearn_tf.networks.loss_scaling import with_loss_scaling
from metalearn_tf.networks.replicas import apply_mean, is_sum, mean_over_replicas, undivided
from metalearn_tf.networks.replicated_model import ReplicatedModel
from metalearn_tf.networks.task_normalization import normalization_of, support_pass
from metalearn_tf.networks.text_inputs import copy_vocabularies, takes_texts
from metalearn_tf.serving.export import export_learner


class MetaLearner(ReplicatedModel):
    """A model of tasks: it adapts to a support set, then answers queries.

    A subclass writes two pure functions, `adapt_task` and `classify`; all else is here. The model is an ordinary Keras
    model whose examples are tasks, as `mtf.data.episodes` yields them.

    Args:
        network: a built `keras.Model`. Its dtype policy says whether the arithmetic is mixed.
        task_mapping: `"auto"`, `"parallel"` or `"vectorized"`: how the tasks of a batch are run: one on each
            core, or all in common operations. `"auto"` takes the second where TensorFlow sees a GPU.

    Call arguments:
        inputs: `(support_x, support_y, query_x)` of shapes `(tasks, support, ...)`, `(tasks, support)` int32 in
            `[0, ways)` (or `(tasks, support, outputs)` float32 for regression) and `(tasks, queries, ...)`.
        training: whether the tasks are for meta-training.

    Output shape: logits `(tasks, queries, ways)` float32, or predictions `(tasks, queries, outputs)`.

    Raises:
        ValueError: if `network` is not a built Keras model or `task_mapping` is unknown.
    """

    def __init__(self, network, task_mapping="auto", **kwargs):
        check_network(network)
        # The network alone may compute in a mixed precision: adapted weights and regression targets are not rounded.
        super().__init__(autocast=False, dtype=network.variable_dtype, **kwargs)
        if task_mapping not in TASK_MAPPINGS:
            raise ValueError(f"`task_mapping` must be one of {TASK_MAPPINGS}. Received: {task_mapping!r}")
        self.network = network
        self.task_mapping = task_mapping
        self._compiled_adapt = self._loss_of_file = None
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

    def classify_by_step(self, support_x, support_y, query_x):
        """Logits `(steps, queries, ways)` along an adaptation: before it, and after each of its steps.

        The last are those of `classify` after `adapt_task`. A learner that adapts in one go has no others.
        """
        return self.classify(self.adapt_task(support_x, support_y), query_x)[None]

    def adaptation_values(self, support_x, support_y):
        """What was learned about the adaptation itself, such as its rates: tensors by name, on one support set."""
        return {}

    @property
    def max_ways(self):
        """The most classes that a task may have; `None` without a bound."""
        return None

    def how_to_get_ways(self, ways):
        """What an error says to someone whose tasks have other ways than `max_ways`."""
        return f"build the network with `outputs={ways}`"

    # === What a learner builds upon ===

    @property
    def vectorizes_tasks(self):
        """Whether all tasks of a batch are computed in common operations. TensorFlow has none for strings."""
        return is_vectorized(self.task_mapping) and not takes_texts(self.network)

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
            return run_network(self.network, x, weights)

    def encode_query(self, x, weights=None, statistics=()):
        """The network's outputs on queries; the arguments are what `encode_support` was given and returned."""
        return run_network(self.network, x, weights, statistics)[0]

    def ways(self, support_y):
        """The number of classes of the task, int32 scalar: the labels are `0 … ways - 1`."""
        ways = shared_ways()
        return tf.reduce_max(support_y) + 1 if ways is None else ways

    def support_loss(self, y_true, y_pred):
        """The scalar loss of `compile`, or the one that fits the task, for adaptation."""
        loss = keras.losses.get(own_loss(self) or task_loss)
        value = tf.reduce_mean(loss(y_true, y_pred))
        return undivided(value, loss) if isinstance(loss, keras.losses.Loss) else value

    def running_state(self):
        """The variables that a task in meta-training assigns; `train_step` averages them over the tasks."""
        return running_state(self.network)

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
            optimizer=with_loss_scaling(optimizer, self.network),
            loss=task_loss if loss is None else loss,
            metrics=metrics,
            jit_compile=jit_compile,
            **kwargs,
        )
        # At once, so that a file has all of the optimizer's variables even before the first step.
        self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def call(self, inputs, training=False):
        return batch_logits(self, inputs, training)

    def query_loss(self, support_x, support_y, query_x, query_y, sample_weight=None):
        """The loss of one task, that meta-training differentiates.

        Args:
            support_x: as in `adapt_task`.
            support_y: as in `adapt_task`.
            query_x: examples `(queries, ...)`.
            query_y: labels `(queries,)`, or targets `(queries, outputs)`.
            sample_weight: `(queries,)`, or `None`.

        Returns:
            The scalar loss of `compile`, and the logits `(queries, ways)` for the metrics.
        """
        logits = tf.cast(self.classify(self.adapt_task(support_x, support_y), query_x), tf.float32)
        return self.compiled_loss(query_y, logits, sample_weight), logits

    def compiled_loss(self, query_y, logits, sample_weight=None):
        """The scalar loss of `compile` for the queries of one task; the arguments are those of `query_loss`."""
        return self.batch_loss(query_y[None], logits[None], None if sample_weight is None else sample_weight[None])

    def batch_loss(self, y, logits, sample_weight=None, tasks=1, training=True):
        """The scalar loss of `compile` for the queries of all tasks of a batch; of sums, their mean over the tasks."""
        value = undivided(self._compute_loss(None, y, logits, sample_weight, training=training), self.loss)
        return value / tf.cast(tasks, value.dtype) if is_sum(self.loss) else value

    def task_gradients(self, *task):
        """The direction of one task's outer step; the arguments are those of `query_loss`.

        Returns:
            Loss and logits as `query_loss` gives them, and a gradient for each of the trainable variables.
        """
        with tf.GradientTape() as tape:
            loss, logits = self.query_loss(*task)
            scaled_loss = self.optimizer.scale_loss(loss)
        # TensorFlow's variables, since Keras's cannot stand where no gradient comes from.
        variables = [variable.value for variable in self.trainable_variables]
        return loss, logits, tape.gradient(scaled_loss, variables, unconnected_gradients="zero")

    def batch_gradients(self, tasks, ways):
        """`task_gradients` of each task of a batch, see `mtf.learners.task_batches.batch_gradients`."""
        return batch_gradients(self, tasks, ways)

    def train_step(self, data):
        """One outer step: the mean over tasks of the gradient of the query loss through the adaptation."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        tasks = [*map(tf.convert_to_tensor, x), tf.convert_to_tensor(y)]
        tasks += [] if sample_weight is None else [tf.convert_to_tensor(sample_weight)]
        if not tasks[1].dtype.is_floating:
            tasks[1] = tf.cast(tasks[1], tf.int32)
        losses, y_pred, gradients, states = self.batch_gradients(tasks, most_ways(tasks[1]))
        apply_mean(self.optimizer, [tf.reduce_mean(g, axis=0) for g in gradients], self.trainable_variables)
        states = [tf.reduce_mean(values, axis=0) if values.dtype.is_floating else values[-1] for values in states]
        for variable, value in zip(self.running_state(), mean_over_replicas(states)):
            variable.assign(value)
        self._loss_tracker.update_state(tf.reduce_mean(losses), sample_weight=tf.shape(losses)[0])
        return self.compute_metrics(x, *real_queries(self, x, y, y_pred, sample_weight))

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = batch_logits(self, x, False, None if sample_weight is None else tf.convert_to_tensor(y))
        y, y_pred, sample_weight = real_queries(self, x, y, y_pred, sample_weight)
        tasks = tf.shape(x[0])[0]
        self._loss_tracker.update_state(self.batch_loss(y, y_pred, sample_weight, tasks, False), sample_weight=tasks)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def fit(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.fit`; the first batches of tasks are checked before any work is done."""
        check_first_batch(self, x, y, kwargs.get("sample_weight"))
        if isinstance(kwargs.get("validation_data"), tf.data.Dataset):
            check_first_batch(self, kwargs["validation_data"])
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # Keras warns of its own default, which a dataset cannot follow
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.evaluate`; the first batch of tasks is checked before any work is done."""
        if not kwargs.get("_use_cached_eval_dataset"):  # `fit` has checked its validation data once for all epochs
            check_first_batch(self, x, y, kwargs.get("sample_weight"), training=False)
        return super().evaluate(x, y, *args, **kwargs)

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
        config = {**config, "network": keras.saving.deserialize_keras_object(config["network"])}
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

    def check_tasks(self, x, y=None, sample_weight=None):
        """Raises a `ValueError` for tasks, arrays or a `tf.data.Dataset`, that the learner cannot be evaluated on."""
        check_first_batch(self, x, y, sample_weight, training=False)

    def logits_by_step(self, inputs, query_y=None):
        """`classify_by_step` of each task of a batch, outside training: float32 `(steps, tasks, queries, ways)`.

        Queries whose label in `query_y` `(tasks, queries)` is -1 are padding: they are left out, with logits of 0.
        """
        return batch_logits(self, inputs, False, query_y, by_step=True)

    def copy(self):
        """A learner of the same configuration and weights, which shares none of them."""
        copy = type(self).from_config({key: value for key, value in self.get_config().items() if key != "loss"})
        copy_vocabularies(self.network, copy.network)
        copy.set_weights(self.get_weights())
        copy._loss_of_file = own_loss(self)
        if self.compiled:
            copy.compile("sgd", loss=self.loss)  # nothing is trained
        return copy

    def export(self, path, **options):
        """Writes a SavedModel that adapts inside its graph, see `mtf.serving.export_learner`."""
        return export_learner(self, path, **options)

    def _adapt_function(self):
        if self._compiled_adapt is None:
            self._compiled_adapt = tf.function(self.adapt_task, reduce_retracing=True)
        return self._compiled_adapt
