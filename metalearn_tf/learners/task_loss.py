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
        float32 losses `(..., examples)`.
    """
    # By the number of axes and not by the dtype: Keras hands losses their targets as floats.
    y_true, y_pred = tf.convert_to_tensor(y_true), tf.cast(y_pred, tf.float32)
    if y_true.shape.rank == y_pred.shape.rank:
        return tf.reduce_mean(tf.math.squared_difference(tf.cast(y_true, tf.float32), y_pred), axis=-1)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(y_true, tf.int32), y_pred)


def check_loss(loss):
    """Refuses the losses that take probabilities: learners return logits, and training would go wrong unseen."""
    if loss is None:
        return
    # Keras turns a loss's class name into an instance, and its function's name into the function.
    resolved = keras.losses.get(loss)
    takes_probabilities = getattr(resolved, "__name__", None) in _OF_PROBABILITIES
    if isinstance(resolved, keras.losses.Loss):
        from_logits = resolved.get_config().get("from_logits")
        takes_probabilities = from_logits is False or isinstance(resolved, keras.losses.KLDivergence)
    if takes_probabilities:
        raise ValueError(
            "`loss` must take logits: leave it out, or pass "
            f"`keras.losses.SparseCategoricalCrossentropy(from_logits=True)`. Received: loss={loss!r}"
        )


_OF_PROBABILITIES = (
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "binary_crossentropy",
    "categorical_focal_crossentropy",
    "binary_focal_crossentropy",
    "kl_divergence",
)


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
