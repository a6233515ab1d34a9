"""Checks on the arguments of a training, made before any work is done."""

import keras
import numpy as np

from metalearn_tf.data.whole_numbers import check_whole


def check_plan(classes, head_epochs, stage_epochs, layer_decay, l2_sp):
    """Refuses a plan of fine-tuning that cannot be followed.

    Raises:
        ValueError: if a number is out of range.
    """
    check_whole(least=2, classes=classes)
    check_whole(least=0, head_epochs=head_epochs)
    check_whole(stage_epochs=stage_epochs)
    if not 0.0 < layer_decay <= 1.0:
        raise ValueError(f"`layer_decay` must be in (0, 1]. Received: layer_decay={layer_decay}")
    if not 0.0 <= l2_sp < np.inf:
        raise ValueError(f"`l2_sp` must not be negative. Received: l2_sp={l2_sp}")


def check_augmentation(augmentation):
    """Refuses what is neither `None` nor a Keras layer."""
    if augmentation is not None and not isinstance(augmentation, keras.layers.Layer):
        raise TypeError(
            "`augmentation` must be a Keras layer; put several into a `keras.Sequential`. "
            f"Received: {type(augmentation).__name__}"
        )


def check_labels(argument, y, count, classes=None, every_class=True):
    """Class numbers as int32 `(n,)`, and how many classes there are.

    Args:
        argument: the name of `y` in error messages.
        y: the labels.
        count: how many examples there are.
        classes: the labels must be below it; by default what the highest label says.
        every_class: whether there must be an example of each class.

    Raises:
        ValueError: if they are not such, are of one class only, or not as many as the examples.
    """
    y = np.asarray(y)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(
            f"`{argument}` must be integers of shape (n,); `np.argmax(y, axis=-1)` makes them of one-hot labels. "
            f"Received: shape {y.shape}, dtype={y.dtype}"
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
        # Not up to the highest label, which may be any number.
        missing = np.setdiff1d(np.arange(min(classes, len(present) + 11)), present)
        raise ValueError(
            f"`{argument}` must have an example of each of the classes 0 to {classes - 1}; "
            "`np.unique(y, return_inverse=True)[1]` numbers the classes that there are. "
            f"Received: no example of the classes {missing[:10].tolist()}{' …' if len(missing) > 10 else ''}"
        )
    return y.astype("int32"), classes


def check_validation(validation_data, classes, check_x):
    """The pair of validation examples and labels, checked; `None` for `None`.

    Args:
        validation_data: `(x, y)` or `None`.
        classes: the labels must be below it.
        check_x: function from the argument's name and the examples to the checked examples.

    Raises:
        ValueError: if it is not such a pair.
    """
    if validation_data is None:
        return None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
        raise ValueError(f"`validation_data` must be a pair (x, y). Received: {type(validation_data).__name__}")
    x = check_x("validation_data[0]", validation_data[0])
    return x, check_labels("validation_data[1]", validation_data[1], len(x), classes, every_class=False)[0]
