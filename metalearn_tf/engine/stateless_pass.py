"""A layer or network as a pure function."""

import keras


def stateless_pass(layer, weights, states, inputs, training):
    """A pass of a layer that assigns no variable.

    It replaces `layer.stateless_call`, which mixes the losses of weights and of layers, and loses the first loss of a
    layer that is used twice.

    Args:
        layer: a built network, or one of its layers.
        weights: tensors to use instead of its trainable variables.
        states: tensors to use instead of its other variables.
        inputs: as the layer takes them.
        training: as in Keras.

    Returns:
        The outputs, the new values of the other variables, and a list of the losses that layers add: `add_loss`,
        activity regularisers.
    """
    variables = [*layer.trainable_variables, *layer.non_trainable_variables]
    mapping = zip(variables, [*weights, *states], strict=True)
    with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
        outputs = layer(inputs, training=training)
    return outputs, [scope.get_current_value(v) for v in layer.non_trainable_variables], list(scope.losses)
