"""Spectral normalisation that keeps the precision of the weights that it divides."""

import keras

from metalearn_tf.engine.keras_internals import flat_layers


def spectral_normalization_of(layer):
    """A layer with a kernel, wrapped by Keras's `SpectralNormalization` in the dtype of its weights.

    Keras's wrapper divides the kernel in place, and under a mixed policy of its own would read it in the precision of
    the computation: after a step all weights would be numbers of bfloat16 or float16, and small updates lost. The layer
    inside computes in its own policy.
    """
    return keras.layers.SpectralNormalization(layer, dtype=layer.variable_dtype, name=f"spectral_{layer.name}")


def check_spectral_normalization(network, argument):
    """Refuses Keras's `SpectralNormalization` where it would round the weights of a network.

    Args:
        network: a built `keras.Model`.
        argument: its name in the error message.
    """
    rounding = [
        layer
        for layer in flat_layers(network)
        if isinstance(layer, keras.layers.SpectralNormalization) and layer.compute_dtype != layer.layer.variable_dtype
    ]
    if rounding:
        kept, names = rounding[0].layer.variable_dtype, [layer.name for layer in rounding]
        raise ValueError(
            f"`{argument}` must not round its weights, as Keras's SpectralNormalization does under a mixed policy; "
            f'`keras.layers.SpectralNormalization(layer, dtype="{kept}")` keeps them, and the layer inside its policy. '
            f"Received: the layers {names} of dtype {rounding[0].dtype_policy.name!r}"
        )
