"""The methods of a Keras model for tasks: `compile`, `fit`, `evaluate`, `predict`. They check their arguments."""

import functools
import inspect
import types

import keras
import tensorflow as tf

from metalearn_tf.checks.batches import check_has_end, first_batch
from metalearn_tf.checks.losses_and_metrics import metric_of_targets
from metalearn_tf.engine.keras_internals import is_within_fit
from metalearn_tf.engine.loss_scaling import with_loss_scaling
from metalearn_tf.engine.replicated_model import ReplicatedModel
from metalearn_tf.learners.batch_checks import check_tasks
from metalearn_tf.learners.compile_checks import check_compile
from metalearn_tf.learners.task_assertions import with_assertions
from metalearn_tf.learners.task_loss import task_loss


class TaskModel(ReplicatedModel):
    """A Keras model whose examples are tasks. Each method checks its first batch before any work.

    Tasks are what `mtf.data.episodes` yields: `((support_x, support_y, query_x), query_y)`, and optionally the weights
    `(tasks, queries)` of the queries. They may be arrays, lists, a `tf.data.Dataset`, a generator or a
    `keras.utils.PyDataset`.
    """

    # Whether adapted models share this object as their learner.
    is_shared = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            _with_checked_arguments(cls)

    def compile(self, optimizer="adam", loss=None, metrics=None, jit_compile=False, **kwargs):
        """Like `keras.Model.compile`, with other defaults.

        Args:
            optimizer: the optimizer of the outer loop.
            loss: on logits; by default cross-entropy for class labels, the squared error for real targets.
            metrics: as in Keras, for queries after adaptation; they take class numbers and logits.
            jit_compile: must be `False`: XLA cannot compile tasks of different sizes.
            **kwargs: as in Keras, except `loss_weights`, because there is only one output.

        Raises:
            ValueError: if `loss` or a metric expects probabilities or one-hot labels, or an argument is not accepted.
        """
        check_compile(loss, metrics, jit_compile, kwargs)
        optimizer = keras.optimizers.get(optimizer)
        if kwargs.get("auto_scale_loss", True):
            optimizer = with_loss_scaling(optimizer, self.network)
        self.metric_of_targets = metric_of_targets(metrics, kwargs.get("weighted_metrics"))
        super().compile(
            optimizer=optimizer,
            loss=task_loss if loss is None else loss,
            metrics=metrics,
            jit_compile=False,
            **kwargs,
        )
        # Build it now: a file then has all variables of the optimizer even before the first step.
        self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        options = keras.saving.deserialize_keras_object(config)
        # The loss in the learner's own configuration has all of its options.
        self.compile(**{**options, **({} if self._loss_of_file is None else {"loss": self._loss_of_file})})

    def fit(self, x=None, y=None, *args, **kwargs):
        """Like `keras.Model.fit`, on tasks.

        Raises:
            ValueError: if the first tasks, or those of `validation_data`, do not fit the learner; if one of the two is
                endless and has no number of steps; or if `class_weight` is given.
        """
        _check_is_not_shared(self)
        options = _by_name(keras.Model.fit, x, y, args, kwargs)
        _check_class_weight(options.pop("class_weight", None))
        check_has_end("x", x, "steps_per_epoch", options.get("steps_per_epoch"))
        x, y = self._checked("x", x, y, options.get("sample_weight"), training=True)
        validation = options.get("validation_data")
        if validation is not None:
            check_has_end("validation_data", validation, "validation_steps", options.get("validation_steps"))
            options["validation_data"] = self._checked_validation(validation)
        if isinstance(x, (tf.data.Dataset, types.GeneratorType)):
            options.setdefault("shuffle", False)  # Keras warns of its own default, which these cannot follow
        return super().fit(x, y, **options)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Like `keras.Model.evaluate`, on tasks; raises the same errors as `fit`."""
        options = _by_name(keras.Model.evaluate, x, y, args, kwargs)
        if not is_within_fit(options):  # `fit` has checked its validation data once for all epochs
            check_has_end("x", x, "steps", options.get("steps"))
            x, y = self._checked("x", x, y, options.get("sample_weight"))
        return super().evaluate(x, y, **options)

    def predict(self, x, *args, **kwargs):
        """Like `keras.Model.predict`, on `(support_x, support_y, query_x)` or whole tasks; returns logits."""
        options = _by_name(keras.Model.predict, x, args, kwargs)
        check_has_end("x", x, "steps", options.get("steps"))
        return super().predict(self._checked("x", x, None, None, labelled=False)[0], **options)

    def predict_step(self, data):
        x, *_ = keras.utils.unpack_x_y_sample_weight(data)
        return self(with_assertions([*map(tf.convert_to_tensor, x)], self.max_ways), training=False)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Like `keras.Model.train_on_batch`, on one batch of tasks; raises the same errors as `fit`."""
        _check_is_not_shared(self)
        _check_class_weight(class_weight)
        # This is one batch of many: the tasks of others may have other numbers of ways.
        x, y = check_tasks(self, x, y, sample_weight, training=False)
        _check_there_are_labels("x", y)
        return super().train_on_batch(x, y, sample_weight, return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Like `keras.Model.test_on_batch`, on one batch of tasks; raises the same errors as `fit`."""
        x, y = check_tasks(self, x, y, sample_weight, training=False)
        _check_there_are_labels("x", y)
        return super().test_on_batch(x, y, sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x):
        """Like `keras.Model.predict_on_batch`, on `(support_x, support_y, query_x)`; returns logits."""
        return super().predict_on_batch(check_tasks(self, x, training=False)[0])

    def check_tasks(self, x, y=None, sample_weight=None):
        """Raises a `ValueError` if the learner cannot be evaluated on these tasks, arrays or a `tf.data.Dataset`."""
        self._checked("x", x, y, sample_weight)

    def _checked(self, argument, x, y, sample_weight, training=False, labelled=True):
        """Checks the first batch, and returns the `x` and `y` to use from now on."""
        first, x = first_batch(argument, x)
        if first is None:
            x, y = check_tasks(self, x, y, sample_weight, training)
            batch = x, y
        else:
            batch = keras.utils.unpack_x_y_sample_weight(first)
            check_tasks(self, *batch, training=training)
        if labelled:
            _check_there_are_labels(argument, batch[1])
        return x, y

    def _checked_validation(self, data):
        if isinstance(data, (tuple, list)):
            if len(data) not in (2, 3):
                raise ValueError(
                    "`validation_data` must be tasks, `((support_x, support_y, query_x), query_y)`, or these and "
                    f"`sample_weight`. Received: a {type(data).__name__} of {len(data)}"
                )
            x, y, *sample_weight = data
            return (*self._checked("validation_data", x, y, *(sample_weight or [None])), *sample_weight)
        return self._checked("validation_data", data, None, None)[0]


def _by_name(method, *arguments):
    """The arguments of a call of a Keras method by their names, without its data."""
    *data, args, kwargs = arguments
    options = dict(inspect.signature(method).bind(None, *data, *args, **kwargs).arguments)
    further = options.pop("kwargs", {})
    return {**{name: value for name, value in options.items() if name not in ("self", "x", "y")}, **further}


def _check_there_are_labels(argument, query_y):
    if query_y is None:
        raise ValueError(
            f"`{argument}` must come with `query_y`, the labels of the queries: "
            "`((support_x, support_y, query_x), query_y)`. Received: no labels"
        )


def _check_is_not_shared(learner):
    if learner.is_shared:
        raise ValueError(
            "The learner of adapted models must stay as it is, because they share it: train `adapted.learner.copy()`. "
            f"Received: the shared {type(learner).__name__} {learner.name!r}"
        )


def _check_class_weight(class_weight):
    if class_weight is not None:
        raise ValueError(
            "`class_weight` must be None: a class number means another class in each task. `sample_weight` "
            "(tasks, queries) weighs queries, as `np.where(query_y == 1, 5.0, 1.0)`. "
            f"Received: class_weight={class_weight}"
        )


def _with_checked_arguments(cls):
    """Makes the constructor of a user's class check, at its end, that `get_config` has all of its arguments.

    Adapting copies a learner from its configuration: a missing argument would get its default value.
    """
    if cls.__module__.startswith("metalearn_tf."):
        return
    construct = cls.__init__

    @functools.wraps(construct)
    def construct_and_check(self, *args, **kwargs):
        construct(self, *args, **kwargs)
        if type(self) is cls:
            _check_arguments(self)

    cls.__init__ = construct_and_check


def _check_arguments(learner):
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(type(learner)).parameters
    config = learner.get_config()
    # The network decides the dtype.
    missing = [name for name, one in parameters.items() if one.kind not in kinds and name not in {*config, "dtype"}]
    if missing:
        raise ValueError(
            f"`get_config` of a learner must return all that its `__init__` takes, because adapting copies it: "
            f"`def get_config(self): return {{**super().get_config(), {missing[0]!r}: self.{missing[0]}}}`. "
            f"Received: {type(learner).__name__}, whose configuration lacks {missing}"
        )
