"""The base class of callbacks that act every few epochs."""

import keras


class EveryFewEpochs(keras.callbacks.Callback):
    """A callback that acts every `every` epochs, and in the first and the last epoch of each `fit`.

    A subclass sets `every`, and calls `is_due` once at the end of each epoch.
    """

    every = 1
    _is_first = True  # a plain attribute of the callback, so that `mtf.training.Resume` can save it

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._is_first = True

    def is_due(self, epoch):
        """Whether the callback acts in epoch `epoch`, counted from 0."""
        is_due = self._is_first or (epoch + 1) % self.every == 0 or epoch + 1 == self.params.get("epochs")
        self._is_first = False
        return is_due
