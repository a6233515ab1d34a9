"""The weights of the best epoch, whenever it was."""

import keras
import numpy as np


class BestEpoch(keras.callbacks.Callback):
    """Stops training when the validation loss has ceased to fall, and brings the weights of the best epoch back.

    Each epoch may be the best, the first too; Keras's `EarlyStopping` leaves those before its `start_from_epoch` out of
    the comparison. Patience begins with `first_counted`: what is unfrozen then may need some epochs before it helps.

    Args:
        patience: epochs without a lower validation loss than all since `first_counted`, after which training stops.
        first_counted: the first epoch that counts for `patience`, from 0 on.
    """

    is_resumed = True  # by `mtf.training.Resume`, though the user does not name it there

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
