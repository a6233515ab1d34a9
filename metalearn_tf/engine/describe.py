"""Describes models and other Keras objects as plain values. Equal objects have equal descriptions, others do not."""

import functools
import inspect
import math
import re
import sys
import warnings

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.engine.keras_internals import arguments_of, flat_layers, inner_layers
from metalearn_tf.engine.text_inputs import vocabulary_files
from metalearn_tf.files.fingerprint import fingerprint

# The description of a longer list, such as a vocabulary, is its fingerprint.
_LONGEST_LIST = 64
# Of objects within objects, and of functions that call functions.
_DEEPEST = 4
# Keys that Keras adds to a configuration, or that differ between a model and its compiled or saved copy.
_NOT_OF_THE_OBJECT = ("module", "build_config", "compile_config", "registered_name", "class_name", "config")


def describe(thing):
    """An object's full configuration, with everything nested in it.

    The user's own layers, losses and models are described by `get_config`, by the attributes that their methods use,
    and by a hash of their code: `get_config` is often incomplete. Names that Keras numbers (`"dense_3"`) are numbered
    again from 0, so a model that is built twice has the same description.

    Args:
        thing: a Keras model, layer, optimizer, schedule, loss or metric; a function; an array; a plain value; or lists
            and dicts of them.

    Returns:
        A value that JSON can store.
    """
    return _renumbered(_plain(thing, _DEEPEST))


def _plain(thing, depth):
    if isinstance(thing, np.generic):
        thing = thing.item()
    if thing is None or isinstance(thing, (bool, int, str)):
        return thing
    if isinstance(thing, float):
        return thing if math.isfinite(thing) else str(thing)
    if isinstance(thing, dict):
        return _plain_dict(thing, depth)
    if isinstance(thing, (list, tuple, set, frozenset)):
        return _plain_list(sorted(thing, key=str) if isinstance(thing, (set, frozenset)) else thing, depth)
    if isinstance(thing, (np.ndarray, tf.Tensor, tf.Variable, keras.Variable)):
        array = keras.ops.convert_to_numpy(thing)
        short = array.size <= _LONGEST_LIST
        content = {"values": _plain(array.ravel().tolist(), 1)} if short else {"content": fingerprint(array)}
        return {"dtype": str(array.dtype), "shape": list(array.shape), **content}
    if isinstance(thing, (tf.DType, np.dtype, keras.DTypePolicy)):
        return thing.name
    if isinstance(thing, type):
        return f"{thing.__module__}.{thing.__qualname__}"
    if depth == 0:
        return type(thing).__name__
    if isinstance(thing, functools.partial):
        return {"of": _plain(thing.func, depth - 1), "given": _plain([*thing.args, thing.keywords], depth - 1)}
    if inspect.isroutine(thing) or hasattr(thing, "__wrapped__"):
        return _function(thing, depth)
    return _object(thing, depth)


def _plain_dict(values, depth):
    if not {"class_name", "config"} <= values.keys():
        return {str(key): _plain(value, depth) for key, value in values.items()}
    # What `keras.saving.serialize_keras_object` makes of an object.
    name, config = values.get("registered_name") or values["class_name"], values["config"]
    if name.endswith("DTypePolicy") and isinstance(config, dict):
        return config.get("name", name)
    config = config if isinstance(config, dict) else {"value": config}
    if name.rpartition(">")[2] == "Sequential":
        config = _of_sequential(config)
    beside = {key: value for key, value in values.items() if key not in _NOT_OF_THE_OBJECT}
    return {"class": name.rpartition(">")[2], **_plain_dict({**beside, **config}, depth)}


def _of_sequential(config):
    """Removes what a sequential model gets with its first batch, so its description does not change."""
    layers = [layer for layer in config.get("layers", []) if layer.get("class_name") != "InputLayer"]
    return {**{key: value for key, value in config.items() if key != "build_input_shape"}, "layers": layers}


def _plain_list(values, depth):
    plain = [_plain(value, depth) for value in values]
    if len(plain) <= _LONGEST_LIST:
        return plain
    return {"length": len(plain), "content": fingerprint(repr(plain).encode())}


def _object(thing, depth):
    described, parts = {"class": type(thing).__name__}, [thing]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Keras warns of lambdas, but nothing is saved here
            described |= _plain_dict({"class_name": type(thing).__name__, "config": thing.get_config()}, depth)
        # The configurations of Keras's function losses lack the function's arguments, such as Huber's `delta`.
        described |= _plain_dict(arguments_of(thing), depth)
        parts = flat_layers(thing) if isinstance(thing, keras.Layer) else parts
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        # It cannot be saved, but it can still be described.
        described |= _attributes(thing, inspect.signature(type(thing)).parameters, depth)
        if isinstance(thing, keras.Layer):
            described["layers"] = [_object(layer, depth) for layer in inner_layers(thing)]
    described |= {key: value for key, value in {"own": _own(parts, depth), "words": _words(thing)}.items() if value}
    return described


def _words(thing):
    """The fingerprint of vocabularies, because configurations may lack them."""
    files = vocabulary_files(thing) if isinstance(thing, keras.Layer) else []
    return fingerprint(*files) if files else None


def _own(parts, depth):
    """For parts with classes of the user: the attributes that their methods use, and a hash of their code."""
    own = []
    for part in parts:
        functions = [
            function
            for base in type(part).__mro__
            if _is_users(base.__module__)
            for function in map(_unwrapped, vars(base).values())
            if function is not None
        ]
        if functions:
            names = {name for function in functions for name in function.__code__.co_names}
            code = [_function(function, depth) for function in functions]
            attributes = _attributes(part, sorted(names), depth)
            own.append({"class": type(part).__name__, **attributes, "code": fingerprint(repr(code).encode())})
    return own


def _attributes(thing, names, depth):
    """The attributes with these names that are values, and not objects of Keras."""
    attributes = getattr(thing, "__dict__", {})
    found = {name: attributes[name] for name in names if name in attributes and name not in ("name", "optimizer")}
    return {name: _plain(value, depth - 1) for name, value in found.items() if _is_value(value)}


def _is_value(value):
    if isinstance(value, (list, tuple)):
        return all(map(_is_value, value))
    if isinstance(value, dict):
        return all(map(_is_value, value.values()))
    # Layers and their parts have their own descriptions, or a state that changes.
    return not isinstance(value, (keras.Layer, keras.Variable, keras.random.SeedGenerator, keras.callbacks.Callback))


def _function(function, depth):
    """A function's name and, if it is the user's, a hash of its code and of the outer values that it uses."""
    bare = _unwrapped(function)
    if bare is None:
        return {"function": getattr(function, "__qualname__", type(function).__name__)}
    described = {"function": bare.__qualname__.rpartition("<locals>.")[2]}
    if not _is_users(bare.__module__) or depth == 0:
        return described
    cells = zip(bare.__code__.co_freevars, bare.__closure__ or ())
    around = {name: cell.cell_contents for name, cell in cells if name != "__class__"}
    around |= {name: bare.__globals__[name] for name in bare.__code__.co_names if name in bare.__globals__}
    taken = {name: _taken(value, depth - 1) for name, value in sorted(around.items())}
    parts = [_code(bare.__code__, bare.__doc__), bare.__defaults__, bare.__kwdefaults__, taken]
    return {**described, "code": fingerprint(repr(_plain(parts, 1)).encode())}


def _taken(value, depth):
    """An outer value that a function uses. Models and data among them are described where they are used."""
    if isinstance(value, (bool, int, float, str, type(None), np.generic)):
        return value
    return _function(value, depth) if hasattr(value, "__code__") else type(value).__name__


def _code(code, doc=None):
    """The code of a function, without line numbers and docstring."""
    constants = [_constant(constant) for constant in code.co_consts if doc is None or constant != doc]
    return [code.co_code.hex(), list(code.co_names), constants]


def _constant(constant):
    if isinstance(constant, frozenset):  # its order differs between processes
        return sorted(map(repr, constant))
    return _code(constant) if inspect.iscode(constant) else repr(constant)


def _unwrapped(function):
    """The user's function inside decorators and methods; `None` if there is none."""
    function = getattr(function, "__func__", getattr(function, "fget", function))
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function if hasattr(function, "__code__") else None


def _is_users(module):
    """Whether a module is the user's. Modules of Python, of installed packages and of ours have a version instead."""
    root = (module or "").partition(".")[0]
    if (root in sys.stdlib_module_names and root != "__main__") or root in ("metalearn_tf", "keras", "tensorflow"):
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return "site-packages" not in file and "dist-packages" not in file


def _renumbered(plain):
    """Numbers the names again: each kind counts from 0 in order of appearance."""
    names, counts = {}, {}

    def collect(value):
        if isinstance(value, dict):
            name = value.get("name")
            if isinstance(name, str) and name not in names:
                kind = re.sub(r"(_\d+)+$", "", name)
                counts[kind] = counts.get(kind, -1) + 1
                names[name] = f"{kind}_{counts[kind]}" if counts[kind] else kind
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(part)

    def renamed(value):
        if isinstance(value, dict):
            return {key: renamed(part) for key, part in value.items()}
        if isinstance(value, list):
            return [renamed(part) for part in value]
        return names.get(value, value) if isinstance(value, str) else value

    collect(plain)
    return renamed(plain)
