"""Networks that are differentiated twice: finds those that TensorFlow gets wrong, and makes them exact."""

import re
import types
import weakref

import keras
import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers, gradient_function
from metalearn_tf.engine.regularization import added_losses
from metalearn_tf.engine.stateless_pass import stateless_pass
from metalearn_tf.networks.exact_derivatives import (
    EXACT_OPERATIONS,
    exact_derivatives,
    exact_gradients,
    is_variance_of_moments,
)
from metalearn_tf.networks.example_normalization import ExampleNormalization
from metalearn_tf.networks.max_pooling import MaxPooling
from metalearn_tf.networks.task_normalization import TaskNormalization

# Operations whose gradient has no gradient or a wrong one; `exact_derivatives` replaces it.
_MENDED = {*EXACT_OPERATIONS, *(f"{name}Grad" for name in EXACT_OPERATIONS)} - {"StopGradient"}
# TensorFlow uses the inverse of the transformation where the transpose of the sampling is needed.
_INEXACT = {"ImageProjectiveTransformV2", "ImageProjectiveTransformV3"}

# A network of only these layers is checked without a trace. This matters because a learner that adapts is copied, and
# each copy is checked. `tests/networks/test_second_derivatives.py` compares them with finite differences.
_PLAIN_LAYERS = """
    Conv1D Conv2D Conv3D SeparableConv1D SeparableConv2D DepthwiseConv1D DepthwiseConv2D Conv1DTranspose
    Conv2DTranspose Conv3DTranspose MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D
    AveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalAveragePooling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D
    Cropping3D InputLayer Dense Activation ReLU LeakyReLU ELU PReLU Flatten Reshape Permute Rescaling Identity Dropout
    Add Average Concatenate Multiply Subtract Dot
"""
_MENDED_LAYERS = "BatchNormalization LayerNormalization GroupNormalization UpSampling1D UpSampling2D UpSampling3D"
_PLAIN_ACTIVATIONS = "linear tanh sigmoid softplus softmax relu relu6 leaky_relu elu selu gelu silu"

PLAIN_LAYERS = {getattr(keras.layers, name) for name in _PLAIN_LAYERS.split()}
PLAIN_LAYERS |= {TaskNormalization, ExampleNormalization, MaxPooling}
MENDED_LAYERS = {getattr(keras.layers, name) for name in _MENDED_LAYERS.split()}
PLAIN_ACTIVATIONS = {None, *(getattr(keras.activations, name) for name in _PLAIN_ACTIVATIONS.split())}

_mended_layers = weakref.WeakSet()
_traced = {}


def check_second_derivatives(layer, argument, of_inputs=False, instead=""):
    """Refuses a layer or network whose second derivative would be wrong and cannot be made exact.

    Afterwards `twice_differentiable_call` and `twice_differentiable_pass` know which layers they must make exact.

    Args:
        layer: a built network, or one layer of it.
        argument: its name in messages.
        of_inputs: whether derivatives with respect to the inputs are taken too, not only to the trainable weights.
        instead: for messages: what else the user can do, a clause that follows "or".

    Raises:
        ValueError: names the layers without a second derivative.
    """
    if _is_made_of(layer, PLAIN_LAYERS):
        return
    if _is_made_of(layer, PLAIN_LAYERS | MENDED_LAYERS):
        _mended_layers.add(layer)
        return
    description = _description(layer, of_inputs)
    if description is None or description not in _traced:
        _traced[description] = _operations_in_question(layer, of_inputs)
    mended, missing = _traced[description]
    if missing:
        names = sorted({_name_of_layer(layer, name) for name, _ in missing})
        kinds = ", ".join(sorted({kind for _, kind in missing}))
        raise ValueError(
            f"`{argument}` must have a second derivative, and TensorFlow has none, or a wrong one, of {kinds}; use "
            "other layers in their place (Keras's convolutions, poolings, normalisations and resizing have one)"
            f"{f', or {instead}' if instead else ''}. Received: the layers {names}"
        )
    if mended:
        _mended_layers.add(layer)


def twice_differentiable_call(layer, inputs, **options):
    """A call of the layer with exact derivatives of every order, if `check_second_derivatives` has checked the layer.

    Returns:
        `layer(inputs, **options)`, and the list of losses that layers add in this call.
    """
    if layer not in _mended_layers:
        return layer(inputs, **options), added_losses(layer)
    flat = [tf.convert_to_tensor(tensor) for tensor in keras.tree.flatten(inputs)]

    def run(*flat):
        return layer(keras.tree.pack_sequence_as(inputs, flat), **options), added_losses(layer)

    return exact_derivatives(run, *flat)


def twice_differentiable_pass(layer, weights, states, inputs, training):
    """`stateless_pass` with exact derivatives of every order, if `check_second_derivatives` has checked the layer."""
    if layer not in _mended_layers:
        return stateless_pass(layer, weights, states, inputs, training)
    arguments = [list(weights), list(states), inputs]
    flat = [tf.convert_to_tensor(tensor) for tensor in keras.tree.flatten(arguments)]
    return exact_derivatives(
        lambda *flat: stateless_pass(layer, *keras.tree.pack_sequence_as(arguments, flat), training), *flat
    )


def _is_made_of(layer, kinds):
    """Whether a layer, or each part of a functional or sequential network, is exactly of one of some types."""
    if isinstance(layer, keras.Model):
        is_graph = type(layer).__module__.startswith("keras.")
        parts = getattr(layer, "operations", layer.layers)
        return is_graph and all(_is_made_of(part, kinds) for part in parts)
    if type(layer) is keras.layers.SpectralNormalization:
        return _is_made_of(layer.layer, kinds)
    return type(layer) in kinds and getattr(layer, "activation", None) in PLAIN_ACTIVATIONS


def _description(layer, of_inputs):
    """A key that is the same for a network of Keras's own layers and its copies; `None` for other networks."""
    parts = flat_layers(layer)
    used = [type(part) for part in parts]
    used += [value for part in parts for value in vars(part).values() if isinstance(value, types.FunctionType)]
    if not all(one.__module__.startswith("keras.") for one in used):
        return None  # another class or function of the same name may do something else
    return of_inputs, tuple(part.trainable for part in parts), repr(keras.saving.serialize_keras_object(layer))


def _operations_in_question(layer, of_inputs):
    """Finds the operations whose second derivative TensorFlow gets wrong.

    Returns:
        Whether there are some that `exact_derivatives` repairs, and a list of `(name, kind)` of the others.
    """
    arguments = [[*layer.trainable_variables], [*layer.non_trainable_variables], _inputs(layer)]
    found = {}

    def trace(*flat):
        weights, states, inputs = keras.tree.pack_sequence_as(arguments, flat)
        with exact_gradients():
            outputs = keras.tree.flatten(layer.stateless_call(weights, states, inputs, training=True)[0])
        outputs = [tensor for tensor in outputs if tensor.dtype.is_floating]
        sources = [*weights, *(keras.tree.flatten(inputs) if of_inputs else [])]
        sources = [tensor for tensor in sources if tensor.dtype.is_floating]
        found["forward"] = forward = _differentiated(sources, outputs)
        if not any(_is_without_gradient(operation) for operation in forward):
            # The squared norm of the outputs stands for a loss: its gradient depends on everything that a loss's
            # gradient would depend on.
            gradients = [g for g in tf.gradients(outputs, sources, outputs) if g is not None]
            found["gradient"] = _differentiated(sources, [tf.convert_to_tensor(g) for g in gradients])
        found["in functions"] = tf.compat.v1.get_default_graph().as_graph_def().library.function
        return outputs

    specs = [_spec(tensor) for tensor in keras.tree.flatten(arguments)]
    tf.function(trace, autograph=False).get_concrete_function(*specs)

    on_the_way = found["forward"] + found.get("gradient", [])
    mended = any(_is_mended(operation.name, operation.type) for operation in on_the_way)
    missing = [
        (operation.name, operation.type)
        for operation in on_the_way
        if operation.type in _INEXACT or (operation.type not in _MENDED and _is_without_gradient(operation))
    ]
    # `exact_derivatives` cannot reach operations inside loops, branches and functions.
    for function in found["in functions"]:
        missing += [(node.name, node.op) for node in function.node_def if _is_mended(node.name, node.op)]
    return mended, missing


def _differentiated(sources, targets):
    """The operations that floating tensors pass on the way from sources to targets."""
    between, graph = [], tf.compat.v1.get_default_graph()
    depends = {id(tensor) for tensor in sources}
    for operation in graph.get_operations():  # in the order in which they were made
        outputs = [tensor for tensor in operation.outputs if tensor.dtype.is_floating or tensor.dtype == tf.variant]
        if outputs and any(id(tensor) in depends for tensor in operation.inputs):
            depends |= {id(tensor) for tensor in outputs}
            between.append(operation)
    needed, waiting = set(), [tensor.op for tensor in targets]
    while waiting:
        operation = waiting.pop()
        if id(operation) not in needed:
            needed.add(id(operation))
            waiting += [tensor.op for tensor in operation.inputs]
    return [operation for operation in between if id(operation) in needed]


def _is_mended(name, kind):
    """Whether TensorFlow's gradient of an operation is one of those that `exact_derivatives` replaces."""
    return is_variance_of_moments(name) if kind == "StopGradient" else kind in _MENDED


def _is_without_gradient(operation):
    """Whether an operation has no gradient, or is a gradient whose derivative TensorFlow wrongly treats as zero."""
    try:
        return gradient_function(operation) is None and operation.type.endswith("Grad")
    except LookupError:
        return True


def _inputs(layer):
    """The structure of a layer's inputs."""
    try:
        return layer.input
    except (AttributeError, ValueError):  # a subclassed model, which knows only its shape
        return keras.KerasTensor(layer.input_shape, layer.compute_dtype)


def _spec(tensor):
    shape = tuple(tensor.shape)
    if isinstance(tensor, keras.KerasTensor) and shape and shape[0] is None:
        shape = (2, *shape[1:])
    return tf.TensorSpec(shape, tensor.dtype)


def _name_of_layer(layer, operation):
    """The innermost layer that an operation, or the gradient of one, belongs to, by their names."""
    names = {sub_layer.name for sub_layer in flat_layers(layer)}
    parts = [part if part in names else re.sub(r"_\d+$", "", part) for part in operation.split("/")]
    of_layers = [part for part in parts if part in names]
    return of_layers[-1] if of_layers else layer.name
