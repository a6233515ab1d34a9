"""Keras models that train under strategies of several replicas, in one process or on many machines."""

import contextlib

import tensorflow as tf

from metalearn_tf.engine.keras_internals import (
    build_metrics,
    is_multi_worker,
    is_within_fit,
    own_strategy,
    waits_for_metrics,
)
from metalearn_tf.engine.saveable_model import SaveableModel
from metalearn_tf.engine.worker_batches import split_batches


class ReplicatedModel(SaveableModel):
    """A Keras model that splits the batches of `fit` and `evaluate` over the replicas of a `tf.distribute` strategy.

    ```python
    strategy = tf.distribute.MirroredStrategy()  # or mtf.training.multi_worker_strategy()
    with strategy.scope():
        learner = mtf.learners.MAML(network)
        learner.compile("adam")
    learner.fit(tasks, steps_per_epoch=100)
    ```

    A `train_step` is the step of one replica: it applies gradients with `replicas.apply_mean`.

    Keras 3 does not train under `MultiWorkerMirroredStrategy`
    ([keras#20585](https://github.com/keras-team/keras/issues/20585)), because of two methods of its trainer. Only this
    class overrides them. `tests/training/test_keras_workers.py` shows when this is no longer needed.
    """

    def fit(self, x=None, y=None, *args, **kwargs):
        """Like `keras.Model.fit`. With several replicas, `x` must be a `tf.data.Dataset` of whole batches.

        Raises:
            ValueError: if, with several replicas, `x` is not a dataset, or a batch is not a multiple of the replicas.
            RuntimeError: if another worker of the training has stopped.
        """
        if self._replicas > 1:
            x, kwargs["steps_per_epoch"] = self._split("x", x, kwargs.get("steps_per_epoch"))
            if kwargs.get("validation_data") is not None:
                kwargs["validation_data"], kwargs["validation_steps"] = self._split(
                    "validation_data", kwargs["validation_data"], kwargs.get("validation_steps")
                )
        with self._worker_errors():
            return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Like `keras.Model.evaluate`, on the same kind of data as `fit`."""
        if self._replicas > 1 and not is_within_fit(kwargs):
            x, kwargs["steps"] = self._split("x", x, kwargs.get("steps"))
        with self._worker_errors():
            return super().evaluate(x, y, *args, **kwargs)

    @property
    def _replicas(self):
        return self.distribute_strategy.num_replicas_in_sync

    def _split(self, name, data, steps):
        if not isinstance(data, tf.data.Dataset):
            raise ValueError(
                f"`{name}` must be a tf.data.Dataset of whole batches where {self._replicas} replicas train together, "
                f"as `mtf.data.episodes` makes it. Received: {type(data).__name__}"
            )
        batches = int(data.cardinality())
        if steps is None and batches >= 0:
            # The number of steps in a pass over a finite dataset: Keras cannot count the data of a replica.
            data, steps = data.repeat(), batches
        return split_batches(data, self.distribute_strategy), steps

    @contextlib.contextmanager
    def _worker_errors(self):
        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
            if not is_multi_worker(self.distribute_strategy):
                raise
            raise RuntimeError(
                "Another worker of this training is gone, and the others cannot go on without it. Start all of them "
                "again with the same command; with `mtf.training.Resume` in `callbacks` they go on from its last state."
            ) from error

    # === Instead of Keras ===

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras takes the mean of a batch over all workers, and fails to convert it. The worker's own part is enough.
        strategy = own_strategy(self)
        if iterator is None or strategy is None:
            return super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)
        if not waits_for_metrics(self):
            return None
        *_, batches = next(iter(iterator))
        local_results = strategy.experimental_local_results
        batch = tf.nest.map_structure(lambda value: local_results(value)[0], next(batches))
        with strategy.scope():
            build_metrics(self, batch)

    def _make_function(self, step_function):
        # Keras averages the logs of several workers over an axis, but scalars have no axis.
        if not is_multi_worker(self.distribute_strategy):
            return super()._make_function(step_function)

        def with_an_axis(data):
            return tf.nest.map_structure(lambda value: tf.reshape(value, [1]), step_function(data))

        return super()._make_function(with_an_axis)
