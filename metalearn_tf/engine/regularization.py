"""The losses that networks add: the regularisers of their weights, and the losses that layers add in a pass."""

import tensorflow as tf


def regularization_loss(variables, weights=None):
    """The regularisation loss of Keras variables, scalar; `None` if there are no regularisers.

    Args:
        variables: the variables, which have the regularisers.
        weights: a tensor for each variable, to regularise instead; `None` for the variables themselves.
    """
    weights = variables if weights is None else weights
    penalties = [v.regularizer(weight) for v, weight in zip(variables, weights, strict=True) if v.regularizer]
    return tf.add_n(penalties) if penalties else None


def with_regularization(model, gradients):
    """Adds the gradients of `model.regularization_loss()` to those of a step. Returns them and this loss (or 0).

    Args:
        model: a compiled `keras.Model` that has this method.
        gradients: a tensor for each trainable variable, of the loss as the optimizer scales it.
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
    """The losses that layers added in the last pass with `add_loss` or activity regularisers, a list of scalars."""
    regularized = sum(variable.regularizer is not None for variable in layer.trainable_variables)
    return layer.losses[: len(layer.losses) - regularized]
