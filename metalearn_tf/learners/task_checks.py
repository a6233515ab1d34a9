"""Checks on networks, support sets and examples. They run before any work."""

import keras
import numpy as np

from metalearn_tf.checks.arrays import as_array, check_finite_weights
from metalearn_tf.checks.examples import check_examples, check_not_empty
from metalearn_tf.engine.copy_network import check_can_be_copied
from metalearn_tf.engine.text_inputs import check_vocabularies, takes_integers, takes_texts
from metalearn_tf.learners.label_checks import check_learner_labels
from metalearn_tf.networks.head_activation import head_activation
from metalearn_tf.networks.input_scale import first_rescaling, is_for_other_range

# === Networks ===


def check_network(network, argument="network"):
    """Refuses networks that a learner cannot adapt.

    Raises:
        ValueError: if it is not a built Keras model with one input and one output, or cannot be copied.
    """
    if not isinstance(network, keras.Model):
        raise ValueError(f"`{argument}` must be a keras.Model. Received: {type(network).__name__}")
    if not network.built:
        raise ValueError(
            f"`{argument}` must be built: give it a `keras.Input`, or call it once on an example. "
            f"Received: the unbuilt model {network.name!r}"
        )
    if not hasattr(network, "input_shape") or not hasattr(network, "output_shape"):
        raise ValueError(
            f"`{argument}` must know its shapes; wrap a subclassed model as "
            "`inputs = keras.Input(shape); keras.Model(inputs, network(inputs))`. "
            f"Received: {type(network).__name__} {network.name!r}"
        )
    if not isinstance(network.input_shape, tuple) or not isinstance(network.output_shape, tuple):
        raise ValueError(
            f"`{argument}` must have one input and one output; choose them with `keras.Model(input, output)`. "
            f"Received: {network.name!r} of input shape {network.input_shape} and output shape {network.output_shape}"
        )
    check_can_be_copied(network, argument)


def check_logits(network):
    """Checks that a network gives logits, and returns its last activation: `"sigmoid"` or `None`.

    Raises:
        ValueError: if the outputs are not vectors `(batch, ways)`, or come from a softmax.
    """
    if len(network.output_shape) != 2 or network.output_shape[1] is None:
        raise ValueError(
            "`network` must put out logits (batch, ways); end it with `keras.layers.Flatten()` and "
            f"`keras.layers.Dense(ways)`. Received: output_shape={network.output_shape}"
        )
    activation = head_activation(network)
    if activation == "softmax":
        raise ValueError(
            "`network` must put out logits, of which the loss takes the softmax: leave out the activation of its last "
            "layer, as `keras.layers.Dense(ways)`, or `classifier_activation=None` in `keras.applications`. "
            f"Received: {network.name!r}, which ends with a softmax"
        )
    return activation


def check_embedding(network):
    """Refuses a network that does not put out embeddings `(batch, features)`."""
    if len(network.output_shape) != 2 or network.output_shape[1] is None:
        raise ValueError(
            "`network` must put out vectors (batch, features); end it with `keras.layers.GlobalAveragePooling2D()` or "
            f"`keras.layers.Flatten()`. Received: output_shape={network.output_shape}"
        )
    check_headless(network)


def check_headless(network):
    """Refuses a classifier that still has its softmax: its probabilities do not separate new classes well."""
    if head_activation(network) == "softmax":
        raise ValueError(
            "`network` must put out features and no probabilities: "
            "`keras.Model(network.input, network.layers[-2].output)` takes a classifier's last layer off. "
            f"Received: {network.name!r}, which ends with a softmax"
        )


# === Support sets ===


def check_support(learner, support_x, support_y):
    """Checks a support set, and returns it as arrays: float32 examples with int32 labels or float32 targets.

    Raises:
        ValueError: see `MetaLearner.adapt`.
    """
    support_x = check_learner_examples("support_x", support_x, learner)
    support_y = as_array("support_y", support_y)
    check_not_empty("support_x", support_x)
    check_learner_labels("support_y", support_y, (len(support_x),), learner)
    if support_y.dtype.kind == "f":
        return support_x, support_y.astype("float32")
    present = np.unique(support_y)
    if not np.array_equal(present, np.arange(len(present))):
        raise ValueError(
            "`support_y` must hold every label from 0 to ways - 1 at least once; "
            "`numpy.unique(labels, return_inverse=True)[1]` renumbers them. "
            f"Received: labels {present.tolist()}"
        )
    if learner.max_ways is not None and len(present) > learner.max_ways:
        raise ValueError(
            f"`support_y` must have at most {learner.max_ways} classes, the width of the network's head; "
            f"{learner.how_to_get_ways(len(present))}. Received: {len(present)} classes"
        )
    return support_x, support_y.astype("int32")


def check_adapted(learner, state):
    """Checks that a task state is finite, and returns it as a list of arrays. Classes of NaN would look valid."""
    # Check the weights first: an activation such as ReLU turns NaN into zeros.
    check_finite_weights("learner", learner.variables)
    if all(np.isfinite(values).all() for values in state):
        return state
    raise ValueError(
        "`support_x` and `support_y` must be in the range of training, and inner steps small enough: the adaptation "
        "leads to NaN or infinite values; scale the inputs and the targets to about [-1, 1]. "
        "Received: an adapted state that is not finite"
    )


# === Examples ===


def check_learner_examples(argument, examples, learner):
    """Checks examples `(n, *input_shape)`, and returns float32; uint8 images become `[0, 1]` as in `mtf.data.episodes`.

    Texts stay strings, as an array of objects. For a network that takes integers, such as tokens, they stay integers.
    """
    network = learner.network
    check_vocabularies(network)
    examples = check_examples(argument, examples, network.input_shape[1:], kind_of_examples(network))
    if takes_texts(network):
        return examples
    if takes_integers(network):
        return examples.astype(network.inputs[0].dtype)
    scaled = examples.astype("float32") / (255.0 if examples.dtype == np.uint8 else 1.0)
    check_input_scale(argument, scaled, learner)
    return scaled


def kind_of_examples(network):
    """The kind of examples that a learner's network takes, see `check_dtype`. uint8 of any shape becomes `[0, 1]`."""
    if takes_texts(network):
        return "texts"
    return "integers" if takes_integers(network) else "pixels"


def check_input_scale(argument, images, learner):
    """Refuses images in [0, 1] if the network divides pixels by 255 itself: all images would look almost the same."""
    if len(learner.network.input_shape) != 4 or not 0.0 < np.max(np.abs(images), initial=0.0) <= 1.0:
        return
    if is_for_other_range(learner.network, 1.0):
        raise ValueError(
            f"`{argument}` must be in the range that the network takes, and it divides pixels itself, in the layer "
            f"{first_rescaling(learner.network).name!r}: uint8 images are brought to [0, 1], so take that layer out of "
            f"the network, or give floats in [0, 255]. Received: values up to {np.max(np.abs(images)):.4g}"
        )
