"""The dtypes of the kinds of examples that networks take."""

import tensorflow as tf


def check_dtype(argument, dtype, kind, limits=None):
    """Refuses a wrong dtype. A cast to the network's dtype would not give the values that it was trained on.

    Args:
        argument: the name in error messages.
        dtype: a dtype of NumPy or TensorFlow, or its name.
        kind: `"texts"`; `"integers"`; `"pixels"`, which are floating, or uint8 that is scaled to the same range; or
            `"numbers"`, which are floating.
        limits: lowest and highest value of a floating pixel, for the message; `None` for any.

    Raises:
        ValueError: if the dtype is of another kind; says how to convert integers.
    """
    dtype = tf.as_dtype(dtype)
    fix = ""
    if kind == "texts":
        accepted, fits = "strings, which the network takes", dtype == tf.string
    elif kind == "integers":
        accepted, fits = "integers, which the network takes", dtype.is_integer
    elif kind == "pixels":
        accepted, fits = "uint8, or floating", dtype.is_floating or dtype == tf.uint8
        accepted += "" if limits is None else f" in [{limits[0]:g}, {limits[1]:g}]"
        fix = "; `images.astype('uint8')` makes pixels of integers from 0 to 255" if dtype.is_integer else ""
    else:
        accepted, fits = "floating", dtype.is_floating
        fix = "; `x.astype('float32')` makes numbers of integers" if dtype.is_integer else ""
    if not fits:
        raise ValueError(f"`{argument}` must be {accepted}{fix}. Received: dtype={dtype.name}")
