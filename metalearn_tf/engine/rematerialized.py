"""Less memory for more time: activations that are computed twice."""

import keras
import tensorflow as tf


def rematerialized(function, state=()):
    """`function` with a backward pass that computes its activations again instead of storing them.

    `tf.recompute_grad` does not work here: it stops recording in the forward pass, so gradients inside are lost.

    Args:
        function: from tensors to a list of tensors; it may compute gradients itself. No gradient reaches a tensor that
            it closes over: it must get such tensors as arguments, or read them from variables inside.
        state: Keras variables that it assigns (running averages, the seeds of dropout). The second computation starts
            with the same values as the first one, and its assignments are dropped.

    Returns:
        A function of the same tensors with the same values and gradients, also for the variables that it reads.

    Reference: [Chen et al., 2016](https://arxiv.org/abs/1604.06174)
    """

    @tf.custom_gradient
    def forward(*inputs):
        found = [(variable, tf.convert_to_tensor(variable)) for variable in state]

        def backward(*upstream, variables=()):
            # The barrier stops TensorFlow's graph optimizer from merging both computations into one.
            with tf.control_dependencies(upstream):
                again = [tf.identity(tensor) for tensor in inputs]
            with keras.StatelessScope(state_mapping=found), tf.GradientTape() as tape:
                tape.watch([tensor for tensor in again if tensor.dtype.is_floating])
                outputs = function(*again)
            sources = [*again, *variables]
            gradients = tape.gradient(outputs, sources, output_gradients=upstream)
            gradients, of_variables = gradients[: len(again)], gradients[len(again) :]
            return (gradients, of_variables) if variables else gradients

        return function(*inputs), backward

    return forward
