"""What is used of a `fit` that is running, whose data Keras shows to nobody. See `keras_internals`."""

import inspect

import keras

from metalearn_tf.engine.private_names import owners_of

_EPOCH_ITERATOR = "keras.src.trainers.epoch_iterator.EpochIterator"
_DATASET_ADAPTER = "keras.src.trainers.data_adapters.tf_dataset_adapter.TFDatasetAdapter"

_OWNERS = owners_of(
    {
        _EPOCH_ITERATOR: (
            *("_enumerate_iterator", "_current_iterator", "_steps_seen"),
            *("data_adapter", "catch_stop_iteration", "reset"),
        ),
        _DATASET_ADAPTER: (),
        "keras.src.trainers.data_adapters.array_data_adapter.ArrayDataAdapter": ("_inputs",),
    }
)


def epoch_iterator():
    """Keras's iterator over the data of the `fit` that is running, or `None`.

    It is a local variable of `fit`. Callbacks, from which this is called, are given none of the data.
    """
    return _variable_of_fit(_OWNERS[_EPOCH_ITERATOR])


def callback_list():
    """The `keras.callbacks.CallbackList` of the `fit` that is running, or `None`; a callback knows itself alone."""
    return _variable_of_fit(keras.callbacks.CallbackList)


def _variable_of_fit(kind):
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "fit":
            for value in frame.f_locals.values():
                if isinstance(value, kind):
                    return value
        frame = frame.f_back
    return None


def steps_of_epoch(iterator):
    """Keras's function that makes the steps of an epoch: an iterable of first and last step and their batches."""
    return type(iterator)._enumerate_iterator


def replace_steps(iterator, steps):
    """Has a `fit` take the steps of its epochs from a function of ours, which may pass over some of them.

    The public `initial_epoch` knows whole epochs alone.
    """
    iterator._enumerate_iterator = steps


def begin_again(iterator):
    """Has the next step of an iterator be the first one of a new pass; its public `reset` makes its dataset anew."""
    iterator._current_iterator, iterator._steps_seen = None, 0


def arrays_of(iterator):
    """The arrays or tensors that a `fit` was given, nested; `None` of other data. They are kept nowhere else."""
    return getattr(iterator.data_adapter, "_inputs", None)


def is_of_dataset(iterator):
    """Whether a `fit` was given a `tf.data.Dataset`; see `arrays_of`."""
    return isinstance(iterator.data_adapter, _OWNERS[_DATASET_ADAPTER])
