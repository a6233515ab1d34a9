"""What GAN and MetaGAN share as Keras models: several losses, several optimizers, and the best weights kept."""

import keras

from metalearn_tf.data.array_batches import fit_arguments
from metalearn_tf.gan.gan_checks import check_monitor
from metalearn_tf.gan.keep_best import KeepBest
from metalearn_tf.networks.loss_scaling import with_loss_scaling
from metalearn_tf.networks.replicated_model import ReplicatedModel


class AdversarialModel(ReplicatedModel):
    """A Keras model that tracks losses by name and keeps its best weights.

    Args:
        losses: names of what `track` is given, in its order.
        dtype: of the weights; the networks alone may compute in a mixed precision.
        **kwargs: as in Keras.
    """

    def __init__(self, losses, dtype, **kwargs):
        super().__init__(autocast=False, dtype=dtype, **kwargs)
        self._trackers = [keras.metrics.Mean(name) for name in losses]
        self._optimizer_names = []

    def compile_players(self, optimizers, monitor, mode, **kwargs):
        """`compile` with optimizers by their names as its arguments; the first is Keras's `optimizer`."""
        self.monitor, self.mode = check_monitor(monitor, mode)
        self._optimizer_names = list(optimizers)
        for name, optimizer in optimizers.items():
            setattr(self, name, optimizer)
        first = next(iter(optimizers.values()))
        keras.Model.compile(self, **{"optimizer": first, "jit_compile": False, **kwargs})

    @property
    def optimizers(self):
        """The optimizers by the names that `compile` has for them."""
        return {name: getattr(self, name) for name in self._optimizer_names}

    def get_compile_config(self):
        if not self.compiled:
            return None
        return keras.saving.serialize_keras_object({**self.optimizers, "monitor": self.monitor, "mode": self.mode})

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self):
        return self._trackers

    def track(self, *losses):
        """Adds float32 scalars to the running means, and returns the logs of a step."""
        for tracker, value in zip(self._trackers, losses, strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self._trackers}

    def fit_and_keep_best(self, x, y=None, callbacks=None, **kwargs):
        """`keras.Model.fit` with `KeepBest` behind the other callbacks."""
        keep_best = KeepBest(self.monitor, self.mode)
        for callback in callbacks or []:
            if hasattr(callback, "keep_state_of"):  # `mtf.training.Resume`
                callback.keep_state_of(keep_best)
        return ReplicatedModel.fit(self, **fit_arguments(x, y, kwargs), callbacks=[*(callbacks or []), keep_best])


def make_optimizer(optimizer, network):
    """A player's optimizer, that of DCGAN for `None`; with loss scaling where its network computes in float16."""
    return with_loss_scaling(keras.optimizers.Adam(2e-4, beta_1=0.5) if optimizer is None else optimizer, network)
