"""The base class of GAN and MetaGAN: a Keras model with several losses and optimizers that keeps its best weights."""

import types

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.batches import check_has_end
from metalearn_tf.engine.array_batches import fit_arguments
from metalearn_tf.engine.callback_list import callback_list
from metalearn_tf.engine.keras_internals import is_within_fit
from metalearn_tf.engine.replicated_model import ReplicatedModel
from metalearn_tf.gan.gan_checks import check_monitor
from metalearn_tf.gan.keep_best import KeepBest, check_is_logged
from metalearn_tf.gan.keras_options import check_compile_options, check_data_options


class AdversarialModel(ReplicatedModel):
    """A Keras model that tracks losses by name and keeps its best weights.

    Its variable `steps` counts the training steps, also those that only accumulate gradients. The noise of a step
    depends on this number. A file of the model contains it.

    Args:
        losses: names of the losses, in the order of the arguments of `track`.
        network_dtype: the dtype of the weights; only the networks may compute in mixed precision.
        dtype: `None`, or the same dtype.
        **kwargs: as in Keras.
    """

    def __init__(self, losses, network_dtype, dtype=None, **kwargs):
        if dtype is not None and keras.dtype_policies.get(dtype).name != network_dtype:
            raise ValueError(
                f"`dtype` must be None, or {network_dtype!r} as the weights of the networks are; their layers say in "
                f"what precision they compute. Received: dtype={dtype!r}"
            )
        super().__init__(autocast=False, dtype=network_dtype, **kwargs)
        self._trackers = [keras.metrics.Mean(name) for name in losses]
        self._optimizer_names = []
        self.steps = self.add_state("steps", np.int64(0))

    def add_state(self, name, value):
        """Adds a variable to the model itself, not to its networks. Its initial value is an array."""
        value = np.asarray(value)
        return self.add_weight(
            name=name,
            shape=value.shape,
            dtype=value.dtype.name,
            initializer=lambda shape, dtype: tf.constant(value, dtype),
            trainable=False,
            aggregation="only_first_replica",
        )

    def compile_players(self, optimizer, optimizers, monitor, mode, options):
        """Compiles with optimizers by their argument names, and with the one optimizer that Keras sees."""
        check_compile_options(options, list(optimizers))
        self.monitor, self.mode = check_monitor(monitor, mode)
        self._optimizer_names = list(optimizers)
        for name, each in optimizers.items():
            setattr(self, name, each)
        keras.Model.compile(self, **{"jit_compile": False, **options, "optimizer": optimizer})

    @property
    def optimizers(self):
        """The optimizers, by their argument names in `compile`."""
        return {name: getattr(self, name) for name in self._optimizer_names}

    def get_compile_config(self):
        if not self.compiled:
            return None
        options = {name: getattr(self, name) for name in ("run_eagerly", "steps_per_execution", "jit_compile")}
        return keras.saving.serialize_keras_object(
            {**self.optimizers, "monitor": self.monitor, "mode": self.mode, **options}
        )

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self):
        return self._trackers

    def track(self, examples, *losses):
        """Adds the mean losses of a batch, float32 scalars, to those of the epoch, and returns the logs of a step.

        Args:
            examples: tensor `(n, …)`; `n` is the batch's weight, as in Keras.
            *losses: in the order of the names `losses`.
        """
        for tracker, value in zip(self._trackers, losses, strict=True):
            tracker.update_state(value, sample_weight=tf.shape(examples)[0])
        return {tracker.name: tracker.result() for tracker in self._trackers}

    # === Checks that a subclass defines ===

    def check_data(self, x, y, argument="x"):
        """Refuses data that do not fit the networks.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            argument: name of the argument, for the errors.

        Returns:
            `x` and `y` as Keras takes them.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `check_data`.")

    def check_inputs(self, x):
        """Checks inputs of `call`, as arrays or in batches, and returns them as Keras takes them."""
        raise NotImplementedError(f"{type(self).__name__} must define `check_inputs`.")

    # === Keras ===

    def kept_in_traces(self):
        """Everything in a step's trace that may change between two calls of `fit`, as a value that compares by `==`."""
        return None

    def make_train_function(self, force=False):
        kept = self.kept_in_traces()
        super().make_train_function(force or getattr(self.train_function, "kept", kept) != kept)
        self.train_function.kept = kept

    def make_test_function(self, force=False):
        kept = self.kept_in_traces()
        super().make_test_function(force or getattr(self.test_function, "kept", kept) != kept)
        self.test_function.kept = kept

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, **kwargs):
        """Like `keras.Model.fit`; it checks the first batch before any work.

        Args:
            x: see the class.
            y: see the class.
            batch_size: as in Keras.
            epochs: as in Keras.
            verbose: as in Keras.
            callbacks: as in Keras.
            **kwargs: as in Keras, except weights of examples and classes.

        Returns:
            A `keras.callbacks.History`.
        """
        check_data_options(kwargs, "fit")
        x, y = self.check_data(x, y)
        if isinstance(x, types.GeneratorType):
            kwargs.setdefault("shuffle", False)  # Keras warns of its own default, which a generator cannot follow
        check_has_end("x", x, "steps_per_epoch", kwargs.get("steps_per_epoch"))
        if kwargs.get("validation_data") is not None:
            validation = kwargs["validation_data"] = self._validation_data(kwargs["validation_data"])
            check_has_end("validation_data", validation, "validation_steps", kwargs.get("validation_steps"))
            kwargs.setdefault("validation_batch_size", batch_size)
        callbacks = callback_list(callbacks)
        if self.compiled:
            is_validated = bool(kwargs.get("validation_data") is not None or kwargs.get("validation_split"))
            check_is_logged(self.monitor, [tracker.name for tracker in self._trackers], callbacks, is_validated)
            callbacks.append(KeepBest(self.monitor, self.mode))
        options = {"batch_size": batch_size, "epochs": epochs, "verbose": verbose, "callbacks": callbacks, **kwargs}
        return super().fit(**fit_arguments(x, y, options, self.steps_per_execution))

    def _validation_data(self, data):
        if not isinstance(data, (tuple, list)):
            return self.check_data(data, None, "validation_data")[0]
        if len(data) > 2 and any(part is not None for part in data[2:]):
            raise ValueError(
                "`validation_data` must be images, or images and labels: a GAN takes no weights. "
                f"Received: {len(data)} parts"
            )
        x, y = self.check_data(data[0], data[1] if len(data) > 1 else None, "validation_data")
        return (x,) if y is None else (x, y)

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, steps=None, callbacks=None, **kwargs
    ):
        """Like `keras.Model.evaluate`, without weights; it checks the first batch before any work."""
        if not is_within_fit(kwargs):  # `fit` has checked its validation data once for all epochs
            check_data_options({"sample_weight": sample_weight}, "evaluate")
            x, y = self.check_data(x, y)
            check_has_end("x", x, "steps", steps)
        options = {"batch_size": batch_size, "verbose": verbose, "steps": steps, "callbacks": callbacks, **kwargs}
        return super().evaluate(x, y, **options)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Like `keras.Model.predict`; it checks the first batch before any work."""
        x = self.check_inputs(x)
        check_has_end("x", x, "steps", steps)
        return super().predict(x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks)

    def predict_on_batch(self, x):
        """Like `keras.Model.predict_on_batch`; it checks the inputs before any work."""
        return super().predict_on_batch(self.check_inputs(x))

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Like `keras.Model.train_on_batch`, without weights."""
        check_data_options({"sample_weight": sample_weight, "class_weight": class_weight}, "train_on_batch")
        return super().train_on_batch(*self.check_data(x, y), return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Like `keras.Model.test_on_batch`, without weights."""
        check_data_options({"sample_weight": sample_weight}, "test_on_batch")
        return super().test_on_batch(*self.check_data(x, y), return_dict=return_dict)
