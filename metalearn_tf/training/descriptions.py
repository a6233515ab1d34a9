"""What a model and its training are, as plain values, to tell whether a folder belongs to them."""

import json
import pathlib

from metalearn_tf.data.fingerprint import fingerprint
from metalearn_tf.data.whole_files import write_text


def describe_model(model):
    """What a model is, as plain values: its class, its options, its optimizers' options and its weights' shapes."""
    return {
        "class": type(model).__name__,
        **_plain(model.get_config()),
        **{name: _plain(optimizer.get_config()) for name, optimizer in optimizers_of(model).items()},
        "weights": [list(variable.shape) for variable in model.weights],
    }


def describe_dataset(dataset):
    """What a `ClassDataset` holds, as plain values."""
    return {
        "domain": dataset.domain,
        "examples": len(dataset),
        "classes": dataset.num_classes,
        "content": fingerprint(dataset.examples, dataset.labels),
    }


def optimizers_of(model):
    """The optimizers of a Keras model by their names; those of GANs are several."""
    optimizers = getattr(model, "optimizers", None) or {"optimizer": getattr(model, "optimizer", None)}
    return {name: optimizer for name, optimizer in optimizers.items() if optimizer is not None}


def check_same(argument, path, description, what):
    """Holds a description against that of a file; without a file, writes it there.

    Args:
        argument: name of the argument that gave the folder, for the error.
        path: of the file.
        description: nested dict of plain values.
        what: of what the folder is, such as `"run"`.

    Raises:
        ValueError: if they differ; names the first five differences. Or if the file is damaged.
    """
    path = pathlib.Path(path)
    # As it will be read: tuples are lists there.
    description = json.loads(json.dumps(description))
    if not path.exists():
        write_text(path, json.dumps(description, indent=2) + "\n")
        return
    try:
        kept = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"`{argument}` must not hold a damaged file; delete it. Received: {path}, {error}") from error
    kept, wanted = _flat(kept), _flat(description)
    differing = sorted(key for key in {*kept, *wanted} if kept.get(key) != wanted.get(key))
    if differing:
        found = "; ".join(f"{key}={wanted.get(key)!r} where the {what} has {kept.get(key)!r}" for key in differing[:5])
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise ValueError(
            f"`{argument}` holds a {what} of another configuration, whose results are not those asked for; choose "
            f"another folder, or delete it. Received: {found}{more}"
        )


def _plain(config):
    """Of a configuration, the numbers, texts and flags; names are not part of what a model does."""
    plain = (bool, int, float, str, type(None))
    return {key: value for key, value in config.items() if key != "name" and isinstance(value, plain)}


def _flat(values, prefix=""):
    """Nested dicts as one, with dots in the keys."""
    flat = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
