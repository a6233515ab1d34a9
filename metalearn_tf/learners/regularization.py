"""What regularisers of weights add to a loss and to its gradient."""

import tensorflow as tf


def regularization_loss(variables, weights):
    """The sum of the regularisers of Keras variables, scalar; `None` without any.

    Args:
        variables: those that say the regularisers.
        weights: for each of them what its regulariser is given: itself, or a tensor in its place.
    """
    penalties = [v.regularizer(weight) for v, weight in zip(variables, weights, strict=True) if v.regularizer]
    return tf.add_n(penalties) if penalties else None


def with_regularization(learner, gradients):
    """The gradients of a step with those of `learner.regularization_loss()`, and that loss, 0 without regularisers.

    Args:
        learner: a compiled `MetaLearner`.
        gradients: a tensor for each of its trainable variables, of the loss as its optimizer scales it.
    """
    with tf.GradientTape() as tape:
        penalty = learner.regularization_loss()
        scaled_penalty = None if penalty is None else learner.optimizer.scale_loss(penalty)
    if penalty is None:
        return gradients, 0.0
    variables = [variable.value for variable in learner.trainable_variables]
    of_penalty = tape.gradient(scaled_penalty, variables, unconnected_gradients="zero")
    return [one + other for one, other in zip(gradients, of_penalty)], penalty
