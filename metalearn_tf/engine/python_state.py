"""The state of a model that is in Python objects and not in variables."""

import functools
import types

import keras
import numpy as np

from metalearn_tf.engine.keras_internals import flat_layers

# Attributes that training and tracing set in a model. No pass reads them.
_OF_TRAINING = frozenset(
    (
        "compiled",
        "is_shared",
        "history",
        "loss",
        "metric_of_targets",
        "optimizer",
        "steps_per_execution",
        "unrolled_steps_per_execution",
    )
    + ("stop_evaluating", "stop_predicting", "stop_training", "train_function", "test_function", "predict_function")
)


def python_state(model):
    """The flags of a model's variables and the attributes of its layers, as a value that compares by `==`.

    It changes when you set an attribute or a flag, and when you adapt a layer such as `Normalization` or
    `StringLookup`, which then has other tensors and tables. It does not contain Keras's own attributes, nor the values
    of variables.

    Args:
        model: a `keras.Model` or another layer.
    """
    layers = flat_layers(model)
    flags = [variable.trainable for variable in model.weights]
    return flags, [{name: _comparable(value) for name, value in _attributes(layer).items()} for layer in layers]


def copy_attributes(layer, copy):
    """Copies the attributes of a layer that are plain values or functions, if they differ from those of the copy.

    The configuration does not contain attributes that were set after the layer was built.
    """
    there = _attributes(copy)
    for name, value in _attributes(layer).items():
        if not _is_plain(value) or not _is_plain(there.get(name)):
            continue
        if name not in there or _content(value) != _content(there[name]):
            setattr(copy, name, _plain_copy(value))


def _attributes(layer):
    names_of_keras, named = _names_of_keras(), _names_in_methods(type(layer))
    return {
        name: value
        for name, value in vars(layer).items()
        if name not in names_of_keras and (name in named or not name.startswith("_"))
    }


@functools.cache
def _names_of_keras():
    return _OF_TRAINING | set(vars(keras.layers.Layer(name="bare")))


@functools.cache
def _names_in_methods(cls):
    """The names in the code of the user's classes, including private attributes."""
    own = [base for base in cls.__mro__ if not base.__module__.startswith(_NOT_THE_USERS)]
    functions = [getattr(value, "__wrapped__", value) for base in own for value in vars(base).values()]
    return {name for function in functions if hasattr(function, "__code__") for name in function.__code__.co_names}


def _comparable(value):
    if isinstance(value, (list, tuple)):
        return tuple(map(_comparable, value))
    if isinstance(value, dict):
        return tuple((_comparable(key), _comparable(part)) for key, part in value.items())
    if isinstance(value, (set, frozenset)):
        return frozenset(map(_comparable, value))
    if isinstance(value, (np.ndarray, np.generic)):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, float):
        return repr(value)  # NaN is not equal to itself
    return value if isinstance(value, _VALUES) else _Same(value)


def _content(value):
    """A plain value in a form that is equal for a layer and its copy, although each makes its own functions."""
    if not isinstance(value, types.FunctionType):
        return _comparable(value)
    cells = [cell.cell_contents for cell in value.__closure__ or ()]
    return value.__code__, tuple(_comparable(cell) for cell in cells if _is_plain(cell))


def _is_plain(value):
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return isinstance(value, (types.FunctionType, np.ndarray, np.generic, *_VALUES))


def _plain_copy(value):
    if isinstance(value, (list, tuple, set, frozenset)):
        kind = next(kind for kind in (list, tuple, set, frozenset) if isinstance(value, kind))
        return kind(map(_plain_copy, value))
    if isinstance(value, dict):
        return {key: _plain_copy(part) for key, part in value.items()}
    return value.copy() if isinstance(value, np.ndarray) else value


class _Same:
    """Equal only for the same object. It keeps the object alive, so no other object can get its address."""

    def __init__(self, thing):
        self._thing = thing

    def __eq__(self, other):
        return isinstance(other, _Same) and self._thing is other._thing

    def __hash__(self):
        return id(self._thing)


_VALUES = (bool, int, float, str, bytes, type(None))
_NOT_THE_USERS = ("builtins", "keras.", "keras_hub.", "metalearn_tf.", "tensorflow.")
