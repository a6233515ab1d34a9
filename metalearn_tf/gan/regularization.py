"""What a network's layers add to the loss of the player that trains it, as `keras.Model.losses` has it."""

import tensorflow as tf


def weight_losses(network, weights=None):
    """The sum of the regularisers of a network's trainable weights, a float32 scalar.

    Args:
        network: a `keras.Model`.
        weights: tensors to use in place of its trainable weights.
    """
    weights = network.trainable_variables if weights is None else weights
    pairs = zip(network.trainable_variables, weights)
    return _sum(variable.regularizer(weight) for variable, weight in pairs if variable.regularizer is not None)


def pass_losses(network, losses):
    """The sum of what layers added in a pass, by `activity_regularizer` or `add_loss`; a float32 scalar.

    Args:
        network: a `keras.Model`.
        losses: its `losses` after the pass: what was added, and behind it the regularisers of weights.
    """
    regularized = sum(variable.regularizer is not None for variable in network.trainable_variables)
    return _sum(losses[: len(losses) - regularized])


def _sum(losses):
    return tf.add_n([tf.zeros([]), *(tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in losses)])
