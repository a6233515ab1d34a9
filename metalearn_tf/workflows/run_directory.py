"""The folder of a run: what it is a run of, and the stages that are finished."""

import json
import os
import pathlib
import time

import keras
import numpy as np

from metalearn_tf.data.cache import cached_arrays
from metalearn_tf.data.fingerprint import fingerprint

_CONFIGURATION = "configuration.json"


class RunDirectory:
    """Keeps each stage of a workflow once it is finished, so that a run that was stopped goes on after it.

    Files are replaced in one step; one that is damaged is reported and its stage done again.

    Args:
        path: the folder, made where there is none.
        configuration: dict of plain values, all that the results depend on. A folder has one for ever.
        stages: how many there will be, for the progress bar.
        verbose: 0 for no progress bar, 1 for one.

    Raises:
        ValueError: if the folder is that of a run of another configuration; names what differs.
        NotADirectoryError: if `path` is a file.
    """

    def __init__(self, path, configuration, stages, verbose=1):
        self.path = pathlib.Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"`run_directory` must be a folder. Received: the file {str(path)!r}")
        self.path.mkdir(parents=True, exist_ok=True)
        _check_configuration(self.path / _CONFIGURATION, configuration)
        self._progress = keras.utils.Progbar(
            stages, verbose=verbose, unit_name="stage", stateful_metrics=["accuracy"], interval=0
        )

    def stage(self, name, build):
        """The arrays of a stage, a dict: those of the folder, or what `build` returns, which is then kept there."""
        arrays = cached_arrays(name, build, self.path)
        accuracies = arrays.get("accuracies")
        self._progress.add(1, None if accuracies is None else [("accuracy", float(np.mean(accuracies)))])
        return arrays

    def trained(self, name, model, train):
        """A model after `train(model)`, or with the weights that it had then.

        Returns:
            `model`, and the seconds that the training took.
        """

        def build():
            start = time.perf_counter()
            train(model)
            seconds = time.perf_counter() - start
            weights = {f"weights_{number:04d}": value for number, value in enumerate(model.get_weights())}
            return {**weights, "seconds": seconds}

        arrays = self.stage(name, build)
        model.set_weights([arrays[key] for key in sorted(arrays) if key != "seconds"])
        return model, float(arrays["seconds"])

    def write(self, name, text):
        """Writes a text file in one step; returns its path."""
        path, part = self.path / name, self.path / f".{name}.part"
        part.write_text(text)
        os.replace(part, path)
        return path


def describe_dataset(dataset):
    """What a `ClassDataset` holds, as plain values."""
    return {
        "domain": dataset.domain,
        "examples": len(dataset),
        "classes": dataset.num_classes,
        "content": fingerprint(dataset.examples, dataset.labels),
    }


def describe_model(model):
    """What a model is, as plain values: its class, its options, its optimizers' options and its weights' shapes."""
    optimizers = getattr(model, "optimizers", None) or {"optimizer": getattr(model, "optimizer", None)}
    return {
        "class": type(model).__name__,
        **_plain(model.get_config()),
        **{name: _plain(optimizer.get_config()) for name, optimizer in optimizers.items() if optimizer is not None},
        "weights": [list(variable.shape) for variable in model.weights],
    }


def _plain(config):
    """Of a configuration, the numbers, texts and flags; names are not part of what a model does."""
    plain = (bool, int, float, str, type(None))
    return {key: value for key, value in config.items() if key != "name" and isinstance(value, plain)}


def _check_configuration(path, configuration):
    # As it will be read: tuples are lists there.
    configuration = json.loads(json.dumps(configuration))
    if not path.exists():
        path.write_text(json.dumps(configuration, indent=2) + "\n")
        return
    kept = _flat(json.loads(path.read_text()))
    wanted = _flat(configuration)
    differing = sorted(key for key in {*kept, *wanted} if kept.get(key) != wanted.get(key))
    if differing:
        found = "; ".join(f"{key}={wanted.get(key)!r} where the run has {kept.get(key)!r}" for key in differing[:5])
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise ValueError(
            "`run_directory` holds a run of another configuration, whose results are not those asked for; choose "
            f"another folder, or delete it. Received: {found}{more}"
        )


def _flat(values, prefix=""):
    """Nested dicts as one, with dots in the keys."""
    flat = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
