"""The last activation of a network."""

import keras
import numpy as np

from metalearn_tf.engine.keras_internals import calls_of, origin_of

# Operations, by class name, that only reshape or reorder their inputs.
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
# Operations whose outputs lie between their inputs: from probabilities they make probabilities.
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
    """`"softmax"` or `"sigmoid"` if a network's outputs are probabilities of that kind; `None` otherwise.

    It is read from the network's layers, also inside of nested models and before layers that only reshape or average. A
    network that ends with a user's own layer or function is tried on random examples. If its outputs are positive with
    the sum 1, they count as softmax; if all are between 0 and 1, as sigmoid.

    Args:
        network: a built `keras.Model` of one input and one output.
    """
    return _activation_of(network.outputs[0], network)


def _activation_of(tensor, network):
    """`head_activation` of a symbolic tensor of a network."""
    while True:
        operation, node, index = origin_of(tensor)
        if getattr(operation, "outputs", None):  # a nested model
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
    """Whether it is Keras's layer, with Keras's activation if it has one: then its name is enough."""
    if not isinstance(operation, keras.Layer) or isinstance(operation, keras.layers.Lambda):
        return False
    parts = (type(operation), getattr(operation, "activation", None) or type(operation))
    return all(getattr(part, "__module__", "").startswith("keras.") for part in parts)


def _seen_activation(network):
    """The kind of probabilities that outputs for random examples look like."""
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
