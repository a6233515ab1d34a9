"""What a network adds to the loss of the player that trains it, as `keras.Model.losses` has it."""

import tensorflow as tf

from metalearn_tf.engine.regularization import regularization_loss


def weight_losses(network, weights=None):
    """The sum of the regularisers of a network's trainable weights, a float32 scalar.

    Args:
        network: a `keras.Model`.
        weights: tensors to use in place of its trainable weights.
    """
    penalty = regularization_loss(network.trainable_variables, weights)
    return pass_losses([] if penalty is None else [penalty])


def pass_losses(losses):
    """The sum of what layers added in a pass, a list of tensors; a float32 scalar."""
    return tf.add_n([tf.zeros([]), *(tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in losses)])
