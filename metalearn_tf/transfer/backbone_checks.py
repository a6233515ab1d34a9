"""Checks of backbones and of their examples, made before any work is done."""

import keras
import tensorflow as tf

from metalearn_tf.checks.arrays import as_array
from metalearn_tf.checks.examples import check_examples, check_not_empty
from metalearn_tf.checks.image_range import check_limits
from metalearn_tf.engine.text_inputs import takes_integers, takes_texts
from metalearn_tf.learners.task_checks import check_network
from metalearn_tf.networks.batch_dependence import check_batch_independence
from metalearn_tf.networks.input_scale import check_range_is_taken

# The names of heads in the networks of this library and of `keras.applications`.
_HEADS = ("head", "predictions", "logits", "probabilities")


def check_backbone(backbone, argument="backbone"):
    """Refuses anything but a built Keras model that gives each example features `(batch, d)` independent of the others.

    Raises:
        ValueError: if it is not one; the message shows a fix if there is one.
    """
    check_features(backbone, argument)
    check_batch_independence(backbone, argument)


def check_features(backbone, argument):
    """Like `check_backbone`, for learners: they may normalise the examples of a task together."""
    check_network(backbone, argument)
    if len(backbone.output_shape) != 2 or backbone.output_shape[1] is None:
        raise ValueError(
            f"`{argument}` must give features of shape (batch, d); end it with "
            "`keras.layers.GlobalAveragePooling2D()`, or build a network of `keras.applications` with "
            '`include_top=False, pooling="avg"`. '
            f"Received: {backbone.name!r} of output shape {backbone.output_shape}"
        )
    _check_headless(backbone, argument)


def _check_headless(backbone, argument):
    """Refuses a head, because its outputs are classes of the source dataset, not of the target."""
    layers = getattr(backbone, "layers", None) or [backbone]
    last = layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    is_head = activation in ("softmax", "sigmoid") or isinstance(last, keras.layers.Softmax)
    if is_head or last.name in _HEADS:
        raise ValueError(
            f"`{argument}` must end with its features. Its last layer is the head of what it was trained for, whose "
            f"{backbone.output_shape[1]} outputs are classes of the source. A head cannot be transferred; each "
            "training makes a new one. `keras.Model(model.input, model.layers[-2].output)` removes it. "
            f"Received: {backbone.name!r} that ends with {last.name!r}"
        )


def check_backbone_examples(argument, x, backbone, image_range=(0.0, 1.0)):
    """Examples as an array that the backbone takes.

    Args:
        argument: the name of `x` in error messages.
        x: array `(n, *backbone.input_shape[1:])`, or anything that NumPy converts to one: images `(n, height, width,
            channels)`, uint8 or floating; floating arrays with another number of axes; integers for a backbone that
            takes integers, such as word numbers; or strings for a backbone of texts.
        backbone: a backbone that `check_backbone` has accepted.
        image_range: lowest and highest value of a pixel that the backbone was trained on.

    Returns:
        uint8 images as they are (`metalearn_tf.data.image_range.to_image_range` scales them later); floating arrays as
        float32, or as float64 for a float64 backbone; integers as they are; texts as an array of objects.

    Raises:
        ValueError: if there is no example, or the examples have a wrong kind, shape, dtype or range, or are not finite.
    """
    check_limits(image_range)
    if takes_images(backbone):
        check_range_is_taken(backbone, image_range)
    x = as_array(argument, x)
    check_not_empty(argument, x)
    x = check_examples(argument, x, backbone.input_shape[1:], kind_of_examples(backbone), image_range)
    return x.astype(float_dtype(backbone), copy=False) if tf.as_dtype(x.dtype).is_floating else x


def kind_of_examples(backbone):
    """The kind of examples that a backbone takes, as named in `checks.dtypes`."""
    if takes_texts(backbone):
        return "texts"
    if takes_integers(backbone):
        return "integers"
    return "pixels" if takes_images(backbone) else "numbers"


def takes_images(backbone):
    """Whether a backbone takes images `(height, width, channels)` with floating pixels."""
    return len(backbone.input_shape) == 4 and not takes_integers(backbone)


def float_dtype(backbone):
    """The dtype of a backbone's examples, features and heads: float64 if its weights are float64, else float32."""
    return "float64" if backbone.variable_dtype == "float64" else "float32"
