"""Checks that the networks share."""


def check_image_network(input_shape, outputs, smallest_side, **positive):
    """Raises a `ValueError` that names the argument unless the sizes describe an image network."""
    if len(input_shape) != 3 or not all(isinstance(side, int) and side > 0 for side in input_shape):
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: {input_shape}")
    if min(input_shape[:2]) < smallest_side:
        raise ValueError(f"`input_shape` must be at least {smallest_side} pixels a side. Received: {input_shape}")
    check_positive(**positive)
    check_outputs(outputs)


def check_positive(**sizes):
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {size!r}")


def check_outputs(outputs):
    if outputs is not None and (not isinstance(outputs, int) or outputs < 1):
        raise ValueError(f"`outputs` must be a positive integer, or None for an embedding. Received: {outputs!r}")
