"""Continues trainings exactly where they were killed."""

import functools
import random

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.engine.keras_internals import begin_at_epoch
from metalearn_tf.files.folder_lock import FolderLock
from metalearn_tf.files.local_path import local_path
from metalearn_tf.files.whole_files import delete_unfinished
from metalearn_tf.training.callback_state import CallbackState
from metalearn_tf.training.data_of_fit import DataOfFit, callbacks_of_fit, too_few
from metalearn_tf.training.data_record import DataRecord
from metalearn_tf.training.descriptions import check_same, describe_model, optimizers_of
from metalearn_tf.training.first_worker import is_first_worker
from metalearn_tf.training.training_state import TrainingState

_FILES = _LATEST, _PREVIOUS, _MODEL, _BATCH = "latest.npz", "previous.npz", "model.json", "batch.json"


class Resume(keras.callbacks.Callback):
    """Saves a training while it runs, so that the same command continues where it was killed.

    With the same seeds, threads and machine, the final weights are bit for bit those of a training that was never
    killed. It saves all variables of the model and its optimizers, the metrics, the random states of Keras's layers,
    Python and NumPy, the history, the position in the data, and the state of other callbacks. Keras's
    `BackupAndRestore` saves only the weights and the epoch: it restarts the data, restarts an epoch at its first step,
    and can leave nothing if it is killed while it writes.

    ```python
    learner.fit(tasks, steps_per_epoch=500, epochs=20, callbacks=[mtf.training.Resume("runs/maml")])
    ```

    A training that was interrupted by Ctrl-C continues in the same way, with the same model and callback or with new
    ones. The first state is saved before the first step. `fit` begins at the next step; other callbacks see no step
    twice.

    The data must come in the same order when the command runs again. This holds for `mtf.data.episodes` and
    `mtf.data.image_tasks`, for shuffled datasets with a seed, and for arrays after `keras.utils.set_random_seed`. Make
    a generator anew for each call; within one session, also a dataset that is reshuffled in each pass. Data that were
    used before are drawn again, but without a training step.

    A new file replaces the last one only when it is complete, and the file before it stays. So if a file is cut short
    or damaged, there is still a state to continue from. Files contain only numbers and texts, and run no code. Only one
    process at a time can train in a folder. Under a `tf.distribute` strategy of several workers, the first worker
    writes and all read, so all must see the folder.

    Args:
        backup_dir: folder for this training only: each program, and each `fit` of a program, needs its own folder. If
            trainings share a folder, one may be refused, or may continue from the states of the other.
        save_freq: `"epoch"`, or a number of steps.
        delete_checkpoint: whether to delete the states when training ends, and also the folder if nothing else is in
            it. Other files are not touched. If the states stay, the same command only restores the final state.
        deterministic: whether to make all of TensorFlow's operations deterministic, for the whole process, with
            `tf.config.experimental.enable_op_determinism`. The library's models on CPUs do not need it.
        callbacks: other callbacks of the same `fit` whose state is saved, such as a `keras.callbacks.EarlyStopping`.
            Their arguments (`patience`, ...) have the values given now. Callbacks that `GAN.fit`, `MetaGAN.fit` and
            `fine_tune` add themselves are always saved.

    Raises:
        ValueError: if `save_freq` is neither, or `backup_dir` has a scheme, such as `gs://`. When training begins: if
            the model is not built, or if the folder belongs to another training (the message names what differs):
            another model, `compile`, number of steps or batch size, fewer epochs than were done, other callbacks, or a
            finished training on other data. An unfinished training continues with other data in batches of the same
            size, with a warning through `logging`.
        RuntimeError: if another process trains in the folder.
        OSError: if a state cannot be written, for example on a full disk (the last good state stays), or if there are
            states but none can be read.
    """

    def __init__(self, backup_dir, save_freq="epoch", delete_checkpoint=True, deterministic=False, callbacks=()):
        super().__init__()
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f'`save_freq` must be "epoch" or a positive number of steps. Received: {save_freq!r}')
        self.backup_dir = local_path("backup_dir", backup_dir)
        self.save_freq = save_freq
        self.delete_checkpoint = delete_checkpoint
        self.callbacks = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, keras.callbacks.Callback):
                raise ValueError(f"`callbacks` must be Keras callbacks. Received: {callback!r}")
        if deterministic:
            tf.config.experimental.enable_op_determinism()

    # === Keras's events ===

    def on_train_begin(self, logs=None):
        self._epoch = self._steps = self._steps_before = 0
        self._first_epoch = self._saved_at = self._restored = None
        self._logs, self._no_step = {}, True
        of_fit = [callback for callback in callbacks_of_fit() if getattr(callback, "is_resumed", False)]
        self._kept = [CallbackState(callback) for callback in (*self.callbacks, *of_fit)]
        self._build()
        data = DataOfFit()
        if is_first_worker(self.model):
            self._lock = FolderLock("backup_dir", self.backup_dir, "training")
            data.when_over(self._lock.release)
            delete_unfinished(self.backup_dir, *_FILES)
        description = {**describe_model(self.model), "steps_per_epoch": self.params.get("steps")}
        check_same("backup_dir", self.backup_dir / _MODEL, description, "training")
        fixed_sizes = self.params.get("steps") is not None
        self._record = DataRecord(self.backup_dir / _BATCH, data.examples(), fixed_sizes)
        state = TrainingState.read((self.backup_dir / _LATEST, self.backup_dir / _PREVIOUS), self._variables())
        if state is None:
            data.look_first(self._record.check_running)
        else:
            self._go_on(state, data)

    def on_epoch_begin(self, epoch, logs=None):
        begin_at_epoch(self.model, None)  # otherwise Keras would keep it for the next `fit`
        self._epoch = epoch
        if self._restored is not None:
            self._steps_before = self._steps - self._restored.meta["steps_of_epoch"]
            if self._restored.meta["steps_of_epoch"] == 0:
                self._restore()
            return
        self._steps_before = self._steps
        if self._first_epoch is None:
            self._first_epoch = epoch
        # Before callbacks that change something when an epoch begins, because they will do so again.
        steps = 1 if self.save_freq == "epoch" else self.save_freq
        if self._saved_at is None or self._steps - self._saved_at >= steps:
            self._save(epoch, steps_of_epoch=0)

    def on_train_batch_begin(self, batch, logs=None):
        if self._restored is not None:
            self._restore()  # after what the other callbacks did at the beginning of the epoch
        elif batch > 0 and self.save_freq != "epoch" and self._steps - self._saved_at >= self.save_freq:
            self._save(self._epoch, steps_of_epoch=batch)

    def on_train_batch_end(self, batch, logs=None):
        self._steps, self._no_step = self._steps_before + batch + 1, False
        self._logs = logs or {}

    def on_epoch_end(self, epoch, logs=None):
        if self._no_step and logs is not None:
            # The last state was after the last batch of data of unknown length. Keras needs the logs of a step here.
            merged = {**self._logs, **logs}
            logs.clear()
            logs.update(merged)

    def on_train_end(self, logs=None):
        begin_at_epoch(self.model, None)
        if self._restored is not None:  # nothing was left to do
            self._restore()
        elif not self.delete_checkpoint:
            self._save(self._epoch + 1, steps_of_epoch=0, ended=self.params.get("epochs") or 0)
        if is_first_worker(self.model):
            if self.delete_checkpoint:
                self._delete()
            self._lock.release(delete=True)

    # === Going on ===

    def _go_on(self, state, data):
        """Makes `fit` begin where a state ended."""
        meta, epochs = state.meta, self.params.get("epochs") or 0
        self._check(state, epochs)
        self._random_state = random.getstate(), np.random.get_state()
        begin = meta["epoch"]
        if epochs == begin or epochs <= (meta["ended"] or 0):
            self._record.check_ended(data.first_batches())
            begin = epochs
        else:
            data.look_first(self._record.check_running)
            whole = meta["steps"] - meta["steps_of_epoch"]
            draw = functools.partial(self._draw, len(state.arrays["metric"]))
            drawn = data.pass_over(begin - meta["first_epoch"], meta["steps_of_epoch"], draw)
            if drawn < whole:
                raise ValueError(too_few(f"{drawn} of the {whole} batches"))
        self._restored, self._logs = state, meta["logs"]
        self._steps = self._saved_at = meta["steps"]
        self._first_epoch = meta["first_epoch"]
        self._set_variables(state)
        begin_at_epoch(self.model, begin)

    def _check(self, state, epochs):
        states = state.meta["callbacks"]
        if len(states) != len(self._kept):
            raise ValueError(
                "`callbacks` must be those of the training so far, in the same order. Received: "
                f"{len(self._kept)} where the training has {len(states)}"
            )
        for kept, values in zip(self._kept, states, strict=True):
            kept.check(values, state.arrays["callback"])
        made = state.meta["epoch"] + (state.meta["steps_of_epoch"] > 0)
        if epochs < made:
            raise ValueError(
                f"`epochs` must be at least as many as the training has begun, {made}; for a shorter one choose "
                f"another folder, or delete it. Received: epochs={epochs}"
            )

    def _draw(self, metrics, batches):
        """Draws the batches of a completed step."""
        if len(_metrics(self.model)) == metrics:
            for _ in range(self.model.steps_per_execution):
                next(batches)
        else:
            # Keras makes the variables of the metrics in a step. Everything else that this step does is undone.
            self.model.train_function(batches)

    def _restore(self):
        """Restores a whole state, at the same place in the order of the callbacks at which it was saved."""
        state, self._restored = self._restored, None
        self._set_variables(state)
        # At the beginning of an epoch there are no metrics to restore: Keras has reset them.
        for variable, value in zip(_metrics(self.model), state.arrays["metric"], strict=False):
            variable.assign(value)
        history = self.model.history
        history.history, history.epoch = state.meta["history"], state.meta["epochs"]
        for kept, values in zip(self._kept, state.meta["callbacks"], strict=True):
            kept.check(values, state.arrays["callback"])  # what it has now
            kept.set(values, state.arrays["callback"])
        # Drawing the data again has used random numbers.
        of_python, of_numpy = self._random_state
        if random.getstate() == of_python:
            random.setstate(state.python_state)
        if all(map(np.array_equal, np.random.get_state(), of_numpy)):
            np.random.set_state(state.meta["numpy"])

    def _set_variables(self, state):
        for variable, value in zip(self._variables(), state.arrays["variable"], strict=True):
            variable.assign(value)

    # === The state ===

    def _build(self):
        """Makes sure that all variables exist; Keras makes those of an optimizer only in its first step."""
        if not self.model.built:
            raise ValueError(
                "`Resume` needs a model that is built, so that its variables can be restored; call it on a batch, or "
                f"give it a `keras.Input`. Received: the model {self.model.name!r}, which is not built"
            )
        for optimizer in optimizers_of(self.model).values():
            if not optimizer.built:
                optimizer.build(self.model.trainable_variables)

    def _save(self, epoch, steps_of_epoch, ended=None):
        self._saved_at = self._steps
        # Done by all workers, because reading a metric sums it over them.
        metrics = [_as_array(variable) for variable in _metrics(self.model)] if steps_of_epoch else []
        if not is_first_worker(self.model):
            return
        numpy_state = np.random.get_state()
        of_callbacks = []
        meta = {
            "epoch": epoch,
            "first_epoch": self._first_epoch,
            "steps": self._steps,
            "steps_of_epoch": steps_of_epoch,
            "ended": ended,
            "logs": {name: float(value) for name, value in self._logs.items()},
            "history": {name: [*map(float, values)] for name, values in self.model.history.history.items()},
            "epochs": list(self.model.history.epoch),
            "callbacks": [kept.values(of_callbacks) for kept in self._kept],
            "python": random.getstate(),
            "numpy": [numpy_state[0], numpy_state[1].tolist(), *numpy_state[2:]],
        }
        variables = [_as_array(variable) for variable in self._variables()]
        arrays = {"variable": variables, "metric": metrics, "callback": of_callbacks}
        TrainingState(meta, arrays).write(self.backup_dir / _LATEST, self.backup_dir / _PREVIOUS)

    def _delete(self):
        """Deletes what this callback has written, and the folder if it is then empty."""
        delete_unfinished(self.backup_dir, *_FILES)
        for name in _FILES:
            (self.backup_dir / name).unlink(missing_ok=True)
        self._lock.release(delete=True)
        # If the folder is a link, the link and its target stay: somebody chose them.
        if not self.backup_dir.is_symlink() and not any(self.backup_dir.iterdir()):
            self.backup_dir.rmdir()

    def _variables(self):
        """The variables of the model and its optimizers, without the metrics, which Keras makes in the first step."""
        variables = [
            *self.model.variables,
            *(v for optimizer in optimizers_of(self.model).values() for v in optimizer.variables),
        ]
        metrics = {id(variable) for variable in _metrics(self.model)}
        return {id(variable): variable for variable in variables if id(variable) not in metrics}.values()


def _metrics(model):
    return [variable for metric in model.metrics for variable in metric.variables]


def _as_array(variable):
    value = keras.ops.convert_to_numpy(variable).copy()
    # NumPy's files have no bfloat16; float32 holds each of its numbers exactly.
    return value.astype("float32") if value.dtype.kind == "V" else value
