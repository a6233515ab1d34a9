"""The range of a generator's images."""

_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


def image_range(generator):
    """Lowest and highest value of a generated pixel, from the last layer; `None` where it has no bounds.

    A layer says it by its activation, or by an attribute `output_range`.

    Args:
        generator: a built `keras.Model`.
    """
    layer = generator.layers[-1]
    activation = getattr(layer, "activation", None)
    return getattr(layer, "output_range", _RANGES.get(getattr(activation, "__name__", None)))
