"""Whether a network scales its images itself."""

import keras
import numpy as np


def first_rescaling(network):
    """The `Rescaling` that images come to before any layer that looks at them; `None` without such a layer."""
    first = next((layer for layer in _in_order(network) if not _comes_before_scaling(layer)), None)
    return first if isinstance(first, keras.layers.Rescaling) else None


def is_for_other_range(network, width):
    """Whether a network's first `Rescaling` makes images of a range of this width nearly one and the same.

    Args:
        network: a `keras.Model` of images.
        width: from the lowest to the highest pixel.
    """
    rescaling = first_rescaling(network)
    return rescaling is not None and np.max(np.abs(rescaling.scale)) * width < 0.1


def check_range_is_taken(network, image_range):
    """Refuses a range of pixels that a network's own first `Rescaling` is not for: all images would be nearly one.

    Raises:
        ValueError: if what comes out of it is in less than a tenth of a range of length 1.
    """
    if is_for_other_range(network, image_range[1] - image_range[0]):
        raise ValueError(
            f"`image_range` must be the range that {network.name!r} takes: it divides pixels itself, in the layer "
            f"{first_rescaling(network).name!r}, for `image_range=(0, 255)`; or take that layer out. "
            f"Received: image_range={image_range}"
        )


def _in_order(model):
    """The layers of a model, those of models within it in their place."""
    for layer in getattr(model, "layers", ()):
        yield from _in_order(layer) if isinstance(layer, keras.Model) else [layer]


def _comes_before_scaling(layer):
    """Whether a layer lets pixels keep their range: inputs, crops, flips and the like."""
    is_preprocessing = ".preprocessing." in type(layer).__module__ or ".reshaping." in type(layer).__module__
    is_kept = is_preprocessing and not isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization))
    return is_kept or isinstance(layer, keras.layers.InputLayer)
