"""Checks that the networks share."""

from metalearn_tf.checks.whole_numbers import check_python_whole


def check_image_network(input_shape, outputs, smallest_side, **positive):
    """Raises a `ValueError` that names the argument unless the sizes describe an image network."""
    _check_image_shape("input_shape", input_shape, smallest_side)
    check_python_whole(**positive)
    check_outputs(outputs)


def check_generator_and_discriminator(image_shape, latent_dim, classes, filters):
    """Raises a `ValueError` that names the argument unless the sizes describe a GAN that halves its images twice."""
    _check_image_shape("image_shape", image_shape, smallest_side=16)
    if image_shape[0] % 4 or image_shape[1] % 4:
        raise ValueError(f"`image_shape` must have sides that are multiples of 4. Received: {image_shape}")
    check_python_whole(latent_dim=latent_dim, filters=filters)
    if classes is not None and (not isinstance(classes, int) or classes < 1):
        raise ValueError(f"`classes` must be a positive integer, or None without labels. Received: {classes!r}")


def _check_image_shape(name, shape, smallest_side):
    if len(shape) != 3 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise ValueError(f"`{name}` must be (height, width, channels). Received: {shape}")
    if min(shape[:2]) < smallest_side:
        raise ValueError(f"`{name}` must be at least {smallest_side} pixels a side. Received: {shape}")


def check_outputs(outputs):
    if outputs is not None and (not isinstance(outputs, int) or outputs < 1):
        raise ValueError(f"`outputs` must be a positive integer, or None for an embedding. Received: {outputs!r}")
