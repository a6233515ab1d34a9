"""Descriptions of a model and its training as plain values, to check whether a folder belongs to them."""

import json
import pathlib

import keras
import numpy as np

from metalearn_tf.engine.describe import describe
from metalearn_tf.engine.keras_internals import compile_options
from metalearn_tf.files.fingerprint import fingerprint
from metalearn_tf.files.whole_files import write_text


def describe_model(model, weights=False):
    """A model and its training as plain values: its full configuration, loss, metrics and optimizers.

    Args:
        model: a built `keras.Model`.
        weights: whether the values of its weights are part of the description. They are rounded, because processors
            differ in the last bits of random numbers.
    """
    described = {**describe(model), **{name: describe(optimizer) for name, optimizer in optimizers_of(model).items()}}
    described.pop("name", None)
    if model.compiled:
        if model.loss is not None:
            described["loss"] = describe(model.loss)
        described["compile"] = _describe_compile(model)
    variables = model.weights
    described["weights"] = [list(variable.shape) for variable in variables]
    described["dtypes"] = [str(variable.dtype) for variable in variables]
    described["trained"] = [number for number, variable in enumerate(variables) if variable.trainable]
    if weights:
        described["values"] = [_sums(variable) for variable in variables if "seed" not in variable.name]
    return described


def _describe_compile(model):
    """The arguments of `compile` other than optimizers and loss, as far as they affect the training."""
    # The argument itself: objects that cannot be saved can still be used in training.
    options = {**compile_options(model), **{name: getattr(model, name, None) for name in ("monitor", "mode")}}
    names = ("loss_weights", "metrics", "weighted_metrics", "steps_per_execution", "monitor", "mode")
    return describe({name: options[name] for name in names if options.get(name) is not None})


def _sums(variable):
    """Two sums of a variable's values, in four digits.

    They have no cancellation, so these digits are reliable. The second sum depends on signs and positions.
    """
    value = keras.ops.convert_to_numpy(variable).astype("float64").ravel()
    return f"{np.abs(value).sum():.4g} and {np.maximum(value, 0.0) @ (1 + np.arange(value.size) % 101):.4g}"


def describe_dataset(dataset):
    """The content of a `ClassDataset` as plain values."""
    return {
        "domain": dataset.domain,
        "examples": len(dataset),
        "classes": dataset.num_classes,
        "class_names": describe(list(dataset.class_names)),
        "parents": describe(dataset.parents and dict(sorted(dataset.parents.items()))),
        "content": fingerprint(dataset.examples, dataset.labels),
    }


def optimizers_of(model):
    """The optimizers of a Keras model by name; a GAN has several."""
    optimizers = getattr(model, "optimizers", None) or {"optimizer": getattr(model, "optimizer", None)}
    return {name: optimizer for name, optimizer in optimizers.items() if optimizer is not None}


def check_same(argument, path, description, what):
    """Compares a description with the one in a file; if there is no file, writes it.

    Args:
        argument: name of the argument that gave the folder, for the error.
        path: of the file.
        description: nested dict of plain values.
        what: of what the folder is, such as `"run"`.

    Raises:
        ValueError: if they differ (it names the first five differences), or if the file is damaged.
    """
    # In the form in which it will be read: tuples become lists.
    description = json.loads(json.dumps(description))
    kept = read_description(argument, path)
    if kept is None:
        write_text(path, json.dumps(description, indent=2) + "\n")
    else:
        refuse_differences(argument, description, kept, what)


def read_description(argument, path):
    """The description in a file; `None` if there is no file.

    Args:
        argument: name of the argument that gave the folder, for the error.
        path: of the file.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        kept = json.loads(pathlib.Path(path).read_bytes())
        if not isinstance(kept, dict):
            raise ValueError(f"it has a {type(kept).__name__}")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"`{argument}` must not hold a damaged file; delete it. Received: {path}, {error}") from error
    return kept


def refuse_differences(argument, description, kept, what):
    """Raises a `ValueError` if a description differs from that of a folder; see `check_same`."""
    found = differences(description, kept, what)
    if found:
        raise ValueError(
            f"`{argument}` holds a {what} of another configuration, whose results are not those asked for; choose "
            f"another folder, or delete it. Received: {found}"
        )


def differences(wanted, kept, what):
    """The first five differences between two descriptions, in words; empty if there are none.

    Args:
        wanted: nested dict of plain values.
        kept: the same kind of dict, from before.
        what: of what that is, such as `"run"`.
    """
    wanted, kept = _flat(wanted), _flat(kept)
    differing = sorted(key for key in {*kept, *wanted} if kept.get(key) != wanted.get(key))
    more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
    places = (f"{key}={_short(wanted.get(key))} where the {what} has {_short(kept.get(key))}" for key in differing[:5])
    return "; ".join(places) + more


def _short(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _flat(values, prefix=""):
    """Nested dicts, and lists of dicts, as one dict with paths for keys."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, list) and any(isinstance(part, dict) for part in value):
            value = {f"[{number}]": part for number, part in enumerate(value)}
        path = f"{prefix}{key}" if key.startswith("[") or not prefix else f"{prefix}.{key}"
        flat.update(_flat(value, path) if isinstance(value, dict) and value else {path: value})
    return flat
