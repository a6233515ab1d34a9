"""Pure functions for the replicas of a `tf.distribute` strategy. Without a strategy, they change nothing."""

import keras
import tensorflow as tf


def replica_count():
    """The number of replicas that share a step; 1 without a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def mean_over_replicas(tensors):
    """The mean of each floating tensor over all replicas. Other tensors are equal on all replicas: no change."""
    if replica_count() == 1:
        return tensors
    replica = tf.distribute.get_replica_context()
    mean = tf.distribute.ReduceOp.MEAN
    return [replica.all_reduce(mean, tensor) if tensor.dtype.is_floating else tensor for tensor in tensors]


def apply_mean(optimizer, gradients, variables):
    """A step of a Keras optimizer with the mean of the replicas' gradients. The optimizer itself would take the sum."""
    replicas = replica_count()
    optimizer.apply(gradients if replicas == 1 else [gradient / replicas for gradient in gradients], variables)


def undivided(value, loss):
    """Undoes Keras's division of a loss: Keras divides means, but not sums, by the number of replicas.

    Args:
        value: scalar tensor, the loss that Keras computed for this replica's examples.
        loss: the loss of `compile`: a name, a function or a `keras.losses.Loss`.

    Returns:
        The scalar that a model without replicas would have for these examples.
    """
    replicas = replica_count()
    return value if replicas == 1 or is_sum(loss) else value * replicas


def is_sum(loss):
    """Whether a loss, as `compile` takes it, is the sum over examples instead of their mean."""
    return getattr(keras.losses.get(loss), "reduction", None) == "sum"


def draw_rows(draw, count, axis=0):
    """Random numbers for each example of a batch. They do not depend on how the batch is split over replicas.

    Args:
        draw: function from a number of examples to a tensor, the same tensor each time.
        count: int32 scalar, the number of examples of this replica.
        axis: the axis of the examples in the tensor.

    Returns:
        The rows of this replica's examples, from the tensor that `draw` returns for all replicas together.
    """
    replicas = replica_count()
    if replicas == 1:
        return draw(count)
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * count
    return tf.gather(draw(count * replicas), first + tf.range(count), axis=axis)
