"""Keras layers among arguments."""

import keras


def check_is_layer(argument, layer):
    """Refuses a value that is not a Keras layer.

    Raises:
        TypeError: if it is something else, such as a list of layers.
    """
    if not isinstance(layer, keras.layers.Layer):
        raise TypeError(
            f"`{argument}` must be a Keras layer; put several into a `keras.Sequential`. "
            f"Received: {type(layer).__name__}"
        )
