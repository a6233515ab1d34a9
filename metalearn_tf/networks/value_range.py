"""The bounds of a network's output, as far as its last layers show them."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.engine.keras_internals import calls_of, origin_of

UNKNOWN = (-np.inf, np.inf)

# Layers and operations of Keras whose outputs are values of their inputs, or means of them.
_CARRIERS = {
    *("Reshape", "Flatten", "Permute", "Identity", "RepeatVector", "ActivityRegularization", "Cast", "StopGradient"),
    *("Cropping1D", "Cropping2D", "Cropping3D", "CenterCrop", "UpSampling1D", "UpSampling3D", "Concatenate", "Average"),
    *("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GlobalAveragePooling1D"),
    *("GlobalAveragePooling2D", "GlobalAveragePooling3D", "Maximum", "Minimum", "Transpose", "Squeeze", "ExpandDims"),
    *("GetItem", "Stack", "Flip", "Rot90", "Repeat", "Tile", "Swapaxes", "Moveaxis", "Ravel", "BroadcastTo", "Roll"),
    *("Take", "TakeAlongAxis", "Slice", "Split", "Copy", "SaturateCast", "DepthToSpace", "SpaceToDepth", "CropImages"),
    *("Max", "Min", "Mean", "Unstack", "Hstack", "Vstack", "Dstack"),
}
_PADDING = {"ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"}
# Those that compute each output value from one input value. Softmax uses other values too, but its bounds are known.
_ELEMENTWISE = {
    *("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Rescaling", "Add", "Subtract", "Multiply", "Divide"),
    *("TrueDivide", "Negative", "Absolute", "Abs", "Square", "Sqrt", "Exp", "Clip", "Tanh", "Arctan", "Sin", "Cos"),
    *("Relu", "Relu6", "Sigmoid", "SparseSigmoid", "Softplus", "Softsign", "Silu", "LogSigmoid", "LeakyRelu", "Elu"),
    *("HardSigmoid", "HardSilu", "Selu", "Gelu", "Celu", "HardTanh", "Sparsemax", "Maximum", "Minimum", "Squareplus"),
}
# At these inputs an activation has reached its bounds, or it has none.
_FAR = 1e6


def value_range(network):
    """Bounds of the values that a network returns.

    The layers are read from the last one backwards: through layers that only move values (`Reshape`, `Cropping2D`,
    nested models) or that change each value by itself (`Rescaling`, `keras.ops.clip`), up to an activation. A custom
    layer can give its bounds in an attribute `output_range`.

    Args:
        network: a built functional or sequential `keras.Model` of one output.

    Returns:
        Lowest and highest value, `-inf` and `inf` where there is no bound or none is known.
    """
    return _range_of(network.outputs[0], {})


def _range_of(tensor, outer):
    """The bounds of a symbolic tensor; `outer` has the bounds of the inputs of the nested model that it is in."""
    operation, node_index, tensor_index = origin_of(tensor)
    if id(tensor) in outer:
        return outer[id(tensor)]
    if hasattr(operation, "output_range"):
        return tuple(map(float, operation.output_range))
    if isinstance(operation, keras.layers.InputLayer):
        return UNKNOWN
    node = calls_of(operation)[node_index]
    ranges = [_range_of(part, outer) for part in node.input_tensors]
    if isinstance(operation, keras.Model):
        inputs = dict(zip(map(id, operation.inputs), ranges)) if getattr(operation, "inputs", None) else None
        return UNKNOWN if inputs is None else _range_of(operation.outputs[tensor_index], inputs)
    name, is_keras = type(operation).__name__, type(operation).__module__.startswith("keras.")
    if is_keras and (name in _CARRIERS or _interpolates(operation)) and len(ranges) > 0:
        return min(low for low, _ in ranges), max(high for _, high in ranges)
    if is_keras and name in _PADDING:
        return min(0.0, ranges[0][0]), max(0.0, ranges[0][1])
    if is_keras and name in _ELEMENTWISE and len(ranges) == 1:
        arguments = node.arguments

        def function(values):
            filled = {id(tensor): values for tensor in node.input_tensors}
            fill = keras.tree.map_structure(lambda part: filled.get(id(part), part), (arguments.args, arguments.kwargs))
            return operation(*fill[0], **fill[1])

        return _range_of_function(function, *ranges[0])
    # A wrapper, such as `SpectralNormalization`, ends as its layer does.
    activation = getattr(getattr(operation, "layer", operation), "activation", None)
    if callable(activation) and not isinstance(activation, keras.Layer):
        return _range_of_function(activation, *UNKNOWN)
    return UNKNOWN


def _interpolates(operation):
    """Whether a layer or operation resizes images by means of pixels; cubic kernels exceed the pixels' range."""
    method = getattr(operation, "interpolation", None)
    return type(operation).__name__ in ("UpSampling2D", "Resizing", "Resize") and method in ("nearest", "bilinear")


def _range_of_function(function, low, high):
    """The bounds of a function of single values on an interval, from its values on a fine grid."""
    ends = [-_FAR if low == -np.inf else low, _FAR if high == np.inf else high]
    near = np.linspace(max(ends[0], -10.0), min(ends[1], 10.0), 4001)
    grid = np.unique(np.concatenate([ends, near[(near >= ends[0]) & (near <= ends[1])]])).astype("float32")
    try:
        with tf.init_scope():  # real numbers, also while a graph is traced
            values = np.asarray(keras.ops.convert_to_numpy(function(tf.constant(grid[None]))), "float64")
    except (TypeError, ValueError, RuntimeError):  # it needs values of another shape or kind
        return UNKNOWN
    least, most = float(values.min()), float(values.max())
    if np.isnan(least):
        return UNKNOWN
    is_far = np.inf in (-low, high)
    # Rounded, because a maximum may lie between the points.
    return (
        -np.inf if is_far and least < -1e3 else round(least, 5),
        np.inf if is_far and most > 1e3 else round(most, 5),
    )
