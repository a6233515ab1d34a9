"""Lists of texts as arrays."""

import numpy as np


def texts_as_objects(values):
    """A list of strings as an array of objects; anything else as it is.

    Of strings, NumPy would make an array as wide as the longest of them, which takes gigabytes for one long text.
    """
    is_list = isinstance(values, (list, tuple)) and len(values) > 0
    if is_list and all(isinstance(value, (str, bytes)) for value in values):
        return np.array(values, dtype=object)
    return values
