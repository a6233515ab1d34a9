"""A learner with the state of one task: an ordinary Keras model."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.learners.task_checks import check_examples
from metalearn_tf.networks.saveable_model import SaveableModel
from metalearn_tf.networks.text_inputs import takes_texts


@keras.saving.register_keras_serializable("metalearn_tf")
class AdaptedModel(SaveableModel):
    """What `MetaLearner.adapt` returns: queries in, probabilities out.

    It is not trained: to learn more, adapt the learner again, with more examples.

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
        # The flags of the learner's layers say which weights the task state replaces: freezing must not reach them.
        if value:
            raise ValueError("`trainable` must be False: adapt the learner again instead. Received: trainable=True")

    def _state_variable(self, index, value):
        shape, dtype = (value.shape, str(value.dtype)) if hasattr(value, "shape") else value
        variable = self.add_weight(
            name=f"state_{index}",
            shape=tuple(shape),
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            autocast=False,
        )
        if hasattr(value, "shape"):
            variable.assign(value)
        return variable

    def call(self, query_x):
        shape = self.learner.network.input_shape[1:]
        if not query_x.shape.is_compatible_with((None, *shape)):
            raise ValueError(
                f"`query_x` must have the shape (n, {', '.join(map(str, shape))}). Received: shape {query_x.shape}"
            )
        is_text = takes_texts(self.learner.network)
        if (query_x.dtype == tf.string) != is_text:
            raise ValueError(f"`query_x` must be {'strings' if is_text else 'numbers'}. Received: {query_x.dtype}")
        if query_x.dtype == tf.uint8:
            query_x = tf.cast(query_x, tf.float32) / 255.0
        outputs = self.learner.classify([tf.convert_to_tensor(tensor) for tensor in self.state], query_x)
        return outputs if self.regression else tf.nn.softmax(outputs)

    def predict(self, x, *args, **kwargs):
        """As `keras.Model.predict`; texts may also be a list or an array of strings."""
        if takes_texts(self.learner.network) and isinstance(x, (list, tuple, np.ndarray)):
            x = tf.constant(check_examples(self.learner, "query_x", x))
        return super().predict(x, *args, **kwargs)

    def get_config(self):
        learner = keras.saving.serialize_keras_object(self.learner)
        # The copy of the learner is not trained again, and its optimizer's state is not in the file.
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
        config["learner"] = keras.saving.deserialize_keras_object(config["learner"])
        return cls(**config)
