"""Less memory for more time: activations that are computed twice."""

import keras
import tensorflow as tf


def rematerialized(function):
    """`function` with a backward pass that computes its activations again instead of keeping them.

    `tf.recompute_grad` will not do: it stops recording around the forward pass, and with it gradients taken inside.

    Args:
        function: pure, from tensors to a list of tensors; it may take gradients itself.

    Returns:
        A function of the same tensors with the same values and gradients.

    Reference: [Chen et al., 2016](https://arxiv.org/abs/1604.06174)
    """

    @tf.custom_gradient
    def forward(*inputs):
        def backward(*upstream, variables=()):
            # The barrier keeps TensorFlow's optimiser of graphs from merging both computations into one.
            with tf.control_dependencies(upstream):
                again = [tf.identity(tensor) for tensor in inputs]
            # What the second computation assigns (running averages) has been assigned by the first.
            with keras.StatelessScope(), tf.GradientTape() as tape:
                tape.watch(again)
                outputs = function(*again)
            gradients = tape.gradient(outputs, again, output_gradients=upstream, unconnected_gradients="zero")
            return (gradients, [None] * len(variables)) if variables else gradients

        return function(*inputs), backward

    return forward
