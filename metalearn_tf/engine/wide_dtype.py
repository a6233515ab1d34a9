"""The dtype of sums over many numbers."""


def wide_dtype(layer):
    """The dtype of a layer's scale, offset and statistics: float32, also in mixed precision, and float64 in float64."""
    return "float64" if layer.variable_dtype == "float64" else "float32"
