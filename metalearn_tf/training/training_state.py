"""The content of a file of `Resume`."""

import json
import logging
import random

import numpy as np

from metalearn_tf.files.cache import UNREADABLE, read_arrays, write_arrays
from metalearn_tf.training.callback_state import check_encoded

# The entries of a state other than arrays, and the type of each.
_PARTS = {
    "epoch": int,
    "first_epoch": int,
    "steps": int,
    "steps_of_epoch": int,
    "ended": (int, type(None)),
    "logs": dict,
    "history": dict,
    "epochs": list,
    "callbacks": list,
    "python": list,
    "numpy": list,
}


class TrainingState:
    """Plain values and lists of arrays: everything that a training needs to continue.

    Args:
        meta: dict that JSON can hold, with the keys of `_PARTS`.
        arrays: dict from a kind of arrays to a list of them.
    """

    def __init__(self, meta, arrays):
        self.meta = meta
        self.arrays = arrays

    def write(self, path, previous):
        """Writes it in one step; see `write_arrays`."""
        named = {"meta": np.asarray(json.dumps(self.meta))}
        for kind, parts in self.arrays.items():
            named |= {f"{kind}_{number:05d}": value for number, value in enumerate(parts)}
        write_arrays(path, named, previous=previous)

    @classmethod
    def read(cls, paths, variables):
        """The state from the first of several files that can be read; `None` if none of them exists.

        Args:
            paths: paths of the files, the latest first.
            variables: the model's variables; the arrays must fit them.

        Raises:
            OSError: if there are files, but none can be read.
        """
        errors = {}
        for path in paths:
            if path.exists():
                try:
                    state = cls._of_file(path)
                    state._check(variables)
                    return state
                except (*UNREADABLE, TypeError, IndexError, OverflowError) as error:
                    errors[str(path)] = error
                    logging.getLogger(__name__).warning("%s cannot be read: %s", path, error)
        if errors:
            raise OSError(
                "`backup_dir` has no state that can be read; delete the folder to begin anew. "
                f"Received: {'; '.join(f'{path}: {error}' for path, error in errors.items())}"
            )
        return None

    @classmethod
    def _of_file(cls, path):
        found = read_arrays(path)
        meta = json.loads(str(found.pop("meta")))
        arrays = {kind: [] for kind in ("variable", "metric", "callback")}
        for name in sorted(found):
            arrays[name.rpartition("_")[0]].append(found[name])
        return cls(meta, arrays)

    def _check(self, variables):
        """Raises a `ValueError` or `TypeError` if an entry is not as `Resume` writes it."""
        meta = self.meta
        for name, kind in _PARTS.items():
            if not isinstance(meta[name], kind) or isinstance(meta[name], bool):
                raise ValueError(f"{name} is {meta[name]!r:.100}")
        counts = [meta[name] for name in ("epoch", "first_epoch", "steps", "steps_of_epoch")]
        if min(counts) < 0 or meta["first_epoch"] > meta["epoch"] or meta["steps_of_epoch"] > meta["steps"]:
            raise ValueError(f"epoch, first epoch, steps and steps of the epoch are {counts}")
        if not all(isinstance(value, float) for value in meta["logs"].values()):
            raise ValueError("logs are not numbers")
        if not all(isinstance(value, float) for values in meta["history"].values() for value in values):
            raise ValueError("the history has something else than numbers")
        if not all(type(epoch) is int for epoch in meta["epochs"]):
            raise ValueError(f"the epochs of the history are {meta['epochs']!r:.100}")
        for state in meta["callbacks"]:
            if set(state) != {"class", "seen", "told"} or not isinstance(state["class"], str):
                raise ValueError(f"a callback has {sorted(state)}")
            check_encoded([state["seen"], state["told"]], self.arrays["callback"])
        random.Random().setstate(self.python_state)
        np.random.RandomState().set_state(meta["numpy"])
        shapes = [tuple(variable.shape) for variable in variables]
        found = [array.shape for array in self.arrays["variable"]]
        if found != shapes or any(array.dtype.kind not in "fiub" for array in self.arrays["variable"]):
            raise ValueError(f"it has variables of the shapes {found!r:.200} where the model has {shapes!r:.200}")

    @property
    def python_state(self):
        """The state of Python's `random`."""
        version, numbers, gauss = self.meta["python"]
        return version, tuple(numbers), gauss
