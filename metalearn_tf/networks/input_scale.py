"""Whether a network scales its images itself."""

import keras
import numpy as np


def first_rescaling(network):
    """The `Rescaling` that comes before any layer that computes with the pixels; `None` without such a layer."""
    first = next((layer for layer in _in_order(network) if not _comes_before_scaling(layer)), None)
    return first if isinstance(first, keras.layers.Rescaling) else None


def is_for_other_range(network, width):
    """Whether a network's first `Rescaling` makes all images of a range of this width nearly the same.

    Args:
        network: a `keras.Model` of images.
        width: the difference between the highest and the lowest pixel value.
    """
    rescaling = first_rescaling(network)
    return rescaling is not None and np.max(np.abs(rescaling.scale)) * width < 0.1


def check_range_is_taken(network, image_range):
    """Refuses a range of pixels that does not fit a network's first `Rescaling`: all images would be nearly the same.

    Raises:
        ValueError: if its outputs are in a range of less than 0.1.
    """
    if is_for_other_range(network, image_range[1] - image_range[0]):
        raise ValueError(
            f"`image_range` must be the range that {network.name!r} takes: it divides pixels itself, in the layer "
            f"{first_rescaling(network).name!r}, for `image_range=(0, 255)`; or take that layer out. "
            f"Received: image_range={image_range}"
        )


def _in_order(model):
    """The layers of a model, with the layers of nested models in place of these models."""
    for layer in getattr(model, "layers", ()):
        yield from _in_order(layer) if isinstance(layer, keras.Model) else [layer]


def _comes_before_scaling(layer):
    """Whether a layer leaves the range of pixels as it is: inputs, crops, flips and the like."""
    is_preprocessing = ".preprocessing." in type(layer).__module__ or ".reshaping." in type(layer).__module__
    is_kept = is_preprocessing and not isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization))
    return is_kept or isinstance(layer, keras.layers.InputLayer)
