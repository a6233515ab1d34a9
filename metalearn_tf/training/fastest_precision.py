"""The precision in which a machine computes fastest."""

import tensorflow as tf

from metalearn_tf.engine.processor import has_bfloat16


def fastest_precision():
    """The Keras policy that trains fastest on this machine's GPU, or on its processor if there is no GPU.

    ```python
    keras.mixed_precision.set_global_policy(mtf.training.fastest_precision())
    ```

    Returns:
        It is `"mixed_bfloat16"` if the hardware computes it: TPUs, NVIDIA GPUs from compute capability 8.0, and
        processors with AVX-512 BF16, AMX or ARM's BF16. `"mixed_float16"` for GPUs from 7.0, where Keras scales the
        losses. Otherwise it is `"float32"`: other processors emulate the narrow types, which can take a hundred times
        as long.
    """
    if tf.config.list_physical_devices("TPU"):
        return "mixed_bfloat16"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = min(_compute_capability(gpu) for gpu in gpus)
        return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16" if capability >= (7, 0) else "float32"
    return "mixed_bfloat16" if has_bfloat16() else "float32"


def _compute_capability(gpu):
    """A pair such as `(8, 6)`; `(0, 0)` for GPUs that do not report it."""
    return tf.config.experimental.get_device_details(gpu).get("compute_capability") or (0, 0)
