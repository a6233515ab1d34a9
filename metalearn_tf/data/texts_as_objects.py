"""Lists of texts as arrays."""

import numpy as np


def texts_as_objects(values):
    """A list with strings in it as an array of objects; anything else as it is.

    Of strings, NumPy would make an array as wide as the longest of them, which takes gigabytes for one long text, and
    of what is missing among them the word "nan" or "None".
    """
    return np.array(values, dtype=object) if isinstance(values, (list, tuple)) and _has_texts(values) else values


def _has_texts(values):
    return any(isinstance(v, (str, bytes)) or (isinstance(v, (list, tuple)) and _has_texts(v)) for v in values)
