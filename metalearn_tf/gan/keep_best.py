"""What keeps the best weights of a training that may diverge."""

import logging

import keras
import numpy as np


class KeepBest(keras.callbacks.Callback):
    """Stops training that diverges, and brings the best weights back.

    `GAN.fit` and `MetaGAN.fit` add it to their callbacks.

    Args:
        monitor: a name in the logs of an epoch; `None` keeps the last epoch's weights for the case of divergence only.
        mode: `"min"` or `"max"`.

    Raises:
        FloatingPointError: when a loss is not finite, after the weights and optimizers have been set to the best ones.
        ValueError: if there is no `monitor` in the logs.
    """

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
            return self._keep()
        if self.monitor not in logs:
            raise ValueError(
                f"`monitor` must be among the logs of an epoch, {sorted(logs)}; "
                f"`mtf.evaluation.GenerativeScores` in `callbacks` adds scores. Received: {self.monitor!r}"
            )
        if self.sign * logs[self.monitor] < self.best:
            self.best, self.best_epoch = self.sign * logs[self.monitor], epoch
            self._keep()

    def on_train_end(self, logs=None):
        if self.monitor is not None and self.best_epoch is not None:
            self._restore()
            # Keras has done so at the end of training, with the weights of the last epoch.
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
