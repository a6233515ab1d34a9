"""What a network's outputs have gone through last."""

import keras
import numpy as np

from metalearn_tf.engine.keras_internals import calls_of, origin_of

# Operations, by their class, whose outputs are their inputs in another form.
_SAME_VALUES = (
    "Activation",
    "Cast",
    "Dropout",
    "ExpandDims",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GetItem",
    "Identity",
    "Permute",
    "Reshape",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Squeeze",
    "Transpose",
)
# Those whose outputs lie between their inputs: of probabilities, they are such as well.
_MIXTURES = (
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "Concatenate",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Maximum",
    "Minimum",
)
_OPERATIONS = {"Softmax": "softmax", "Sparsemax": "sparsemax", "Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid"}
_BOUNDED = {"softmax": "softmax", "sparsemax": "softmax", "sigmoid": "sigmoid", "hard_sigmoid": "sigmoid"}


def head_activation(network):
    """`"softmax"` or `"sigmoid"`, where a network's outputs are probabilities of that kind; `None` otherwise.

    It is read from the network's layers, also inside of models, and behind layers that only reshape or average. A
    network that ends with a layer or a function of the user's own is asked: where its outputs for random examples are
    positive and have the sum 1, or all lie between 0 and 1, they are taken for such.

    Args:
        network: a built `keras.Model` of one input and one output.
    """
    return _activation_of(network.outputs[0], network)


def _activation_of(tensor, network):
    """`head_activation` of a symbolic tensor of a network."""
    while True:
        operation, node, index = origin_of(tensor)
        if getattr(operation, "outputs", None):  # a model in the place of a layer
            tensor = operation.outputs[index]
            continue
        if isinstance(operation, keras.layers.Wrapper):
            operation = operation.layer
        name = _activation_name(operation)
        if name in _BOUNDED:
            return _BOUNDED[name]
        if type(operation).__name__ in _SAME_VALUES and name in (None, "linear") and calls_of(operation):
            tensor = calls_of(operation)[node].input_tensors[0]
            continue
        if type(operation).__name__ in _MIXTURES and calls_of(operation):
            found = {_activation_of(one, network) for one in calls_of(operation)[node].input_tensors}
            return None if None in found else "softmax" if found == {"softmax"} else "sigmoid"
        return None if _is_known(operation) else _seen_activation(network)


def _activation_name(operation):
    """The name of the activation of a layer or of an operation of `keras.ops`; `None` without one."""
    if type(operation).__name__ in _OPERATIONS:
        return _OPERATIONS[type(operation).__name__]
    activation = getattr(operation, "activation", None)
    return (
        _activation_name(activation) if isinstance(activation, keras.Layer) else getattr(activation, "__name__", None)
    )


def _is_known(operation):
    """Whether it is a layer of Keras's, with an activation of Keras's if it has one: then its name has said all."""
    if not isinstance(operation, keras.Layer) or isinstance(operation, keras.layers.Lambda):
        return False
    parts = (type(operation), getattr(operation, "activation", None) or type(operation))
    return all(getattr(part, "__module__", "").startswith("keras.") for part in parts)


def _seen_activation(network):
    """What outputs for random examples look like."""
    inputs = network.inputs[0]
    if "float" not in str(inputs.dtype):
        return None
    sides = [16 if side is None else side for side in inputs.shape[1:]]
    examples = np.random.default_rng(0).normal(size=(16, *sides)).astype("float32")
    outputs = np.asarray(network(np.concatenate([examples, 3.0 * examples]), training=False), "float64")
    if not (outputs >= 0.0).all():
        return None
    if outputs.shape[-1] > 1 and np.allclose(outputs.sum(axis=-1), 1.0, atol=1e-2):
        return "softmax"
    return "sigmoid" if ((outputs > 0.0) & (outputs < 1.0)).all() else None
