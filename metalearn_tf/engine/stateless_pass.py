"""A layer or network as a pure function."""

import keras


def stateless_pass(layer, weights, states, inputs, training):
    """A pass that assigns no variable.

    `layer.stateless_call` by another way: there, what weights add to the loss cannot be told from what layers add, and
    of a layer that is used twice the first loss is lost.

    Args:
        layer: a built network, or one of its layers.
        weights: tensors in place of its trainable variables.
        states: tensors in place of its other variables.
        inputs: as the layer takes them.
        training: as in Keras.

    Returns:
        The outputs, the new values of the other variables, and the list of what layers add to the loss: `add_loss`,
        activity regularisers.
    """
    variables = [*layer.trainable_variables, *layer.non_trainable_variables]
    mapping = zip(variables, [*weights, *states], strict=True)
    with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
        outputs = layer(inputs, training=training)
    return outputs, [scope.get_current_value(v) for v in layer.non_trainable_variables], list(scope.losses)
