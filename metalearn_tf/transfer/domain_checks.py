"""Checks on domain adaptation, made before any work is done."""

import keras
import numpy as np

from metalearn_tf.transfer.backbone_checks import check_examples
from metalearn_tf.transfer.domain_losses import check_bandwidths

METHODS = ("dann", "mmd", "coral", "source_only")


def check_options(classes, method, weight, bandwidths, discriminator, seed):
    """Refuses options that are unknown, out of range or without effect."""
    if not isinstance(classes, (int, np.integer)) or classes < 2:
        raise ValueError(f"`classes` must be an integer of at least 2. Received: {classes!r}")
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}. Received: {method!r}")
    if weight is not None:
        if method == "source_only":
            raise ValueError(f'`weight` has no effect with `method="source_only"`. Received: {weight!r}')
        if not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
            raise ValueError(f"`weight` must be a positive number, or None for the method's own. Received: {weight!r}")
    if bandwidths is not None and method != "mmd":
        raise ValueError(f'`bandwidths` need `method="mmd"`. Received: method={method!r}')
    check_bandwidths(bandwidths)
    if discriminator is not None and method != "dann":
        raise ValueError(f'`discriminator` needs `method="dann"`. Received: method={method!r}')
    if not isinstance(seed, (int, np.integer)):
        raise ValueError(f"`seed` must be an integer. Received: {seed!r}")


def check_discriminator(discriminator, width):
    """Refuses what is no built Keras model from features `(n, width)` to logits `(n, 1)`."""
    is_model = isinstance(discriminator, keras.Model) and discriminator.built
    if not is_model or discriminator.input_shape != (None, width) or discriminator.output_shape != (None, 1):
        shapes = f" from {discriminator.input_shape} to {discriminator.output_shape}" if is_model else ""
        raise ValueError(
            f"`discriminator` must be a built keras.Model from features (n, {width}) to logits (n, 1). "
            f"Received: {type(discriminator).__name__}{shapes}"
        )


def check_domains(model, source, target_x):
    """What `DomainAdaptation.fit` is given, as arrays that the backbone takes; no target for the source alone.

    Returns:
        Examples and int32 labels of the source, and examples of the target or `None`.

    Raises:
        ValueError: if they do not fit the backbone, the classes or each other.
    """
    if not isinstance(source, (tuple, list)) or len(source) != 2:
        raise ValueError(f"`source` must be `(source_x, source_y)`. Received: {type(source).__name__}")
    source_x = check_examples("source_x", source[0], model.backbone, model.image_range)
    source_y = check_labels("source_y", source[1], len(source_x), model.classes)
    if model.method == "source_only":
        return source_x, source_y, None
    if target_x is None:
        raise ValueError(f"`target_x` is needed by `method={model.method!r}`. Received: None")
    return source_x, source_y, check_examples("target_x", target_x, model.backbone, model.image_range)


def check_labels(argument, labels, count, classes, every_class=True):
    """Labels `(count,)` as int32.

    Raises:
        ValueError: if they are of another shape or dtype, not in `[0, classes)`, or, with `every_class`, of one class
            alone or without an example of some.
    """
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ValueError(f"`{argument}` must have the shape ({count},), one label each. Received: shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"`{argument}` must be integers. Received: dtype={labels.dtype}")
    present = np.unique(labels)
    if present[0] < 0 or present[-1] >= classes:
        raise ValueError(
            f"`{argument}` must be in [0, {classes}), the {classes} classes of the model. "
            f"Received: labels from {present[0]} to {present[-1]}"
        )
    if every_class and len(present) < classes:
        missing = np.setdiff1d(np.arange(classes), present)
        raise ValueError(
            f"`{argument}` must have an example of each of the {classes} classes; "
            "`numpy.unique(labels, return_inverse=True)[1]` renumbers those that are there. "
            f"Received: {len(present)} classes, none of {missing[:10].tolist()}"
        )
    return labels.astype("int32")


def check_sizes(**sizes):
    """Refuses sizes that are not positive integers; a batch of one has neither variance nor pairs."""
    for name, size in sizes.items():
        least = 2 if name == "batch_size" else 1
        if not isinstance(size, (int, np.integer)) or size < least:
            raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {size!r}")
