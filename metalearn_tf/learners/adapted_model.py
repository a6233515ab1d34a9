"""A learner with the state of one task: an ordinary Keras model."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.arrays import as_array
from metalearn_tf.checks.dtypes import check_dtype
from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.engine.copy_network import as_model
from metalearn_tf.engine.keras_internals import release
from metalearn_tf.engine.saveable_model import SaveableModel
from metalearn_tf.engine.text_inputs import takes_integers, takes_texts
from metalearn_tf.learners.task_checks import check_learner_examples, kind_of_examples


@keras.saving.register_keras_serializable("metalearn_tf")
class AdaptedModel(SaveableModel):
    """The Keras model that `MetaLearner.adapt` returns: it takes queries and returns probabilities.

    It cannot be trained. To learn more, adapt the learner again with more examples. All models that were adapted from
    one learner share one copy of it, `learner`, until one of them gets other weights.

    Args:
        learner: a `MetaLearner`.
        state: the task state, a list of arrays; or, when loaded from a file, a list of `(shape, dtype)`.
        regression: whether the outputs are predictions instead of probabilities.

    Input shape: `(queries, ...)`, float32, or uint8 images, which become `[0, 1]`; `(queries,)` strings for texts.
    Output shape: `(queries, ways)` float32 probabilities, or `(queries, outputs)` predictions.
    """

    def __init__(self, learner, state, regression=False, **kwargs):
        super().__init__(autocast=False, dtype=learner.dtype, **kwargs)
        self.learner = learner
        self.regression = regression
        self.state = [self._state_variable(index, value) for index, value in enumerate(state)]
        self.built = True

    @property
    def trainable(self):
        return False

    @trainable.setter
    def trainable(self, value):
        # The task state replaces the trainable weights of the learner, so their flags must not change.
        if value:
            raise ValueError("`trainable` must be False: adapt the learner again instead. Received: trainable=True")

    def _state_variable(self, index, value):
        # Not with `add_weight`: its name scope gives each variable a new name, and TensorFlow keeps all names forever.
        options = {"name": f"state_{index}", "trainable": False, "autocast": False}
        if hasattr(value, "shape"):
            return keras.Variable(value, dtype=str(value.dtype), **options)
        shape, dtype = value
        return keras.Variable("zeros", shape=tuple(shape), dtype=dtype, **options)

    def call(self, query_x):
        network = self.learner.network
        if isinstance(query_x, (tuple, list, dict)):
            raise ValueError(f"`query_x` must be one array of queries. Received: {type(query_x).__name__}")
        check_dtype("query_x", query_x.dtype, kind_of_examples(network))
        shape = network.input_shape[1:]
        if not query_x.shape.is_compatible_with((None, *shape)):
            raise ValueError(
                f"`query_x` must have the shape (n, {', '.join(map(str, shape))}). Received: shape {query_x.shape}"
            )
        if query_x.dtype == tf.uint8 and not takes_integers(network):
            query_x = tf.cast(query_x, tf.float32) / 255.0
        outputs = self.learner.answer([tf.convert_to_tensor(tensor) for tensor in self.state], query_x)
        return outputs if self.regression else tf.nn.softmax(outputs)

    # === Keras ===

    def fit(self, *args, **kwargs):
        raise NotImplementedError(
            "An adapted model is not trained: `learner.adapt` with more examples makes another one; "
            "`mtf.transfer.fine_tune` trains a classifier on all weights."
        )

    def train_on_batch(self, *args, **kwargs):
        return self.fit()

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Like `keras.Model.predict`; queries may also be a list of images or texts."""
        x = self._checked(x)
        if not isinstance(x, (np.ndarray, tf.Tensor)) or steps is not None or len(x) == 0:
            return super().predict(x, batch_size, verbose, steps, callbacks)
        # Keras makes a dataset and its graphs at each call: this takes longer than the answer, and memory stays in use.
        return _predict_array(self, x, 32 if batch_size is None else batch_size, verbose, callbacks)

    def predict_on_batch(self, x):
        """Like `keras.Model.predict_on_batch`; queries may also be a list."""
        return keras.ops.convert_to_numpy(self(self._checked(x)))

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Like `keras.Model.evaluate`; queries may also be a list. `y` are class numbers or targets."""
        return super().evaluate(self._checked(x), None if y is None else as_array("y", y), *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        """Like `keras.Model.test_on_batch`; see `evaluate`."""
        return super().test_on_batch(self._checked(x), None if y is None else as_array("y", y), *args, **kwargs)

    def _checked(self, x):
        """Queries in memory, checked and in the form that the network takes. `call` checks queries that come in
        batches."""
        if not isinstance(x, (list, tuple, np.ndarray, tf.Tensor)):
            return x
        x = check_learner_examples("query_x", x, self.learner)
        return tf.constant(x) if takes_texts(self.learner.network) else x

    def set_weights(self, weights):
        """As `keras.Model.set_weights`."""
        self._stop_sharing()
        super().set_weights(weights)

    def load_weights(self, filepath, *args, **kwargs):
        """As `keras.Model.load_weights`."""
        self._stop_sharing()
        super().load_weights(filepath, *args, **kwargs)

    def _stop_sharing(self):
        """Gives this model its own copy of the learner that it shares with other adapted models."""
        learner = self.learner.copy()
        release(self, self.learner)
        self.learner = learner

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """Like `keras.Model.export`: a SavedModel from any number of queries `(n, ...)` to probabilities."""
        if input_signature is None:
            queries = self.learner.network.inputs[0]
            input_signature = [tf.TensorSpec((None, *queries.shape[1:]), queries.dtype, name="query_x")]
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def get_config(self):
        learner = keras.saving.serialize_keras_object(self.learner)
        # Nobody trains this copy of the learner again, so the state of its optimizer is not saved.
        learner.pop("compile_config", None)
        return {
            "name": self.name,
            "learner": learner,
            "state": [(list(variable.shape), variable.dtype) for variable in self.state],
            "regression": self.regression,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["learner"] = as_model(config["learner"])
        return cls(**config)


def _predict_array(model, x, batch_size, verbose, callbacks):
    """The result of `keras.Model.predict` for examples in memory, an array or tensor `(n, ...)` with at least one."""
    check_python_whole(batch_size=batch_size)
    starts = range(0, len(x), batch_size)
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=len(starts), model=model
        )
    model.stop_predicting = False
    callbacks.on_predict_begin()
    outputs = []
    for step, start in enumerate(starts):
        callbacks.on_predict_batch_begin(step)
        outputs.append(keras.ops.convert_to_numpy(model(x[start : start + batch_size])))
        callbacks.on_predict_batch_end(step, {"outputs": outputs[-1]})
        if model.stop_predicting:
            break
    callbacks.on_predict_end()
    return np.concatenate(outputs)
