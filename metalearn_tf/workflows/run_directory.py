"""The folder of a run: its configuration and its finished stages."""

import time
import weakref

import keras
import numpy as np

from metalearn_tf.engine.saveable_model import plain_values
from metalearn_tf.files.cache import cached_arrays
from metalearn_tf.files.folder_lock import FolderLock
from metalearn_tf.files.local_path import local_path
from metalearn_tf.files.whole_files import delete_unfinished, write_text
from metalearn_tf.serving.export import delete_unfinished_export
from metalearn_tf.training.descriptions import check_same

_CONFIGURATION = "configuration.json"


class RunDirectory:
    """Saves each finished stage of a workflow, so that a stopped run can continue after it.

    Files are replaced in one step. If a file is damaged, this is reported and its stage is done again. If a stage
    cannot be saved, for example on a full disk, the run ends at once: all later stages would be lost too. Only one
    process at a time can work in a folder, as long as this object exists.

    Args:
        path: the folder; it is made if it does not exist.
        configuration: dict of plain or NumPy values: everything on which the results depend. It cannot change for a
            folder.
        stages: the number of stages, for the progress bar.
        verbose: 0 for no progress bar, 1 for one.

    Raises:
        RuntimeError: if another process works in the folder.
        ValueError: if the path has a scheme, such as `gs://`, or the folder is that of a run of another configuration;
            names what differs.
        NotADirectoryError: if `path` is a file.
        OSError: if the folder cannot be written, here or in a stage.
    """

    def __init__(self, path, configuration, stages, verbose=1):
        self.path = local_path("run_directory", path)
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"`run_directory` must be a folder. Received: the file {str(path)!r}")
        self._lock = FolderLock("run_directory", self.path, "run")
        weakref.finalize(self, self._lock.release, delete=True)
        delete_unfinished(self.path, "*")
        delete_unfinished_export(self.path / "export" / "1", self.path)
        self.configuration = plain_values(configuration)
        check_same("run_directory", self.path / _CONFIGURATION, self.configuration, "run")
        self._progress = keras.utils.Progbar(
            stages, verbose=verbose, unit_name="stage", stateful_metrics=["accuracy"], interval=0
        )

    def stage(self, name, build):
        """The arrays of a stage, a dict: read from the folder, or built by `build` and then saved there."""
        arrays = cached_arrays(name, build, self.path, must_keep=True)
        accuracies = arrays.get("accuracies")
        self._progress.add(1, None if accuracies is None else [("accuracy", float(np.mean(accuracies)))])
        return arrays

    def trained(self, name, model, train):
        """A model after `train(model)`, or with the saved weights of this training.

        Returns:
            `model`, and the time of the training in seconds.
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
        path = self.path / name
        write_text(path, text)
        return path
