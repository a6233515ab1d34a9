"""Keras models that are saved whole, or not at all."""

import functools
import pathlib

import numpy as np

from metalearn_tf.engine.whole_steps import WholeSteps


class SaveableModel(WholeSteps):
    """A Keras model whose configuration can be written to a file, and that refuses files which lose a part of it.

    The configuration of a subclass, whatever its `get_config` returns, has Python's numbers and lists in place of
    NumPy's, which JSON does not hold.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "get_config" in vars(cls):
            cls.get_config = _with_plain_values(cls.get_config)

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
