"""The callbacks and the data of a running `fit`, and how to move to a place in the data."""

import functools
import itertools
import weakref

import numpy as np
import tensorflow as tf

from metalearn_tf.engine.fit_internals import (
    arrays_of,
    begin_again,
    callback_list,
    epoch_iterator,
    is_of_dataset,
    replace_steps,
    steps_of_epoch,
)
from metalearn_tf.files.fingerprint import fingerprint


class DataOfFit:
    """The batches that a running `keras.Model.fit` will draw. Make it in a callback's `on_train_begin`.

    Keras keeps them in a local variable of `fit`, its `EpochIterator`. It knows how each kind of data begins and ends
    an epoch (arrays, datasets, generators, a `PyDataset` with its own `on_epoch_end`). So old epochs are skipped in the
    way in which they were drawn, and `fit` then begins at the step after the last completed one. No callback sees a
    step twice, and an interruption leaves nothing behind.

    Raises:
        RuntimeError: if no `fit` is running.
    """

    def __init__(self):
        iterator = _epoch_iterator()
        # A weak reference, so that the object ends with `fit`, however `fit` ends.
        self.iterator = weakref.proxy(iterator)
        self._epoch = functools.partial(steps_of_epoch(iterator), self.iterator)
        self._old_steps, self._drawn = 0, 0
        self._look = self._draw = None

    def when_over(self, function):
        """Registers a function to be called when `fit` has ended and its variables are gone, however it ended."""
        weakref.finalize(_epoch_iterator(), function)

    def look_first(self, look):
        """Registers a function to be called with the first batch, before the batch is used.

        Args:
            look: function of the batch, a nested structure of tensors, and of a flag that says that no other batch can
                be the first one. It returns whether this is the expected batch. If not, it is called again with the
                first batch of the next pass.
        """
        self._look, self._passes = look, self._possible_passes()
        replace_steps(self.iterator, self._steps)

    def pass_over(self, epochs, steps, draw):
        """Skips whole epochs, and lets the next epoch begin after a number of steps.

        Args:
            epochs: the number of epochs to skip, at once.
            steps: the number of completed steps in the epoch after them.
            draw: function that gets an iterator over the batches of the last of these steps, and must draw them.

        Returns:
            The number of batches in the whole epochs.
        """
        replace_steps(self.iterator, self._steps)
        for _ in range(epochs):
            with self.iterator.catch_stop_iteration():
                for begin, end, batches in self.iterator:
                    self._pass(batches, end + 1 - begin)
        self._old_steps, self._draw = steps, draw
        return self._drawn

    def first_batches(self):
        """The batches that may be the first one, for data that are not used otherwise; none with several replicas."""
        for _ in range(self._possible_passes()):
            *_, batches = next(iter(self.iterator))
            if isinstance(batches, tf.data.Iterator):
                yield from itertools.islice(batches, 1)
            self.iterator.reset()

    def examples(self):
        """A fingerprint of all examples, for data that are arrays; `None` for other data."""
        parts = tf.nest.flatten(arrays_of(self.iterator))
        if not all(part is None or isinstance(part, np.ndarray | tf.Tensor) for part in parts):
            return None
        parts = [np.asarray(part) for part in parts if part is not None]
        return fingerprint(*parts) if parts else None

    def _steps(self):
        """Keras's steps of an epoch. Completed steps are drawn but not given to `fit`."""
        old, self._old_steps = self._old_steps, 0
        for begin, end, batches in self._with_look():
            if end >= old:
                yield begin, end, batches
                continue
            try:
                if end + 1 < old:
                    self._pass(batches, end + 1 - begin)
                else:
                    self._draw(batches)
            except (StopIteration, tf.errors.OutOfRangeError) as error:
                raise ValueError(too_few(f"an epoch of fewer than the {old} batches")) from error

    def _with_look(self):
        for begin, end, batches in self._epoch():
            if self._look is None or not isinstance(batches, tf.data.Iterator):
                yield begin, end, batches
                continue
            # One step takes `steps_per_execution` batches.
            drawn = list(itertools.islice(batches, end + 1 - begin))
            self._passes -= 1
            if drawn and not self._look(drawn[0], self._passes == 0) and self._passes:
                begin_again(self.iterator)
                yield from self._with_look()
                return
            self._look = None
            yield begin, end, _given_back(drawn, batches.element_spec) if drawn else batches

    def _possible_passes(self):
        # Keras draws one more pass if it still has to build the model. In a session in which the training was
        # interrupted, the model is built already, so a dataset that is reshuffled in each pass is one pass behind.
        return 2 if is_of_dataset(self.iterator) else 1

    def _pass(self, batches, count):
        for _ in range(count):
            next(batches)
            self._drawn += 1


def too_few(received):
    """The error message for data that have fewer batches than the training has used."""
    return (
        "The data of `fit` must begin anew when a training continues, because used batches are skipped: make a "
        f"generator anew for each call. Received: {received} that were used before"
    )


def _given_back(batches, element_spec):
    """An iterator over batches that, to a traced function, looks like the original iterator."""
    datasets = [
        tf.data.experimental.from_variant(
            tf.data.experimental.to_variant(tf.data.Dataset.from_tensors(batch)), element_spec
        )
        for batch in batches
    ]
    return iter(functools.reduce(lambda one, other: one.concatenate(other), datasets))


def callbacks_of_fit():
    """All callbacks of the `keras.Model.fit` that is running, in their order.

    Raises:
        RuntimeError: if none is running.
    """
    return _of_fit(callback_list()).callbacks


def _epoch_iterator():
    return _of_fit(epoch_iterator())


def _of_fit(found):
    if found is None:
        raise RuntimeError("`Resume` must be among the `callbacks` of `keras.Model.fit`, which is not running.")
    return found
