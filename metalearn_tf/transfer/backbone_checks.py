"""Checks on backbones and on the examples for them, made before any work is done."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.data.image_range import check_image_range, check_limits
from metalearn_tf.engine.text_inputs import takes_integers, takes_texts
from metalearn_tf.learners.task_checks import check_network, check_texts
from metalearn_tf.networks.batch_dependence import check_batch_independence
from metalearn_tf.networks.input_scale import first_rescaling, is_for_other_range
from metalearn_tf.transfer.data_kinds import as_array

# As the networks of this library and of `keras.applications` name them.
_HEADS = ("head", "predictions", "logits", "probabilities")


def check_backbone(backbone, argument="backbone"):
    """Refuses what is no built Keras model from examples to features `(batch, d)`, each of its example alone.

    Raises:
        ValueError: if it is not; where there is a fix, the message shows it.
    """
    check_features(backbone, argument)
    check_batch_independence(backbone, argument)


def check_features(backbone, argument):
    """As `check_backbone`, for learners, whose tasks may normalise their examples together."""
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
        x: array `(n, *backbone.input_shape[1:])`, or what NumPy makes one of: images `(n, height, width, channels)`,
            uint8 or floating; floating numbers of another number of axes; integers for a backbone whose input is
            integers, such as numbers of words; or strings for a backbone of texts.
        backbone: what `check_backbone` has passed.
        image_range: lowest and highest value of a pixel that the backbone was trained on.

    Returns:
        uint8 images as they are, which `metalearn_tf.data.image_range.to_image_range` brings to `image_range`; floating
        arrays as float32, or float64 for a backbone of that; integers as they are; texts as an array of objects.

    Raises:
        ValueError: if there is no example, or they are of another kind, shape, dtype or range, or not finite.
    """
    check_limits(image_range)
    check_input_scale(backbone, image_range)
    x, shape = as_array(argument, x), backbone.input_shape[1:]
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"`{argument}` must hold at least one example. Received: shape {x.shape}")
    if takes_texts(backbone):
        return check_texts(argument, x, shape)
    if x.ndim != len(shape) + 1 or any(size not in (None, received) for size, received in zip(shape, x.shape[1:])):
        fix = ""
        if len(shape) == 3 and None not in shape[:2] and x.ndim == 4 and shape[2] in (None, x.shape[3]):
            fix = f"; `mtf.data.load(..., image_size={shape[:2]})` resizes images"
        elif x.shape == tuple(shape):
            fix = "; a single example goes as `x[None]`"
        raise ValueError(
            f"`{argument}` must have the shape (n, {', '.join(map(str, shape))}) that the backbone takes{fix}. "
            f"Received: shape {x.shape}"
        )
    check_dtype(argument, x.dtype, backbone, image_range)
    if takes_integers(backbone):
        return x
    if takes_images(backbone):
        check_image_range(argument, x, image_range)
    elif not np.isfinite(x).all():
        raise ValueError(f"`{argument}` must be finite. Received: NaN or infinite values")
    return x if x.dtype == np.uint8 else x.astype(float_dtype(backbone), copy=False)


def check_input_scale(backbone, image_range):
    """Refuses a range of pixels that the backbone's own first `Rescaling` is not for: all images would be nearly one.

    Raises:
        ValueError: if what comes out of it is in less than a tenth of a range of length 1.
    """
    if not takes_images(backbone):
        return
    low, high = image_range
    if is_for_other_range(backbone, high - low):
        raise ValueError(
            "`image_range` must be the range that the backbone takes: it divides pixels itself, in the layer "
            f"{first_rescaling(backbone).name!r}, for `image_range=(0, 255)`; or take that layer out. "
            f"Received: image_range={image_range}"
        )


def check_dtype(argument, dtype, backbone, image_range):
    """Refuses a dtype that would be cast to the backbone's without becoming what the backbone was trained on.

    Args:
        argument: the name of the examples in error messages.
        dtype: NumPy's, TensorFlow's or its name.
        backbone: what `check_backbone` has passed.
        image_range: lowest and highest value of a pixel.

    Raises:
        ValueError: if the backbone does not take it; the message shows the fix.
    """
    dtype = tf.as_dtype(dtype)
    low, high = image_range
    if takes_texts(backbone):
        accepted, fits = "strings", dtype == tf.string
    elif takes_integers(backbone):
        accepted, fits = f"integers, as the input of {backbone.name!r} is {backbone.inputs[0].dtype}", dtype.is_integer
    elif takes_images(backbone):
        accepted = f"uint8, or floating in [{low:g}, {high:g}]"
        fix = "; `images.astype('uint8')` makes pixels of integers from 0 to 255" if dtype.is_integer else ""
        accepted, fits = accepted + fix, dtype.is_floating or dtype == tf.uint8
    else:
        accepted, fits = "floating; `x.astype('float32')` makes numbers of integers", dtype.is_floating
    if not fits:
        raise ValueError(f"`{argument}` must be {accepted}. Received: dtype={dtype.name}")


def takes_images(backbone):
    """Whether a backbone takes images `(height, width, channels)` of floating pixels."""
    return len(backbone.input_shape) == 4 and not takes_integers(backbone)


def float_dtype(backbone):
    """In what the examples, features and heads of a backbone are: float64 with float64 weights, or else float32."""
    return "float64" if backbone.variable_dtype == "float64" else "float32"
