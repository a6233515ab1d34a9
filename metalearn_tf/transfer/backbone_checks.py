"""Checks on backbones and on the examples for them, made before any work is done."""

import keras
import tensorflow as tf

from metalearn_tf.checks.arrays import as_array
from metalearn_tf.checks.examples import check_examples, check_not_empty
from metalearn_tf.checks.image_range import check_limits
from metalearn_tf.engine.text_inputs import takes_integers, takes_texts
from metalearn_tf.learners.task_checks import check_network
from metalearn_tf.networks.batch_dependence import check_batch_independence
from metalearn_tf.networks.input_scale import check_range_is_taken

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


def check_backbone_examples(argument, x, backbone, image_range=(0.0, 1.0)):
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
    if takes_images(backbone):
        check_range_is_taken(backbone, image_range)
    x = as_array(argument, x)
    check_not_empty(argument, x)
    x = check_examples(argument, x, backbone.input_shape[1:], kind_of_examples(backbone), image_range)
    return x.astype(float_dtype(backbone), copy=False) if tf.as_dtype(x.dtype).is_floating else x


def kind_of_examples(backbone):
    """What a backbone takes, as `checks.dtypes` names it."""
    if takes_texts(backbone):
        return "texts"
    if takes_integers(backbone):
        return "integers"
    return "pixels" if takes_images(backbone) else "numbers"


def takes_images(backbone):
    """Whether a backbone takes images `(height, width, channels)` of floating pixels."""
    return len(backbone.input_shape) == 4 and not takes_integers(backbone)


def float_dtype(backbone):
    """In what the examples, features and heads of a backbone are: float64 with float64 weights, or else float32."""
    return "float64" if backbone.variable_dtype == "float64" else "float32"
