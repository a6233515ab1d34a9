"""Restores the weights of the best epoch."""

import keras
import numpy as np


class BestEpoch(keras.callbacks.Callback):
    """Stops training when the validation loss no longer falls, and restores the weights of the best epoch.

    Any epoch may be the best, also the first. (Keras's `EarlyStopping` ignores the epochs before its
    `start_from_epoch`.) Patience is counted from `first_counted` on: layers that are unfrozen then may need some epochs
    before they help.

    Args:
        patience: training stops after this many epochs whose validation loss is not the lowest since `first_counted`.
        first_counted: the first epoch that counts for `patience`, from 0 on.
    """

    is_resumed = True  # by `mtf.training.Resume`, although the user does not name it there

    def __init__(self, patience, first_counted):
        super().__init__()
        self.patience, self.first_counted = patience, first_counted
        self.on_train_begin()

    def on_train_begin(self, logs=None):
        self.best = self.best_counted = np.inf
        self.best_epoch = self.best_weights = None
        self.wait = 0

    def on_epoch_end(self, epoch, logs=None):
        loss = logs["val_loss"]
        if loss < self.best:
            self.best, self.best_epoch, self.best_weights = loss, epoch, self.model.get_weights()
        if epoch < self.first_counted:
            return
        self.wait += 1
        if loss < self.best_counted:
            self.best_counted, self.wait = loss, 0
        if self.wait >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
