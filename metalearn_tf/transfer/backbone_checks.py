"""Checks on backbones and on the examples for them, made before any work is done."""

import numpy as np

from metalearn_tf.data.image_range import check_image_range
from metalearn_tf.learners.task_checks import check_network, check_texts
from metalearn_tf.networks.text_inputs import takes_texts


def check_backbone(backbone):
    """Refuses what is no built Keras model from one batch of examples to features `(batch, d)`.

    Raises:
        ValueError: if it is not; where there is a fix, the message shows it.
    """
    check_network(backbone, "backbone")
    if not isinstance(backbone.input_shape, tuple) or not isinstance(backbone.output_shape, tuple):
        raise ValueError(
            "`backbone` must have one input and one output; choose them with `keras.Model(input, output)`. "
            f"Received: {backbone.name!r} of input shape {backbone.input_shape} and output shape "
            f"{backbone.output_shape}"
        )
    if len(backbone.output_shape) != 2 or backbone.output_shape[1] is None:
        raise ValueError(
            "`backbone` must give features of shape (batch, d); end it with `keras.layers.GlobalAveragePooling2D()`, "
            'or build a network of `keras.applications` with `include_top=False, pooling="avg"`. '
            f"Received: {backbone.name!r} of output shape {backbone.output_shape}"
        )


def check_examples(argument, x, backbone, image_range=(0.0, 1.0)):
    """Examples as an array that the backbone takes.

    Args:
        argument: the name of `x` in error messages.
        x: array `(n, *backbone.input_shape[1:])`: images `(n, height, width, channels)`, uint8 or floating; floating
            numbers of another number of axes; or strings for a backbone of texts.
        backbone: what `check_backbone` has passed.
        image_range: lowest and highest value of a pixel that the backbone was trained on.

    Returns:
        uint8 images as they are, which `metalearn_tf.data.image_range.to_image_range` brings to `image_range`; floating
        arrays as float32; texts as an array of objects.

    Raises:
        ValueError: if there is no example, or they are of another shape, dtype or range, or not finite.
    """
    _check_range(image_range)
    x, shape = np.asarray(x), backbone.input_shape[1:]
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"`{argument}` must hold at least one example. Received: shape {x.shape}")
    if takes_texts(backbone):
        return check_texts(argument, x, shape)
    if x.ndim != len(shape) + 1 or any(size not in (None, received) for size, received in zip(shape, x.shape[1:])):
        fix = ""
        if len(shape) == 3 and None not in shape[:2] and x.ndim == 4 and shape[2] in (None, x.shape[3]):
            fix = f"; `mtf.data.load(..., image_size={shape[:2]})` resizes images"
        raise ValueError(
            f"`{argument}` must have the shape (n, {', '.join(map(str, shape))}) that the backbone takes{fix}. "
            f"Received: shape {x.shape}"
        )
    if len(shape) == 3:
        check_image_range(argument, x, image_range)
        return x if x.dtype == np.uint8 else x.astype("float32", copy=False)
    if x.dtype.kind != "f":
        raise ValueError(f"`{argument}` must be floating. Received: dtype={x.dtype}")
    if not np.isfinite(x).all():
        raise ValueError(f"`{argument}` must be finite. Received: NaN or infinite values")
    return x.astype("float32", copy=False)


def _check_range(image_range):
    if len(image_range) != 2 or not -np.inf < image_range[0] < image_range[1] < np.inf:
        raise ValueError(
            f"`image_range` must be the lowest and the highest value of a pixel. Received: image_range={image_range}"
        )
