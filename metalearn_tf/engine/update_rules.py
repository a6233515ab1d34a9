"""Inner update rules: how a learner makes new weights of gradients. Pure functions of tensors."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from metalearn_tf.engine.keras_internals import assigning_methods


class UpdateRule(NamedTuple):
    """A pair of pure functions over an explicit state.

    Attributes:
        init: from the weights, a list of tensors, to the initial state, a flat list of tensors.
        update: from `(gradients, state, weights, loss, step)` to `(weights, state)`. The gradients are those of the
            scalar `loss` for each weight. `step` counts from 0, as a Python integer or an int32 scalar.
    """

    init: Callable
    update: Callable


def gradient_descent(rates):
    """Steps against the gradient.

    Args:
        rates: one number for all weights, or a list with one tensor for each weight, which must broadcast with it.
    """

    def update(gradients, state, weights, loss, step):
        each = rates if isinstance(rates, list) else [rates] * len(weights)
        # A layer may have its own dtype; the rates have the dtype of the model.
        steps = [tf.cast(rate, weight.dtype) * gradient for rate, weight, gradient in zip(each, weights, gradients)]
        return [weight - step for weight, step in zip(weights, steps)], state

    return UpdateRule(lambda weights: [], update)


def scheduled_gradient_descent(rates):
    """Steps against the gradient, with its own rate for each step and each weight tensor.

    Args:
        rates: `(steps, tensors)` float32; later steps use the last row.

    Reference: [Antoniou et al., 2019](https://arxiv.org/abs/1810.09502), section 4, "LSLR".
    """

    def update(gradients, state, weights, loss, step):
        row = tf.unstack(at_step(rates, step), num=len(weights))
        return gradient_descent(row).update(gradients, state, weights, loss, step)

    return UpdateRule(lambda weights: [], update)


def momentum_descent(rate, momentum=0.9, dampening=0.0, weight_decay=0.0):
    """Steps against a running sum of the gradients.

    The sum starts with the first gradient. Each later step multiplies the sum by `momentum` and adds `1 - dampening`
    times the gradient. PyTorch's `SGD` has the same steps.

    Args:
        rate: learning rate of the steps.
        momentum: in `[0, 1)`.
        dampening: in `[0, 1]`; if it equals `momentum`, the sum is an average.
        weight_decay: factor of each weight that is added to its gradient.
    """

    def update(gradients, state, weights, loss, step):
        first = tf.equal(step, 0)
        gradients = [gradient + weight_decay * weight for weight, gradient in zip(weights, gradients)]
        sums = [
            tf.where(first, gradient, momentum * total + (1.0 - dampening) * gradient)
            for total, gradient in zip(state, gradients)
        ]
        return gradient_descent(rate).update(sums, [], weights, loss, step)[0], sums

    return UpdateRule(lambda weights: [tf.zeros_like(weight) for weight in weights], update)


def keras_optimizer(optimizer):
    """Steps of a Keras optimizer that assign no variable.

    Args:
        optimizer: the result of `stateless_optimizer`. The values of its variables are the initial state.
    """

    def init(weights):
        return [tf.convert_to_tensor(variable) for variable in optimizer.variables]

    def update(gradients, state, weights, loss, step):
        return optimizer.stateless_apply(state, gradients, weights)

    return UpdateRule(init, update)


def on_some_weights(rule, weights):
    """Applies a rule for some variables only to the trainable ones. The others do not change.

    Args:
        rule: an `UpdateRule` for all of these variables.
        weights: the variables.
    """
    moves = [weight.trainable for weight in weights]
    if all(moves):
        return rule

    def update(gradients, state, values, loss, step):
        values, gradients = iter(values), iter(gradients)
        values = [next(values) if move else tf.convert_to_tensor(weight) for weight, move in zip(weights, moves)]
        gradients = [next(gradients) if move else tf.zeros_like(value) for value, move in zip(values, moves)]
        values, state = rule.update(gradients, state, values, loss, step)
        return [value for value, move in zip(values, moves) if move], state

    return UpdateRule(rule.init, update)


def stateless_optimizer(optimizer, variables):
    """A copy of a Keras optimizer, built for `variables`, on which `stateless_apply` works.

    With TensorFlow, Keras replaces the methods with which an optimizer assigns variables, to support `tf.distribute`.
    This breaks `stateless_apply`. Here the methods are those of Keras's base class again.

    Raises:
        ValueError: if the steps of the optimizer depend on more than its variables, or if it has options that have no
            effect in an inner loop.
    """
    optimizer = given_optimizer(optimizer)
    _check_inner_optimizer(optimizer)
    methods = {**assigning_methods(), "is_stateless": True}
    stateless = type(f"Stateless{type(optimizer).__name__}", (type(optimizer),), methods)
    optimizer = stateless.from_config(optimizer.get_config())
    optimizer.build(variables)
    return optimizer


def given_optimizer(optimizer):
    """An ordinary optimizer with the configuration of a result of `stateless_optimizer`; others are returned as is."""
    if not getattr(optimizer, "is_stateless", False):
        return optimizer
    return type(optimizer).__bases__[0].from_config(optimizer.get_config())


# Optimizers whose steps depend on more than a state that a task can start with.
_REFUSED = {
    "Nadam": "keeps a product that is not one of its variables",
    "ScheduleFreeAdamW": "starts from the weights that it was built for",
    "LossScaleOptimizer": "scales losses, although inner loops already do this in float16",
    "MultiOptimizer": "is several optimizers",
}


def _check_inner_optimizer(optimizer):
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            f"`inner_optimizer` must be a `keras.optimizers.Optimizer`, or its name. Received: {optimizer!r}"
        )
    classes = type(optimizer).__mro__
    own = classes[: classes.index(keras.optimizers.Optimizer)]
    reasons = [_REFUSED[cls.__name__] for cls in own if cls.__name__ in _REFUSED]
    reasons += [f"has a `{name}` of its own" for cls in own for name in assigning_methods() if name in vars(cls)]
    options = ("use_ema", "gradient_accumulation_steps", "loss_scale_factor")
    reasons += [f"has `{name}`, which is for a training" for name in options if getattr(optimizer, name, None)]
    if reasons:
        raise ValueError(
            "`inner_optimizer` must take each step by its variables and the gradients only, like "
            "`keras.optimizers.Adam(1e-3)` or `keras.optimizers.SGD(0.1)`. "
            f"Received: {type(optimizer).__name__}, which {reasons[0]}"
        )


def at_step(rows, step):
    """The row of `step` in `rows` `(steps, ...)`; later steps get the last row."""
    return rows[tf.minimum(step, rows.shape[0] - 1)]
