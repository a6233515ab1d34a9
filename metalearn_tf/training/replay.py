"""The way back to a place in the data."""

import tensorflow as tf


class Replay:
    """Brings `fit` to a step in the middle of its data, without the steps before it.

    It stands in for a model's `train_function` in the first epoch of a training, to look at the first batch. In one
    that goes on, batches that were used before are drawn and dropped; steps of the epoch that were made before are not
    made again, and give the logs that they ended with.

    Args:
        model: a `keras.Model` within `fit`, whose `train_function` is made.
        steps: batches that were used in all, those of this epoch included.
        steps_of_epoch: those of this epoch alone.
        logs: what the last of them returned.
        restore: function without arguments that sets all variables to what they were then, metrics too.
        look: function that is given the first batch before any step.
    """

    def __init__(self, model, steps, steps_of_epoch, logs, restore, look):
        self._model = model
        self._function = model.train_function
        self._steps_before = steps - steps_of_epoch
        self._left = steps_of_epoch
        self._logs = logs
        self._restore = restore
        self._look = look
        self._has_metrics = False

    def __call__(self, iterator):
        batches = iterator  # of this step
        # The iterators of several workers have a part of each batch.
        if self._look is not None and isinstance(iterator, tf.data.Iterator) and self._model.steps_per_execution == 1:
            first = next(iterator)
            self._look(first)
            batches = _alone(first, iterator.element_spec)
        self._look = None
        place = _place(iterator, self._steps_before)
        if place:
            _draw(iterator, place - (batches is not iterator))
            batches = iterator
        self._steps_before = 0
        if self._left <= 0:
            self._model.train_function = self._function
            return self._function(batches)
        self._left -= self._model.steps_per_execution
        if self._has_metrics:
            _draw(iterator, self._model.steps_per_execution)
        else:
            # Keras makes the variables of the metrics in a step; all else that it does is undone.
            self._function(batches)
            self._restore()
            self._has_metrics = True
        return self._logs


def _alone(batch, element_spec):
    """An iterator over one batch that looks to a traced function as that from which it was drawn."""
    return iter(tf.data.Dataset.from_generator(lambda: [batch], output_signature=element_spec))


def _draw(iterator, batches):
    for _ in range(batches):
        next(iterator)


def _place(iterator, steps):
    """Where in its data an iterator is after so many steps: behind how many batches."""
    dataset = getattr(iterator, "_dataset", None)  # which the iterators of several workers do not have
    batches = tf.data.INFINITE_CARDINALITY if dataset is None else int(dataset.cardinality())
    return steps % batches if batches > 0 else steps
