"""What networks add to a loss: the regularisers of their weights, and what their layers add in a pass."""

import tensorflow as tf


def regularization_loss(variables, weights=None):
    """The sum of the regularisers of Keras variables, scalar; `None` without any.

    Args:
        variables: those that say the regularisers.
        weights: for each of them what its regulariser is given; `None` for the variables themselves.
    """
    weights = variables if weights is None else weights
    penalties = [v.regularizer(weight) for v, weight in zip(variables, weights, strict=True) if v.regularizer]
    return tf.add_n(penalties) if penalties else None


def with_regularization(model, gradients):
    """The gradients of a step with those of `model.regularization_loss()`, and that loss, 0 without regularisers.

    Args:
        model: a compiled `keras.Model` that has this method.
        gradients: a tensor for each of its trainable variables, of the loss as its optimizer scales it.
    """
    with tf.GradientTape() as tape:
        penalty = model.regularization_loss()
        scaled_penalty = None if penalty is None else model.optimizer.scale_loss(penalty)
    if penalty is None:
        return gradients, 0.0
    variables = [variable.value for variable in model.trainable_variables]
    of_penalty = tape.gradient(scaled_penalty, variables, unconnected_gradients="zero")
    return [one + other for one, other in zip(gradients, of_penalty)], penalty


def added_losses(layer):
    """What layers have added in the last pass, by `add_loss` or activity regularisers: a list of scalars."""
    regularized = sum(variable.regularizer is not None for variable in layer.trainable_variables)
    return layer.losses[: len(layer.losses) - regularized]
