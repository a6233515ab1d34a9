"""Callbacks as a list."""

import keras


def callback_list(callbacks):
    """What `fit` takes as `callbacks`, as a new list: `None`, one, several, or a `keras.callbacks.CallbackList`."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return [callback for callback in keras.tree.flatten(callbacks) if callback is not None]
