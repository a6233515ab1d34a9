"""Trainings that go on where they were killed, exactly."""

import json
import logging
import os
import pathlib
import random
import shutil

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.data.cache import UNREADABLE, read_arrays, write_arrays
from metalearn_tf.training.callback_state import callback_state, set_callback_state
from metalearn_tf.training.describe_model import check_same, describe_model
from metalearn_tf.training.replay import Replay

_LATEST, _PREVIOUS = "latest.npz", "previous.npz"
_DESCRIPTION = "model.json"


class Resume(keras.callbacks.Callback):
    """Saves a training as it goes, so that the same command goes on where it was killed.

    With the same seeds, threads and machine, the weights at the end are those of a training that was never killed, bit
    for bit; `deterministic=True` makes sure of it. It keeps all variables of the model and of its optimizers, the
    metrics, the random states of Keras's layers, Python and NumPy, the history, the position in the data and the state
    of other callbacks. Keras's own `BackupAndRestore` keeps the weights and the epoch's number: it begins the data anew
    and an epoch at its first step, and a kill while it writes may leave nothing.

    ```python
    learner.fit(tasks, steps_per_epoch=500, epochs=20, callbacks=[mtf.training.Resume("runs/maml")])
    ```

    Give it first in the list: it saves between two steps, before any other callback begins the next. The data must come
    in the same order when the command is run again: those of `mtf.data.episodes`, `mtf.data.image_tasks` and of arrays
    do. Batches behind the position are drawn again, without a step.

    A file is written beside the last one and takes its place when it is whole, and the one before it stays: whatever
    is cut short or damaged, there is a state to go on from. Under a `tf.distribute` strategy of several workers the
    first one writes and all read, so that the folder must be one that all see.

    Args:
        backup_dir: folder of the training, for it alone.
        save_freq: `"epoch"`, or a number of steps.
        delete_checkpoint: whether the folder is deleted when training ends. If it stays, the same command does nothing
            but to restore the end.
        deterministic: whether to make TensorFlow's operations deterministic, for the whole process
            (`tf.config.experimental.enable_op_determinism`). Those that training uses on CPUs are so without it.
        callbacks: others of the same `fit` whose state is to be kept, such as `keras.callbacks.EarlyStopping`.
            `GAN.fit`, `MetaGAN.fit` and `fine_tune` add their own.

    Raises:
        ValueError: if `save_freq` is neither; when training begins, if the folder is that of another model (names what
            differs).
        OSError: if a state cannot be written, such as on a full disk, with the last good one untouched; or if no state
            in the folder can be read.
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
        """Adds a callback to those whose state is kept."""
        self.callbacks.append(callback)

    # === Keras's events ===

    def on_train_begin(self, logs=None):
        self._epoch = self._steps = self._steps_of_epoch = self._saved_at = 0
        self._logs, self._restored = {}, None
        check_same("backup_dir", self.backup_dir / _DESCRIPTION, self._description())
        self._restored = self._read()
        if self._restored is not None:
            meta = self._restored["meta"]
            self._set_variables()
            # The only way that Keras has to begin at another epoch from within `fit`; `BackupAndRestore` takes it too.
            self.model._initial_epoch = self._epoch = meta["epoch"]
            self._steps = self._saved_at = meta["steps"]

    def on_epoch_begin(self, epoch, logs=None):
        if self._restored is None:
            self._epoch, self._steps_of_epoch = epoch, 0
            if self.save_freq == "epoch" and self._steps > self._saved_at:
                self._save()
            return
        # After the other callbacks have begun training, and before the first step.
        meta = self._restored["meta"]
        self.model.history.history = {name: list(values) for name, values in meta["history"].items()}
        for callback, state in zip(self.callbacks, meta["callbacks"], strict=True):
            set_callback_state(callback, state, self._restored["arrays"])

    def on_train_batch_begin(self, batch, logs=None):
        if self._restored is not None and batch == 0:
            Replay(self.model, self._restored["meta"], self._set_all).begin()
        ...
