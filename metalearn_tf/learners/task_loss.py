"""The loss that fits a task's targets."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("metalearn_tf")
def task_loss(y_true, y_pred):
    """Cross-entropy on logits where the targets are class numbers, the squared error where they are real numbers.

    Args:
        y_true: integers `(..., examples)`, or floating targets `(..., examples, outputs)`.
        y_pred: logits `(..., examples, ways)`, or predictions of the shape of `y_true`.

    Returns:
        Losses `(..., examples)` in the dtype of `y_pred`, at least float32.
    """
    # By the number of axes and not by the dtype: Keras hands losses their targets as floats.
    y_true, y_pred = tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred)
    y_pred = y_pred if y_pred.dtype == tf.float64 else tf.cast(y_pred, tf.float32)
    if y_true.shape.rank == y_pred.shape.rank:
        return tf.reduce_mean(tf.math.squared_difference(tf.cast(y_true, y_pred.dtype), y_pred), axis=-1)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(y_true, tf.int32), y_pred)


def own_loss(learner):
    """The loss that adaptation takes, of `compile` or of the file that a learner came from without it.

    `None` for the loss of the task.
    """
    loss = learner.loss if learner.compiled else learner._loss_of_file
    return None if loss is task_loss else loss


def with_loss(learner, loss):
    """The learner, with the loss of a configuration for its adaptation."""
    learner._loss_of_file = keras.saving.deserialize_keras_object(loss) if isinstance(loss, dict) else loss
    return learner


def serialized_loss(loss):
    """A loss as a configuration holds it. A lambda cannot be loaded: its name then says so where one tries."""
    if getattr(loss, "__name__", None) == "<lambda>":
        return loss.__name__
    return keras.saving.serialize_keras_object(loss)
