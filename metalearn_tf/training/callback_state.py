"""The state of a Keras callback as plain values and arrays."""

import contextlib
import sys

import numpy as np

# What Keras sets anew at the beginning of every training.
_OF_KERAS = {"params", "_model", "_params"}


def callback_state(callback, arrays):
    """What a callback remembers: its attributes that are numbers, texts, functions, arrays, or lists and dicts of them.

    Args:
        callback: a `keras.callbacks.Callback`.
        arrays: list, to which the arrays among the attributes are appended.

    Returns:
        A dict that JSON can hold, with the places of the arrays in the list.
    """
    state = {}
    for name, value in vars(callback).items():
        if name not in _OF_KERAS:
            with contextlib.suppress(TypeError):  # models and layers are the callback's tools, not its memory
                state[name] = _encode(value, arrays)
    return state


def set_callback_state(callback, state, arrays):
    """Gives a callback what `callback_state` took from another."""
    for name, value in state.items():
        setattr(callback, name, _decode(value, arrays))


def _encode(value, arrays):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return {"list": [_encode(part, arrays) for part in value]}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(value)
        return {"dict": {key: _encode(part, arrays) for key, part in value.items()}}
    if isinstance(value, (np.ndarray, np.generic)) and not np.asarray(value).dtype.hasobject:
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1}
    if value is _function(getattr(value, "__module__", None), getattr(value, "__qualname__", "")):
        return {"function": [value.__module__, value.__qualname__]}
    raise TypeError(value)


def _decode(value, arrays):
    if not isinstance(value, dict):
        return value
    if "list" in value:
        return [_decode(part, arrays) for part in value["list"]]
    if "dict" in value:
        return {key: _decode(part, arrays) for key, part in value["dict"].items()}
    if "function" in value:
        return _function(*value["function"])
    return arrays[value["array"]]


def _function(module, name):
    """A function of a module that is imported, by its name; `None` where there is none."""
    return getattr(sys.modules.get(module), name, None)
