"""Checks that Keras and TensorFlow still have the private names that this library uses."""

import dis
import inspect
import pkgutil

import keras
import tensorflow as tf

WRITTEN_FOR = "Keras 3.15 and TensorFlow 2.21"


def owners_of(names):
    """Checks that classes and modules have their private names, and returns these classes and modules.

    Args:
        names: dict from the dotted path of a class or a module to a tuple of names. A name of a class is a method, or
            it occurs in the code of its methods: as an attribute that they set, or as a keyword.

    Returns:
        Dict from the paths to the classes and modules.

    Raises:
        ImportError: if names are gone; says which, and for which versions this library was written.
    """
    owners = {path: _found(path) for path in names}
    gone = [path for path, owner in owners.items() if owner is None]
    gone += [
        f"{path}.{name}"
        for path, of_owner in names.items()
        if owners[path] is not None
        for name in of_owner
        if not has_name(owners[path], name)
    ]
    if gone:
        raise ImportError(
            f"`metalearn_tf` uses private names of {WRITTEN_FOR}, of which these are gone: {', '.join(gone)}; install "
            "those versions, or fix `keras_internals.py` and `fit_internals.py` in `metalearn_tf/engine`. "
            f"Received: Keras {keras.__version__} and TensorFlow {tf.__version__}"
        )
    return owners


def has_name(owner, name):
    """Whether a module or class has a name, or the name occurs in the code of the class's methods."""
    if hasattr(owner, name):
        return True
    classes = owner.__mro__ if inspect.isclass(owner) else ()
    return any(name in names_in(part) for one in classes for part in vars(one).values())


def names_in(part):
    """The names in the code of a function, method or property: attributes that it sets, and constants."""
    if isinstance(part, (staticmethod, classmethod)):
        part = part.__func__
    part = inspect.unwrap(part.fget if isinstance(part, property) else part)
    if not inspect.isfunction(part):
        return ()
    code = part.__code__
    return (*(step.argval for step in dis.get_instructions(code) if step.opname == "STORE_ATTR"), *code.co_consts)


def _found(path):
    try:
        return pkgutil.resolve_name(path)
    except (ImportError, AttributeError):
        return None
