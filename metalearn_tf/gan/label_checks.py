"""Checks on the labels of a conditional GAN. They run before any work."""

import numpy as np
import tensorflow as tf

from metalearn_tf.checks.label_advice import may_be_labels


def check_classes(gan, labels, lead, in_batches=False):
    """Refuses labels that do not fit the networks' second input. Source images are checked elsewhere.

    Args:
        gan: a conditional `GAN`.
        labels: array.
        lead: the leading axes of the images, `(n,)` or `(tasks, n)`.
        in_batches: whether the labels come from a `tf.data.Dataset` or similar; the advice then uses its functions.
    """
    condition, classes = gan.generator.inputs[1], gan.number_of_classes
    shape, is_floating = tuple(condition.shape[1:]), tf.as_dtype(condition.dtype).is_floating
    received = f"Received: shape {labels.shape}, dtype={labels.dtype}"
    wanted = (*lead, *shape)
    is_one_number = shape in ((), (1,))
    fits = labels.shape in (lead, (*lead, 1)) if is_one_number else _meet(labels.shape, wanted)
    if not fits:
        advice = _advice(labels, lead, shape, in_batches)
        raise ValueError(f"`labels` must have the shape {wanted} that the networks take{advice}. {received}")
    if is_floating and classes is None:  # attributes, not classes
        if labels.dtype.kind not in "biuf" or not np.isfinite(labels).all():
            raise ValueError(f"`labels` must be finite numbers. {received}")
        return
    are_whole = labels.dtype.kind in "iu" or (is_floating and labels.dtype.kind == "f" and not np.any(labels % 1))
    if not are_whole:
        advice = _advice(labels, lead, shape, in_batches)
        raise ValueError(f"`labels` must be integers, the numbers of classes{advice}. {received}")
    if classes is not None and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"`labels` must be in [0, {classes}), the classes that the networks know. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )


def _meet(shape, wanted):
    return len(shape) == len(wanted) and all(side is None or own == side for own, side in zip(shape, wanted))


def _advice(labels, lead, shape, in_batches):
    """Says how to bring the labels to the network's shape, for the end of an error message."""
    module = "tf" if in_batches else "np"
    if labels.dtype.kind not in "biuf" or (labels.dtype.kind == "f" and not np.isfinite(labels).all()):
        return ""
    is_wide = labels.ndim == len(lead) + 1 and labels.shape[-1] > 1
    if labels.shape in (lead, (*lead, 1)):
        numbers = "labels" if labels.shape == lead else f"{module}.squeeze(labels, axis=-1)"
        if labels.dtype.kind == "f" and np.any(labels % 1):
            return ""
    elif is_wide and may_be_labels(labels.astype("float32")) and (labels.sum(axis=-1) == 1).all():
        numbers = f"{module}.argmax(labels, axis=-1)"
    else:
        return ""
    if labels.dtype.kind not in "iu" and "argmax" not in numbers:
        numbers = f"tf.cast({numbers}, 'int32')" if in_batches else f"{numbers}.astype('int32')"
    if shape in ((), (1,)):
        made = numbers
    elif len(shape) == 1 and "argmax" not in numbers:
        made = (
            f"tf.one_hot({numbers}, {shape[0]})" if in_batches else f"keras.utils.to_categorical({numbers}, {shape[0]})"
        )
    else:
        return ""
    return f"; `.map(lambda images, labels: (images, {made}))` makes them" if in_batches else f"; `{made}` makes them"
