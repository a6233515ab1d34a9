"""The loss that fits a task's targets."""

import inspect
import json

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.engine.keras_internals import arguments_of


@keras.saving.register_keras_serializable("metalearn_tf")
def task_loss(y_true, y_pred):
    """Cross-entropy on logits if the targets are class numbers; the squared error if they are real numbers.

    Args:
        y_true: integers `(..., examples)`, or floating targets `(..., examples, outputs)`.
        y_pred: logits `(..., examples, ways)`, or predictions with the shape of `y_true`.

    Returns:
        Losses `(..., examples)` in the dtype of `y_pred`, at least float32.
    """
    # By the number of axes and not by the dtype: Keras gives targets to losses as floats.
    y_true, y_pred = tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred)
    y_pred = y_pred if y_pred.dtype == tf.float64 else tf.cast(y_pred, tf.float32)
    if y_true.shape.rank == y_pred.shape.rank:
        return tf.reduce_mean(tf.math.squared_difference(tf.cast(y_true, y_pred.dtype), y_pred), axis=-1)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(y_true, tf.int32), y_pred)


def own_loss(learner):
    """The loss for adaptation: the loss of `compile` or, if the learner is not compiled, of the file it came from.

    `None` means `task_loss`.
    """
    loss = learner.loss if learner.compiled else learner._loss_of_file
    return None if loss is task_loss else loss


def with_loss(learner, loss):
    """Gives the learner the loss of a configuration for its adaptation, and returns it."""
    is_serialized = isinstance(loss, dict)
    learner._loss_of_file = keras.saving.deserialize_keras_object(loss) if is_serialized else loss
    return learner


def serialized_loss(loss):
    """A loss in the form of a configuration. A lambda cannot be loaded: only its name is kept, for the error."""
    if getattr(loss, "__name__", None) == "<lambda>":
        return loss.__name__
    serialized = keras.saving.serialize_keras_object(loss)
    # The configurations of Keras's function losses lack the function's arguments, such as Huber's `delta`.
    given = arguments_of(loss)
    taken = {key: given[key] for key in inspect.signature(type(loss)).parameters if key in given} if given else {}
    return {**serialized, "config": {**serialized["config"], **taken}} if taken else serialized


def described_loss(learner):
    """The loss of a learner's adaptation in the form of a weights file: bytes, as an array of uint8."""
    loss = own_loss(learner)
    return np.frombuffer(json.dumps(None if loss is None else serialized_loss(loss)).encode(), "uint8")


def take_described_loss(learner, described):
    """Gives a learner that is not compiled the loss of the file from which its weights are loaded.

    Raises:
        ValueError: if it is compiled with another loss, or the loss cannot be loaded.
    """
    described, own = (json.loads(bytes(np.asarray(array))) for array in (described, described_loss(learner)))
    if described == own:
        return
    name = described if isinstance(described, str) else (described or {}).get("config")
    name = name.get("name", name) if isinstance(name, dict) else name
    if learner.compiled or name == "<lambda>":
        raise ValueError(
            "The weights must be those of a learner that adapts by the same loss: compile with the loss of the file "
            "first, and with another after loading. "
            f"Received: a file of the loss {name or 'of the task'!r}, and the learner's {own_loss(learner)!r}"
        )
    with_loss(learner, described)
