"""Advice for labels that are not one class number for each example."""

import numpy as np


def may_be_labels(y):
    """Whether the rows look like labels: one-hot, several zeros and ones, or the probabilities of classes."""
    if y.shape[-1] < 2 or y.size == 0 or not (y >= 0).all():
        return False
    are_distributions = np.allclose(y.sum(axis=-1), 1.0, atol=1e-4)
    return bool(are_distributions or (np.isin(y, (0.0, 1.0)).all() and 0 < y.mean() < 1))


def label_advice(y, shape, name="y"):
    """Says how to make class numbers of what was received, for the end of an error message.

    Args:
        y: array of any kind.
        shape: the shape of class numbers: `(n,)` or `(tasks, n)`.
        name: the name of the array in the advice.

    Returns:
        A clause that begins with `; `, or "" if there is no advice.
    """
    if y.dtype.kind in "USO":
        return f"; `np.unique({name}, return_inverse=True)[1]` numbers names" if y.shape == shape else ""
    if y.dtype.kind not in "biuf":
        return ""
    is_whole = y.dtype.kind != "f" or (np.isfinite(y).all() and np.equal(np.mod(y, 1), 0).all())
    if y.shape == shape:
        return f"; `{name}.astype('int32')` makes class numbers of them" if is_whole else ""
    if y.shape == (*shape, 1):
        cast = "" if y.dtype.kind in "iu" else ".astype('int32')"
        return f"; `np.squeeze({name}, axis=-1){cast}` makes class numbers of them" if is_whole else ""
    if y.ndim != len(shape) + 1 or y.shape[:-1] != shape or not may_be_labels(y.astype("float32")):
        return ""
    if is_whole and not (y.astype("int32").sum(axis=-1) == 1).all():
        return "; an example has one class"
    return f"; `np.argmax({name}, axis=-1)` makes class numbers of one-hot labels"
