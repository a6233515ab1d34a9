"""Trainable variables that a loss does not depend on."""


def check_reached(variables, gradients):
    """Refuses trainable variables that no gradient reaches: an optimizer would skip them without a warning.

    It runs when the graph of a training step is traced, and costs nothing afterwards.

    Args:
        variables: Keras variables.
        gradients: one for each variable, from `tf.GradientTape.gradient`: `None` if no gradient reaches it.

    Raises:
        ValueError: names the variables.
    """
    missing = [variable.path for variable, gradient in zip(variables, gradients, strict=True) if gradient is None]
    if missing:
        raise ValueError(
            f"No gradient reaches the trainable variables {missing}; connect them to the loss, or set "
            "`trainable = False` on their layers before `compile`. Rounding, `argmax`, casts to integers and "
            "`stop_gradient` cut gradients."
        )
