"""Checks on gradients, made where the graph of a training step is traced."""


def check_reached(variables, gradients):
    """Refuses a training in which a variable would never change, because the loss does not depend on it.

    Args:
        variables: Keras variables that are to be trained.
        gradients: for each of them its gradient, `None` where the loss does not depend on it.

    Raises:
        ValueError: names the variables that no gradient reaches.
    """
    unreached = [variable.path for variable, gradient in zip(variables, gradients, strict=True) if gradient is None]
    if unreached:
        raise ValueError(
            "Each trainable variable must have a part in the loss. Connect the layers of these to the output, or set "
            f"`layer.trainable = False` on them. Received: no gradient for {unreached}"
        )
