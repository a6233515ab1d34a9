"""The memory of a Keras callback as plain values and arrays."""

import contextlib
import copy
import inspect
import numbers

import numpy as np

from metalearn_tf.engine.keras_internals import CALLBACK_ATTRIBUTES

# Attributes that Keras sets anew at the start of every training, and the comparison that a callback makes from `mode`.
_OF_KERAS = {"params", "monitor_op", *CALLBACK_ATTRIBUTES}


class CallbackState:
    """Saves what a callback has learned during a training, but not the arguments that it was given.

    The saved state is the callback's attributes that are numbers, texts, arrays, or lists and dicts of them. Attributes
    that have the name of a constructor argument, such as `patience`, are not saved: they keep the value that is given
    now. There is one exception: if a user's class changes such an attribute during the training, for example to count
    down steps, it is saved too. Then the argument must have the same value now as at the start.

    Make this object when the training begins, before the callback changes.

    Args:
        callback: a `keras.callbacks.Callback`.
    """

    def __init__(self, callback):
        self._callback = callback
        self._never, told = _told(callback)
        given = {name: value for name, value in vars(callback).items() if name in told and _is_plain(value)}
        self._told = copy.deepcopy(given)

    def values(self, arrays):
        """The state of the callback.

        Args:
            arrays: a list; the arrays among the callback's attributes are appended to it.

        Returns:
            A dict that JSON can hold. It refers to arrays by their positions in the list.
        """
        seen, told = {}, {}
        for name, value in vars(self._callback).items():
            if name in self._never or (name in self._told and _same(value, self._told[name])):
                continue
            with contextlib.suppress(TypeError):  # models and functions are not part of the state
                seen[name] = _encode(value, arrays)
                if name in self._told:
                    told[name] = _encode(self._told[name], arrays)
        return {"class": type(self._callback).__qualname__, "seen": seen, "told": told}

    def check(self, state, arrays):
        """Checks that a state fits the callback, before it is set.

        Args:
            state: what `values` returned for the callback in the training so far.
            arrays: the list of arrays that `values` filled.

        Raises:
            ValueError: if the state is from another class, or has attributes that the callback does not have, or values
                of another kind; or if an argument differs from before and the state depends on it.
        """
        found = type(self._callback).__qualname__
        if state["class"] != found:
            raise ValueError(
                f"`callbacks` must be those of the training so far, in the same order. Received: {found} where the "
                f"training has {state['class']}"
            )
        for name, value in state["told"].items():
            told, value = self._told.get(name), _decode(value, arrays)
            if not _same(told, value):
                raise ValueError(
                    f"`callbacks` must be told what they were when the training began, where that changes with it. "
                    f"Received: {found} with {name}={told!r} where the training has {value!r}"
                )
        for name, value in state["seen"].items():
            if name in self._never or not _takes(self._callback, name, _decode(value, arrays)):
                raise ValueError(
                    "`backup_dir` must hold what its callbacks remember, numbers, texts and arrays in attributes that "
                    f"they have. Received: {found}.{name} = {_decode(value, arrays)!r:.200}"
                )

    def set(self, state, arrays):
        """Sets a checked state in the callback."""
        for name, value in state["seen"].items():
            value, now = _decode(value, arrays), vars(self._callback).get(name)
            if isinstance(value, dict) and isinstance(now, dict):  # it may be a subclass of dict
                now.clear()
                now.update(value)
            else:
                setattr(self._callback, name, value)


def check_encoded(states, arrays):
    """Raises a `ValueError` if dicts from names to values are not as `CallbackState` writes them."""
    for state in states:
        if not isinstance(state, dict):
            raise ValueError(f"a callback has {state!r:.100}")
        for name, value in state.items():
            try:
                _decode(value, arrays)
            except (TypeError, ValueError, IndexError, AttributeError) as error:
                raise ValueError(f"a callback has {name} = {value!r:.100}") from error


def _told(callback):
    """The names of a callback's arguments: those of Keras's classes, which do not change them, and all others."""
    of_keras, others = set(_OF_KERAS), set()
    for of_class in type(callback).__mro__:
        if "__init__" in vars(of_class) and of_class is not object:
            names = set(inspect.signature(of_class.__init__).parameters)
            (of_keras if of_class.__module__.startswith("keras.") else others).update(names)
    return of_keras, others - of_keras


def _takes(callback, name, value):
    """Whether a callback has an attribute that can have this value."""
    if name in vars(callback):
        now = vars(callback)[name]
    elif hasattr(type(callback), name):
        now = getattr(type(callback), name)  # an initial value, or a method
        if now is None:
            return True
    else:
        # Its methods may create the attributes that they name later.
        functions = (part for of_class in type(callback).__mro__ for part in vars(of_class).values())
        return any(name in part.__code__.co_names for part in functions if inspect.isfunction(part))
    if now is None or (value is None and _kind(now) is not None):
        return True
    # Counters never become infinite or `None`.
    finite = not isinstance(now, numbers.Integral) or _kind(value) != "number" or np.isfinite(value)
    return _kind(now) is not None and _kind(now) == _kind(value) and bool(finite)


def _kind(value):
    """The kind of a value that can be saved; `None` for other values."""
    kinds = {
        "flag": (bool, np.bool_),
        "number": numbers.Real,
        "text": str,
        "list": (list, tuple),
        "dict": dict,
        "array": np.ndarray,
    }
    return next((name for name, kind in kinds.items() if isinstance(value, kind)), None)


def _is_plain(value):
    try:
        _encode(value, [])
    except TypeError:
        return False
    return True


def _same(value, other):
    try:
        arrays, others = [], []
        same = _encode(value, arrays) == _encode(other, others)
    except TypeError:
        return False
    return same and all(map(np.array_equal, arrays, others))


def _encode(value, arrays):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return {"tuple" if isinstance(value, tuple) else "list": [_encode(part, arrays) for part in value]}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(value)
        return {"dict": {key: _encode(part, arrays) for key, part in value.items()}}
    if isinstance(value, (np.ndarray, np.generic)) and not np.asarray(value).dtype.hasobject:
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1}
    raise TypeError(value)


def _decode(value, arrays):
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind in ("list", "tuple"):
        parts = [_decode(part, arrays) for part in content]
        return parts if kind == "list" else tuple(parts)
    if kind == "dict":
        return {key: _decode(part, arrays) for key, part in content.items()}
    if kind != "array":
        raise ValueError(kind)
    return arrays[content][()]  # NumPy's numbers are saved as arrays without axes
