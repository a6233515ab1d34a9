"""Access to a running `fit`, whose data Keras does not make public. See `keras_internals`."""

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

    It is a local variable of `fit`. Callbacks call this function, because Keras gives them no data.
    """
    return _variable_of_fit(_OWNERS[_EPOCH_ITERATOR])


def callback_list():
    """The `keras.callbacks.CallbackList` of the running `fit`, or `None`. A callback does not know the others."""
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
    """Keras's function that makes the steps of an epoch: an iterable of first step, last step and their batches."""
    return type(iterator)._enumerate_iterator


def replace_steps(iterator, steps):
    """Makes a `fit` take the steps of its epochs from our function, which may skip some of them.

    The public `initial_epoch` can only skip whole epochs.
    """
    iterator._enumerate_iterator = steps


def begin_again(iterator):
    """Makes the next step of an iterator the first one of a new pass. The public `reset` also makes a new dataset."""
    iterator._current_iterator, iterator._steps_seen = None, 0


def arrays_of(iterator):
    """The arrays or tensors of a `fit`, nested; `None` for other data. Keras keeps them nowhere else."""
    return getattr(iterator.data_adapter, "_inputs", None)


def is_of_dataset(iterator):
    """Whether the data of a `fit` are a `tf.data.Dataset`; see `arrays_of`."""
    return isinstance(iterator.data_adapter, _OWNERS[_DATASET_ADAPTER])
