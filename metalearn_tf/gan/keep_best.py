"""Keeps the best weights of a training that may diverge."""

import logging

import keras
import numpy as np


def check_is_logged(monitor, losses, callbacks, is_validated):
    """Refuses, before the first epoch, the name of a log that no epoch will have.

    Args:
        monitor: as in `KeepBest`.
        losses: names of the losses in the logs.
        callbacks: list of the callbacks of `fit`. The user's own callbacks may add logs with any name.
        is_validated: whether there are validation data.

    Raises:
        ValueError: if it is not one of the losses, and no callback adds it.
    """
    names = [*losses, *(f"val_{name}" for name in losses if is_validated)]
    names += [name for callback in callbacks for name in getattr(callback, "log_names", ())]
    is_free = any(_may_add_any_log(callback) for callback in callbacks) or str(monitor).startswith("learning_rate")
    if monitor is not None and monitor not in names and not is_free:
        raise ValueError(_not_logged(monitor, names))


def _may_add_any_log(callback):
    is_known = type(callback).__module__.startswith(("keras.", "metalearn_tf."))
    return not is_known or isinstance(callback, keras.callbacks.LambdaCallback)


def _not_logged(monitor, names):
    return (
        f"`monitor` must be among the logs of an epoch, {sorted(names)}; `mtf.evaluation.GenerativeScores` in "
        f"`callbacks` adds scores, and `validation_data` losses that begin with 'val_'. Received: {monitor!r}"
    )


class KeepBest(keras.callbacks.Callback):
    """Stops a training that diverges, and restores the best weights.

    `GAN.fit` and `MetaGAN.fit` add it to their callbacks.

    Args:
        monitor: a name in the logs of an epoch; `None` keeps the weights of the last epoch, only for divergence.
        mode: `"min"` or `"max"`.

    Raises:
        FloatingPointError: when a loss is not finite, after restoring the best weights and optimizers.
        ValueError: if `monitor` is not in the logs.
    """

    is_resumed = True  # `mtf.training.Resume` saves it, although the user does not name it there

    def __init__(self, monitor=None, mode="min"):
        super().__init__()
        self.monitor = monitor
        self.sign = 1.0 if mode == "min" else -1.0

    def on_train_begin(self, logs=None):
        self.best, self.best_epoch = np.inf, None
        self._keep()

    def on_train_batch_end(self, batch, logs=None):
        self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs)
        if self.monitor is None:
            self.best_epoch = epoch
            self._keep()
            return None
        if self.monitor not in logs:
            if self.monitor.startswith("val_"):  # not each epoch ends with a validation
                return None
            raise ValueError(_not_logged(self.monitor, logs))
        if self.sign * logs[self.monitor] < self.best:
            self.best, self.best_epoch = self.sign * logs[self.monitor], epoch
            self._keep()
        return None

    def on_train_end(self, logs=None):
        if self.monitor is not None and self.best_epoch is not None:
            self._restore()
            # Keras did the same at the end of training, with the weights of the last epoch.
            self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
            logging.getLogger(__name__).info(
                "The weights are those of epoch %d, with %s %g.",
                self.best_epoch + 1,
                self.monitor,
                self.sign * self.best,
            )

    def _check(self, logs):
        losses = {name: value for name, value in (logs or {}).items() if name.endswith("loss")}
        if np.all(np.isfinite(list(losses.values()))):
            return
        step = int(self.model.steps)
        self._restore()
        kept = "before this training" if self.best_epoch is None else f"of epoch {self.best_epoch + 1}"
        raise FloatingPointError(
            f"Training diverged at step {step}; the weights and optimizers are again those {kept}. "
            f"Lower learning rates, `penalty` or another `loss` help. Received: {losses}"
        )

    def _variables(self):
        optimizers = self.model.optimizers.values()
        variables = [*self.model.variables, *(v for optimizer in optimizers for v in optimizer.variables)]
        return {id(variable): variable for variable in variables}.values()

    def _keep(self):
        self.kept = [np.asarray(variable) for variable in self._variables()]

    def _restore(self):
        for variable, value in zip(self._variables(), self.kept):
            variable.assign(value)
