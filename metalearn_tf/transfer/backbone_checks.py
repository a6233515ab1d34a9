"""Checks on backbones and on the examples for them, made before any work is done."""

import keras
import numpy as np

from metalearn_tf.data.image_range import check_image_range, check_limits
from metalearn_tf.learners.task_checks import check_network, check_texts
from metalearn_tf.networks.text_inputs import takes_texts

# As the networks of this library and of `keras.applications` name them.
_HEADS = ("head", "predictions", "logits", "probabilities")


def check_backbone(backbone, argument="backbone"):
    """Refuses what is no built Keras model from one batch of examples to features `(batch, d)`.

    Raises:
        ValueError: if it is not; where there is a fix, the message shows it.
    """
    check_network(backbone, argument)
    if not isinstance(backbone.input_shape, tuple) or not isinstance(backbone.output_shape, tuple):
        raise ValueError(
            f"`{argument}` must have one input and one output; choose them with `keras.Model(input, output)`. "
            f"Received: {backbone.name!r} of input shape {backbone.input_shape} and output shape "
            f"{backbone.output_shape}"
        )
    if len(backbone.output_shape) != 2 or backbone.output_shape[1] is None:
        raise ValueError(
            f"`{argument}` must give features of shape (batch, d); end it with "
            "`keras.layers.GlobalAveragePooling2D()`, or build a network of `keras.applications` with "
            '`include_top=False, pooling="avg"`. '
            f"Received: {backbone.name!r} of output shape {backbone.output_shape}"
        )
    _check_headless(backbone, argument)


def _check_headless(backbone, argument):
    """The head of a source dataset has its classes, which are not those of the target."""
    layers = getattr(backbone, "layers", None) or [backbone]
    last = layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    is_head = activation in ("softmax", "sigmoid") or isinstance(last, keras.layers.Softmax)
    if is_head or last.name in _HEADS:
        raise ValueError(
            f"`{argument}` must end with its features. Its last layer is the head of what it was trained for, whose "
            f"{backbone.output_shape[1]} outputs are classes of the source: a head cannot be carried over, each "
            "training makes its own. `keras.Model(model.input, model.layers[-2].output)` takes it off. "
            f"Received: {backbone.name!r} that ends with {last.name!r}"
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
    check_limits(image_range)
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
