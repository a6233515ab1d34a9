"""Labels that number classes."""

import numpy as np

from metalearn_tf.checks.arrays import as_array
from metalearn_tf.checks.label_advice import label_advice


def check_labels(argument, y, count, classes=None, every_class=True):
    """Checks class numbers, and returns them as int32 `(n,)` with the number of classes.

    Args:
        argument: the name of `y` in error messages.
        y: the labels.
        count: the number of examples.
        classes: the number of classes, which labels must be below; by default the highest label plus 1.
        every_class: whether there must be an example of each class.

    Raises:
        ValueError: if the labels are not class numbers, are all of one class, or do not match the examples in number.
    """
    y = as_array(argument, y)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(
            f"`{argument}` must be integers of shape (n,), the number of its class for each example"
            f"{label_advice(y, y.shape[:1])}. Received: shape {y.shape}, dtype={y.dtype}"
        )
    if len(y) != count:
        raise ValueError(f"`{argument}` must have one label for each example. Received: {len(y)} for {count} examples")
    present, classes = np.unique(y), int(y.max()) + 1 if classes is None else classes
    if present[0] < 0 or present[-1] >= classes:
        raise ValueError(
            f"`{argument}` must be class numbers in [0, {classes}). Received: labels from {present[0]} to {present[-1]}"
        )
    if every_class and len(present) < 2:
        raise ValueError(f"`{argument}` must be of at least 2 classes. Received: one class, {present[0]}")
    if every_class and len(present) < classes:
        # Do not list all numbers up to the highest label: it may be huge.
        missing = np.setdiff1d(np.arange(min(classes, len(present) + 11)), present)
        raise ValueError(
            f"`{argument}` must have an example of each of the classes 0 to {classes - 1}; "
            "`np.unique(y, return_inverse=True)[1]` numbers the classes that there are. "
            f"Received: no example of the classes {missing[:10].tolist()}{' …' if len(missing) > 10 else ''}"
        )
    return y.astype("int32"), classes
