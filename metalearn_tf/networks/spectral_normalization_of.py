"""Spectral normalisation that keeps the precision of the weights."""

import keras

from metalearn_tf.engine.keras_internals import flat_layers


def spectral_normalization_of(layer):
    """Wraps a layer that has a kernel in Keras's `SpectralNormalization`, with the dtype of the layer's weights.

    Keras's wrapper divides the kernel in place. If the wrapper itself had a mixed policy, it would read the kernel in
    the precision of the computation. After one step all weights would be rounded to bfloat16 or float16, and small
    updates would be lost. The layer inside keeps its own policy.
    """
    return keras.layers.SpectralNormalization(layer, dtype=layer.variable_dtype, name=f"spectral_{layer.name}")


def check_spectral_normalization(network, argument):
    """Refuses Keras's `SpectralNormalization` if it would round the weights of a network.

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
