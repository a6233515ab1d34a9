"""Keras models whose steps and files are complete or do not happen at all."""

import functools
import pathlib

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.engine.emulated_precision import warn_of_emulation


class SaveableModel(keras.Model):
    """A Keras model whose configuration can be saved, and that refuses file formats that lose a part of it.

    The configuration of a subclass has Python's numbers and lists instead of NumPy's, because JSON cannot store these.

    A step changes nothing before it has its batch. If data of unknown length end, the graph of the next step finds no
    batch and raises an error. Without this class, the counters of metrics, steps and optimizers would already have
    changed, and noise and schedules depend on them.
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
        """Like `keras.Model.save`, to a `.keras` file.

        Raises:
            ValueError: for HDF5, in which Keras can save only functional and sequential models.
        """
        if pathlib.Path(filepath).suffix in (".h5", ".hdf5"):
            raise ValueError(
                f"`filepath` must end with `.keras`: HDF5 files cannot hold a {type(self).__name__}, only its weights; "
                "`save_weights` writes these to a path that ends with `.weights.h5`. "
                f"Received: {str(filepath)!r}"
            )
        return super().save(filepath, *args, **kwargs)


def _with_plain_values(get_config):
    @functools.wraps(get_config)
    def with_plain_values(self):
        return plain_values(get_config(self))

    return with_plain_values


def plain_values(value):
    """A configuration with Python's numbers and lists instead of NumPy's, because JSON cannot store these."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain_values(part) for part in value]
    return {key: plain_values(part) for key, part in value.items()} if isinstance(value, dict) else value
