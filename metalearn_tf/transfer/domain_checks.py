"""Checks for domain adaptation, made before any work is done."""

import keras
import numpy as np

from metalearn_tf.checks.labels import check_labels
from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.class_index import ClassIndex
from metalearn_tf.transfer.backbone_checks import check_backbone_examples
from metalearn_tf.transfer.data_kinds import Examples, is_batches, numbers_by_name, read_examples
from metalearn_tf.transfer.domain_losses import check_bandwidths

METHODS = ("dann", "mmd", "coral", "source_only")


def check_options(classes, method, weight, bandwidths, discriminator):
    """Refuses options that are unknown, out of range or have no effect."""
    check_whole(least=2, classes=classes)
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}. Received: {method!r}")
    if weight is not None:
        if method == "source_only":
            raise ValueError(f'`weight` has no effect with `method="source_only"`. Received: {weight!r}')
        if not isinstance(weight, (int, float, np.number)) or not 0 < weight < float("inf"):
            raise ValueError(f"`weight` must be a positive number, or None for the method's own. Received: {weight!r}")
    if bandwidths is not None and method != "mmd":
        raise ValueError(f'`bandwidths` need `method="mmd"`. Received: method={method!r}')
    check_bandwidths(bandwidths)
    if discriminator is not None and method != "dann":
        raise ValueError(f'`discriminator` needs `method="dann"`. Received: method={method!r}')


def check_discriminator(discriminator, width):
    """Refuses anything but a built Keras model from features `(n, width)` to logits `(n, 1)`."""
    is_model = isinstance(discriminator, keras.Model) and discriminator.built
    if not is_model or discriminator.input_shape != (None, width) or discriminator.output_shape != (None, 1):
        shapes = f" from {discriminator.input_shape} to {discriminator.output_shape}" if is_model else ""
        raise ValueError(
            f"`discriminator` must be a built keras.Model from features (n, {width}) to logits (n, 1). "
            f"Received: {type(discriminator).__name__}{shapes}"
        )


def check_source_and_target(model, source, target_x):
    """The data given to `DomainAdaptation.fit`, as arrays for the backbone; no target for `"source_only"`.

    Returns:
        Examples and int32 labels of the source, and examples of the target or `None`.

    Raises:
        ValueError: if they do not fit the backbone, the classes or each other.
    """
    rank = len(model.backbone.input_shape)
    if isinstance(source, (tuple, list)) and len(source) == 2:
        source = Examples(*source)
    elif isinstance(source, ClassIndex) or is_batches(source):
        source = read_examples("source", source, rank)
    if not isinstance(source, Examples) or source.y is None or source.sample_weight is not None:
        raise ValueError(
            "`source` must be `(source_x, source_y)`, a `ClassDataset`, or batches of such pairs, without weights. "
            f"Received: {type(source).__name__}"
        )
    source_x = check_backbone_examples("source_x", source.x, model.backbone, model.image_range)
    source_y = numbers_by_name("source", source, model.classes, model.class_names)
    source_y = check_labels("source_y", source_y, len(source_x), model.classes)[0]
    if model.method == "source_only":
        return source_x, source_y, None
    if target_x is None:
        raise ValueError(f"`target_x` is needed by `method={model.method!r}`. Received: None")
    target_x = read_examples("target_x", target_x, rank).x
    return source_x, source_y, check_backbone_examples("target_x", target_x, model.backbone, model.image_range)


def check_fit_options(options):
    """Refuses arguments of Keras's `fit` that make no sense for batches of two domains."""
    fixes = {
        "x": "examples and labels go as `fit((source_x, source_y), target_x)`",
        "y": "examples and labels go as `fit((source_x, source_y), target_x)`",
        "sample_weight": "all examples have equal weight; leave out or repeat some",
        "class_weight": "all examples have equal weight; leave out or repeat some of a class",
        "validation_split": "give `validation_data=(x, y)`, so that the domain of the validation is clear",
        "shuffle": "each pass over a domain has a new order, which `seed` sets",
    }
    for name, fix in fixes.items():
        if options.get(name) is not None:
            raise ValueError(f"`{name}` is not for `DomainAdaptation.fit`: {fix}. Received: {name}={options[name]!r}")
