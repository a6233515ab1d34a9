"""Checks on the features and labels that a classifier is fitted to, made before any work is done."""

import numpy as np


def check_features(features):
    """Features as a float32 array `(n, d)`; refuses all else, and NaN or infinity."""
    features = np.asarray(features)
    if features.ndim != 2 or features.dtype.kind != "f" or 0 in features.shape:
        raise ValueError(
            "`features` must be floating, of shape (n, d), as `mtf.transfer.extract_features` returns them. "
            f"Received: shape {features.shape}, dtype={features.dtype}"
        )
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"`features` must be finite. Received: NaN or infinity in rows {np.flatnonzero(~finite)[:10].tolist()}"
        )
    return features.astype("float32", copy=False)


def check_labels(labels, examples):
    """The label of each example, two classes or more, each from 0 on with an example.

    Args:
        labels: integers `(examples,)`, of any integer type.
        examples: how many there are.

    Returns:
        int32 array `(examples,)`, and the number of classes.

    Raises:
        ValueError: if the shape or dtype is another, there is one class only, or a class has no example.
    """
    labels = np.asarray(labels)
    if labels.shape != (examples,):
        raise ValueError(
            f"`labels` must have one label for each of {examples} examples. Received: shape {labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(f"`labels` must be integers. Received: dtype={labels.dtype}")
    present = np.unique(labels)
    if len(present) < 2:
        raise ValueError(f"`labels` must be of two classes or more. Received: class {present[0]} only")
    # Not up to the last label, which may be any number.
    missing = np.setdiff1d(np.arange(min(present[-1], len(present) + 10) + 1), present)
    if len(missing) or present[0] < 0:
        raise ValueError(
            "`labels` must be 0 to classes - 1, each there at least once; "
            "`numpy.unique(labels, return_inverse=True)[1]` renumbers them. "
            f"Received: labels from {present[0]} to {present[-1]}, no example of {missing[:10].tolist()}"
        )
    return labels.astype("int32"), len(present)
