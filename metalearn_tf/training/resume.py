"""Trainings that go on where they were killed, exactly."""

import json
import logging
import pathlib
import random

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.data.cache import UNREADABLE, read_arrays, write_arrays
from metalearn_tf.data.fingerprint import fingerprint
from metalearn_tf.training.callback_state import callback_state, set_callback_state
from metalearn_tf.training.descriptions import check_same, describe_model, optimizers_of
from metalearn_tf.training.first_worker import is_first_worker
from metalearn_tf.training.replay import Replay

_LATEST, _PREVIOUS, _MODEL, _BATCH = "latest.npz", "previous.npz", "model.json", "batch.json"


class Resume(keras.callbacks.Callback):
    """Saves a training as it goes, so that the same command goes on where it was killed.

    With the same seeds, threads and machine, the weights at the end are those of a training that was never killed, bit
    for bit. What is kept: all variables of the model and its optimizers, the metrics, the random states of Keras's
    layers, Python and NumPy, the history, the place in the data, and the state of other callbacks. Keras's
    `BackupAndRestore` keeps the weights and the epoch: it starts the data anew and an epoch at its first step, and a
    kill while it writes can leave nothing.

    ```python
    learner.fit(tasks, steps_per_epoch=500, epochs=20, callbacks=[mtf.training.Resume("runs/maml")])
    ```

    Give it first in the list: it saves between two steps, before any other callback begins the next. The data must come
    in the same order when the command is run again, as those of `mtf.data.episodes`, `mtf.data.image_tasks`, and of
    arrays after `keras.utils.set_random_seed` do; a dataset that ends must have the same order in each pass, and a
    shuffled one a seed and `repeat`. Batches that were used are drawn again, without a step.

    A file takes the place of the last one when it is whole, and the one before stays: whatever is cut short or damaged,
    there is a state to go on from. Under a `tf.distribute` strategy of several workers the first one writes and all
    read, so that the folder must be one that all see.

    Args:
        backup_dir: folder of the training, for it alone: each program, and each `fit` of a program, has one of its own.
            A folder that others write to as well is taken for another training, or its states for this one's.
        save_freq: `"epoch"`, or a number of steps.
        delete_checkpoint: whether the states are deleted when training ends, and with them the folder, if nothing else
            is in it: no other file is touched. Where they stay, the same command does nothing but to restore the end.
        deterministic: whether to make all of TensorFlow's operations deterministic, for the whole process, by
            `tf.config.experimental.enable_op_determinism`. Those of the library's models on CPUs are without it.
        callbacks: others of the same `fit` whose state is kept, such as a `keras.callbacks.EarlyStopping`. Those that
            `GAN.fit`, `MetaGAN.fit` and `fine_tune` bring themselves are.

    Raises:
        ValueError: if `save_freq` is neither; when training begins, if the model is not built, or the folder is that of
            another (names what differs): another model, `compile`, number of steps or size of batches. Of other data in
            batches of the same size the training goes on, with a warning through `logging`.
        OSError: if a state cannot be written, such as on a full disk: the last good one is untouched. Or if there are
            states and none can be read.
    """

    def __init__(self, backup_dir, save_freq="epoch", delete_checkpoint=True, deterministic=False, callbacks=()):
        super().__init__()
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f'`save_freq` must be "epoch" or a positive number of steps. Received: {save_freq!r}')
        self.backup_dir = pathlib.Path(backup_dir)
        self.save_freq = save_freq
        self.delete_checkpoint = delete_checkpoint
        self.callbacks = list(callbacks)
        if deterministic:
            tf.config.experimental.enable_op_determinism()

    def keep_state_of(self, callback):
        """Adds a callback of the same `fit` to those whose state is kept."""
        self.callbacks.append(callback)

    # === Keras's events ===

    def on_train_begin(self, logs=None):
        self._epoch = self._steps = self._steps_before = self._saved_at = 0
        self._logs, self._restored, self._replayed, self._content = {}, None, 0, None
        self._looks = True
        self._build()
        description = {**describe_model(self.model), "steps_per_epoch": self.params.get("steps")}
        check_same("backup_dir", self.backup_dir / _MODEL, description, "training")
        self._restored = self._read()
        if self._restored is not None:
            self._epoch, self._steps = self._restored.meta["epoch"], self._restored.meta["steps"]
            self._replayed, self._saved_at = self._restored.meta["steps_of_epoch"], self._steps
            self._content = self._restored.meta.get("content")
            self._set_variables()
            self.model._initial_epoch = self._epoch  # Keras's own way to begin at another epoch from within `fit`

    def on_epoch_begin(self, epoch, logs=None):
        if self._restored is None:
            self._epoch, self._steps_before = epoch, self._steps
            if self.save_freq == "epoch" and self._steps > self._saved_at:
                self._save(epoch, steps_of_epoch=0)
        else:
            self._steps_before = self._steps - self._replayed
            self._set_callbacks()  # behind their own beginnings

    def on_train_batch_begin(self, batch, logs=None):
        looks, self._looks = self._looks, False
        if self._restored is not None:
            # Only now: other callbacks may make the function anew at the beginning of an epoch.
            state, self._restored = self._restored, None
            # Without a number of steps an epoch is one pass over the data, and begins them anew.
            drawn = self._steps if self.params.get("steps") else self._replayed
            self.model.train_function = Replay(
                self.model, drawn, self._replayed, state.meta["logs"], lambda: self._set_variables(state), self._look
            )
        elif looks:
            self.model.train_function = Replay(self.model, 0, 0, {}, None, self._look)
        elif self.save_freq != "epoch" and self._steps - self._saved_at >= self.save_freq:
            self._save(self._epoch, steps_of_epoch=batch)

    def _look(self, batch):
        """Holds the first batch of the data against that of the training so far."""
        if not self.params.get("steps"):
            return  # batches of an unknown number, such as those of texts of like lengths, may differ in size
        parts = [part for part in tf.nest.flatten(batch, expand_composites=True) if part is not None]
        sizes = [f"{part.shape[:1]}, {part.shape.rank} axes, {part.dtype.name}" for part in parts]
        check_same("backup_dir", self.backup_dir / _BATCH, {"first_batch": sizes}, "training")
        content = fingerprint(*(part.numpy() for part in parts))
        if self._content not in (None, content):
            logging.getLogger(__name__).warning(
                "The data of the training in %s begin with another batch than before: it goes on, but not as it would "
                "have without a stop. Data in the same order have a seed wherever they are shuffled or drawn.",
                self.backup_dir,
            )
        self._content = content

    def on_train_batch_end(self, batch, logs=None):
        self._steps = max(self._steps, self._steps_before + batch + 1)
        self._logs = logs or {}

    def on_train_end(self, logs=None):
        if self._restored is not None:  # there was nothing left to do
            self._set_callbacks()
        if self.delete_checkpoint:
            if is_first_worker(self.model):
                self._delete()
        elif self._steps > self._saved_at:
            # A training that was stopped early is at its end too.
            self._save(max(self._epoch + 1, self.params.get("epochs") or 0), steps_of_epoch=0)

    # === The state ===

    def _build(self):
        """Makes sure that all variables are there; Keras makes those of an optimizer in its first step."""
        if not self.model.built:
            raise ValueError(
                "`Resume` needs a model that is built, so that its variables can be restored; call it on a batch, or "
                f"give it a `keras.Input`. Received: the model {self.model.name!r}, which is not built"
            )
        for optimizer in optimizers_of(self.model).values():
            if not optimizer.built:
                optimizer.build(self.model.trainable_variables)

    def _save(self, epoch, steps_of_epoch):
        self._saved_at = self._steps
        # By all workers, whose metrics are summed where they are read.
        metrics = [_as_array(variable) for variable in _metrics(self.model)] if steps_of_epoch else []
        if not is_first_worker(self.model):
            return
        values = [_as_array(variable) for variable in self._variables()]
        numpy_state = np.random.get_state()
        of_callbacks = []
        meta = {
            "epoch": epoch,
            "steps": self._steps,
            "steps_of_epoch": steps_of_epoch,
            "content": self._content,
            "logs": {name: float(value) for name, value in self._logs.items()},
            "history": {name: [*map(float, values)] for name, values in self.model.history.history.items()},
            "callbacks": [callback_state(callback, of_callbacks) for callback in self.callbacks],
            "python": random.getstate(),
            "numpy": [numpy_state[0], numpy_state[1].tolist(), *numpy_state[2:]],
        }
        arrays = {"meta": np.asarray(json.dumps(meta))}
        for kind, parts in (("variable", values), ("metric", metrics), ("callback", of_callbacks)):
            arrays |= {f"{kind}_{number:05d}": value for number, value in enumerate(parts)}
        write_arrays(self.backup_dir / _LATEST, arrays, previous=self.backup_dir / _PREVIOUS)

    def _delete(self):
        """Deletes what this callback has written, and the folder once nothing is in it."""
        for name in (_LATEST, _PREVIOUS, _MODEL, _BATCH):
            # And parts of one that a kill has left.
            for path in (self.backup_dir / name, *self.backup_dir.glob(f".{name}.*.tmp")):
                path.unlink(missing_ok=True)
        # A link to a folder stays, with the folder that somebody chose for the states.
        if not self.backup_dir.is_symlink() and not any(self.backup_dir.iterdir()):
            self.backup_dir.rmdir()

    def _read(self):
        errors = {}
        for name in (_LATEST, _PREVIOUS):
            path = self.backup_dir / name
            if path.exists():
                try:
                    return _State(read_arrays(path))
                except UNREADABLE as error:
                    errors[str(path)] = error
                    logging.getLogger(__name__).warning("%s cannot be read: %s", path, error)
        if errors:
            raise OSError(
                "`backup_dir` has no state that can be read; delete the folder to begin anew. "
                f"Received: {'; '.join(f'{path}: {error}' for path, error in errors.items())}"
            )
        return None

    def _set_variables(self, state=None):
        """Sets variables and random states to those of the training; of a `state`, the metrics too."""
        found = state or self._restored
        for variable, value in zip(self._variables(), found.arrays("variable"), strict=True):
            variable.assign(value)
        if state is not None:
            for variable, value in zip(_metrics(self.model), state.arrays("metric"), strict=True):
                variable.assign(value)
        version, numbers, gauss = found.meta["python"]
        random.setstate((version, tuple(numbers), gauss))
        np.random.set_state(found.meta["numpy"])

    def _set_callbacks(self):
        self.model.history.history = self._restored.meta["history"]
        arrays = self._restored.arrays("callback")
        for callback, state in zip(self.callbacks, self._restored.meta["callbacks"], strict=True):
            set_callback_state(callback, state, arrays)

    def _variables(self):
        """Those of the model and its optimizers, without the metrics, which Keras makes in the first step."""
        variables = [
            *self.model.variables,
            *(v for optimizer in optimizers_of(self.model).values() for v in optimizer.variables),
        ]
        metrics = {id(variable) for variable in _metrics(self.model)}
        return {id(variable): variable for variable in variables if id(variable) not in metrics}.values()


class _State:
    """What a file has."""

    def __init__(self, arrays):
        self._arrays = arrays
        self.meta = json.loads(str(arrays["meta"]))

    def arrays(self, kind):
        return [value for name, value in sorted(self._arrays.items()) if name.startswith(f"{kind}_")]


def _metrics(model):
    return [variable for metric in model.metrics for variable in metric.variables]


def _as_array(variable):
    value = keras.ops.convert_to_numpy(variable).copy()
    # NumPy's files know no bfloat16; float32 holds each of its numbers exactly.
    return value.astype("float32") if value.dtype.kind == "V" else value
