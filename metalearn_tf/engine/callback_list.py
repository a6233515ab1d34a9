"""Callbacks as a list."""

import keras


def callback_list(callbacks):
    """Makes a new list of the `callbacks` of `fit`: `None`, one, several, or a `keras.callbacks.CallbackList`."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return [callback for callback in keras.tree.flatten(callbacks) if callback is not None]
