"""Keras models that make their steps whole and are saved whole, or not at all."""

import functools
import pathlib

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.engine.emulated_precision import warn_of_emulation


class SaveableModel(keras.Model):
    """A Keras model whose configuration can be written to a file, and that refuses files which lose a part of it.

    The configuration of a subclass, whatever its `get_config` returns, has Python's numbers and lists in place of
    NumPy's, which JSON does not hold.

    Nothing happens in its steps before their batch is there. The end of data of an unknown length is an error inside
    the graph of the step that finds no batch. Until then, what needs no data would have run: counters of metrics, steps
    and optimizers, on which noise and schedules depend.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "get_config" in vars(cls):
            cls.get_config = _with_plain_values(cls.get_config)

    def _make_function(self, step_function):
        warn_of_emulation(self)

        def after_its_batch(data):
            parts = tf.nest.flatten(data, expand_composites=True)
            with tf.control_dependencies([part for part in parts if tf.is_tensor(part)]):
                return step_function(data)

        return super()._make_function(after_its_batch)

    def save(self, filepath, *args, **kwargs):
        """As `keras.Model.save`, to a `.keras` file.

        Raises:
            ValueError: for HDF5: Keras saves functional and sequential models there, and only the weights of others.
        """
        if pathlib.Path(filepath).suffix in (".h5", ".hdf5"):
            raise ValueError(
                f"`filepath` must end with `.keras`: HDF5 files cannot hold a {type(self).__name__}, but for its "
                "weights, by `save_weights` to a path that ends with `.weights.h5`. "
                f"Received: {str(filepath)!r}"
            )
        return super().save(filepath, *args, **kwargs)


def _with_plain_values(get_config):
    @functools.wraps(get_config)
    def with_plain_values(self):
        return plain_values(get_config(self))

    return with_plain_values


def plain_values(value):
    """A configuration with Python's numbers and lists in place of NumPy's, which JSON does not hold."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain_values(part) for part in value]
    return {key: plain_values(part) for key, part in value.items()} if isinstance(value, dict) else value
