"""A warning about dtypes that the processor only emulates."""

import functools
import warnings

import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers
from metalearn_tf.engine.processor import has_bfloat16


def warn_of_emulation(model):
    """Warns, once per process, if a model computes in bfloat16 on a processor that only emulates it."""
    if any(layer.compute_dtype == "bfloat16" for layer in flat_layers(model)) and _is_emulated():
        _warn()


@functools.cache
def _is_emulated():
    accelerators = [kind for kind in ("GPU", "TPU") if tf.config.list_physical_devices(kind)]
    return not accelerators and not has_bfloat16()


@functools.cache
def _warn():
    warnings.warn(
        "This processor has no bfloat16: it is emulated, which can take a hundred times as long as float32. Use "
        "`keras.mixed_precision.set_global_policy(mtf.training.fastest_precision())` before the network is built.",
        stacklevel=2,
    )
