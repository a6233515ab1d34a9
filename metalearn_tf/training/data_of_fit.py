"""The callbacks and the data of a `fit` that is running, and the way to a place in these."""

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
    """The batches that a running `keras.Model.fit` is about to draw, to be made from a callback's `on_train_begin`.

    Keras keeps them in a local variable of `fit`, its `EpochIterator`. That knows how each kind of data begins an epoch
    and ends it (arrays, datasets, generators, a `PyDataset` with its own `on_epoch_end`), so that old epochs are passed
    over as they were drawn, and `fit` then begins at the step after the last one that was made: no callback sees a step
    twice, and nothing is left behind when it is interrupted.

    Raises:
        RuntimeError: where no `fit` is running.
    """

    def __init__(self):
        iterator = _epoch_iterator()
        # Not held, so that it ends with `fit`, however that ends.
        self.iterator = weakref.proxy(iterator)
        self._epoch = functools.partial(steps_of_epoch(iterator), self.iterator)
        self._old_steps, self._drawn = 0, 0
        self._look = self._draw = None

    def when_over(self, function):
        """Has a function called when `fit` is over, and its variables are gone, also by an interruption."""
        weakref.finalize(_epoch_iterator(), function)

    def look_first(self, look):
        """Has a function called with the first batch, before the step or whatever else becomes of it.

        Args:
            look: of the batch, a nested structure of tensors, and of whether no other can be the first one. It returns
                whether it is the one that is expected; if not, it is called again with that of the next pass.
        """
        self._look, self._passes = look, self._possible_passes()
        replace_steps(self.iterator, self._steps)

    def pass_over(self, epochs, steps, draw):
        """Passes over whole epochs, and has the next one begin behind so many steps.

        Args:
            epochs: how many are passed over, at once.
            steps: of the epoch after them, that were made.
            draw: function of an iterator over the batches of the last of these steps, which it must draw.

        Returns:
            How many batches the whole epochs had.
        """
        replace_steps(self.iterator, self._steps)
        for _ in range(epochs):
            with self.iterator.catch_stop_iteration():
                for begin, end, batches in self.iterator:
                    self._pass(batches, end + 1 - begin)
        self._old_steps, self._draw = steps, draw
        return self._drawn

    def first_batches(self):
        """What may be the first batch, of data that will not be used otherwise; none under several replicas."""
        for _ in range(self._possible_passes()):
            *_, batches = next(iter(self.iterator))
            if isinstance(batches, tf.data.Iterator):
                yield from itertools.islice(batches, 1)
            self.iterator.reset()

    def examples(self):
        """A name for all examples of data that are arrays; `None` of others."""
        parts = tf.nest.flatten(arrays_of(self.iterator))
        if not all(part is None or isinstance(part, np.ndarray | tf.Tensor) for part in parts):
            return None
        parts = [np.asarray(part) for part in parts if part is not None]
        return fingerprint(*parts) if parts else None

    def _steps(self):
        """Keras's steps of an epoch, of which those that were made are drawn without being given to `fit`."""
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
            # One step takes as many as `steps_per_execution`.
            drawn = list(itertools.islice(batches, end + 1 - begin))
            self._passes -= 1
            if drawn and not self._look(drawn[0], self._passes == 0) and self._passes:
                begin_again(self.iterator)
                yield from self._with_look()
                return
            self._look = None
            yield begin, end, _given_back(drawn, batches.element_spec) if drawn else batches

    def _possible_passes(self):
        # A dataset that is shuffled anew in each pass has one pass less behind it where Keras has built the model
        # before, as in a session in which the training was interrupted.
        return 2 if is_of_dataset(self.iterator) else 1

    def _pass(self, batches, count):
        for _ in range(count):
            next(batches)
            self._drawn += 1


def too_few(received):
    """The error of data that have less than the training has used of them."""
    return (
        "The data of `fit` must begin anew when a training goes on, since what was used of them is passed over: make a "
        f"generator anew for each call. Received: {received} that were used before"
    )


def _given_back(batches, element_spec):
    """An iterator over batches that looks to a traced function as that from which they were drawn."""
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
        RuntimeError: where none is.
    """
    return _of_fit(callback_list()).callbacks


def _epoch_iterator():
    return _of_fit(epoch_iterator())


def _of_fit(found):
    if found is None:
        raise RuntimeError("`Resume` must be among the `callbacks` of `keras.Model.fit`, which is not running.")
    return found
