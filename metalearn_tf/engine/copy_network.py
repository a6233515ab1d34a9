"""Copies of networks."""

import types

import keras
import numpy as np

from metalearn_tf.engine.keras_internals import flat_layers, inner_layers
from metalearn_tf.engine.python_state import copy_attributes
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.text_inputs import copy_vocabularies


@random_state_kept(wait=False)  # random initial weights are overwritten at once
def copy_network(network, with_attributes=True):
    """Copies a `keras.Model` with its configuration, weights, states, vocabularies and flags. No variable is shared.

    The copy uses the same classes and functions as the network. So you need not register classes with Keras, and the
    function of a `Lambda` layer is the same function.

    Args:
        network: a built `keras.Model`.
        with_attributes: whether to copy attributes that the configuration lacks, such as those that were set later.

    Raises:
        TypeError: if the configuration of a user's layer is not enough to build it again.
        NotImplementedError: if such a layer has no configuration.
        ValueError: if the model that is built from the configuration has other weights.
    """
    copy = build_again(network)
    _check_same_weights(network, copy)
    copy.set_weights(network.get_weights())
    copy_vocabularies(network, copy)
    for layer, copied in layer_pairs(network, copy):
        copy_what_is_no_weight(layer, copied, with_attributes)
    return copy


def layer_pairs(layer, copy, seen=None):
    """Pairs of a layer and its copy, and of all layers inside them, each pair once.

    Layers are paired by name if the names agree: a copy may not have a layer yet that is made at the first call.
    """
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield layer, copy
    parts, copies = inner_layers(layer), inner_layers(copy)
    names, by_name = {part.name for part in parts}, {part.name: part for part in copies}
    if len(names) == len(parts) and len(by_name) == len(copies) and names >= set(by_name):
        pairs = [(part, by_name[part.name]) for part in parts if part.name in by_name]
    else:  # Keras has numbered the names, as for layers in attributes
        pairs = zip(parts, copies, strict=True)
    for part, its_copy in pairs:
        yield from layer_pairs(part, its_copy, seen)


def build_again(network, change=None):
    """Builds a model from a network's configuration, with the same classes and functions, and with new weights.

    Args:
        network: a built `keras.Model`.
        change: a function that changes the configuration in place.
    """
    config, objects = network.get_config(), _custom_objects(network)
    if change is not None:
        change(config)
    _keep_objects(network, config, objects)
    objects["network"] = type(network)
    described = {"module": None, "class_name": type(network).__name__, "registered_name": "network"}
    with keras.saving.custom_object_scope(objects):
        return keras.saving.deserialize_keras_object({**described, "config": config}, safe_mode=False)


def _check_same_weights(network, copy):
    wanted, found = ([tuple(variable.shape) for variable in model.weights] for model in (network, copy))
    if wanted != found:
        raise ValueError(
            "`network` must be a model whose configuration contains all weights. It lacks layers that are not between "
            "the inputs and outputs, such as one in an attribute of a functional model; leave these layers out. "
            f"Received: {network.name!r} with {len(wanted)} weights, {len(found)} of them in its configuration"
        )


def check_can_be_copied(network, argument):
    """Refuses a network that its configuration cannot build again. Adapting, averaging and fine-tuning make copies.

    The check runs only if the network has layers or functions of the user. Other networks cost no time.

    Raises:
        ValueError: if it cannot be copied, or the copy computes something else.
    """
    if not _has_parts_of_its_own(network):
        return
    fix = "; `get_config` of each layer of your own must return all that its `__init__` takes"
    try:
        copy = copy_network(network, with_attributes=False)  # as from a file, which has only the configuration
    except (TypeError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"`{argument}` must be a model that can be copied, which `keras.Model.from_config` does{fix}. "
            f"Received: {network.name!r}; Keras says: {reason}"
        ) from error
    examples = _random_examples(network)
    if examples is None:
        return
    outputs, again, copied = (_outputs(model, examples) for model in (network, network, copy))
    is_random = not np.array_equal(outputs, again, equal_nan=True)
    if not is_random and not np.allclose(outputs, copied, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise ValueError(
            f"`{argument}` must be a model that can be copied{fix}. "
            f"Received: {network.name!r}, whose copy with the same weights computes something else"
        )


def as_model(part):
    """The model in a part of a configuration: in a copy's configuration, the part is the model itself."""
    return part if isinstance(part, keras.Model) else keras.saving.deserialize_keras_object(part)


def copy_what_is_no_weight(layer, copy, with_attributes=True):
    """Copies what a configuration may lack: `trainable`, attributes, and the values that `Normalization` keeps.

    Args:
        layer: a Keras layer.
        copy: another layer with the same configuration and weights.
        with_attributes: see `copy_network`.
    """
    if copy.trainable != layer.trainable:
        copy.trainable = layer.trainable
    if type(layer).load_own_variables is not keras.layers.Layer.load_own_variables:
        state = {}
        layer.save_own_variables(state)
        copy.load_own_variables(state)
    if with_attributes:
        copy_attributes(layer, copy)


def _has_parts_of_its_own(network):
    ours = [one for one in _custom_objects(network).values() if not one.__module__.startswith("metalearn_tf.")]
    return bool(ours) or any(isinstance(layer, keras.layers.Lambda) for layer in flat_layers(network))


def _custom_objects(network):
    """The classes and functions outside of Keras that a network's configuration names, by these names.

    The names include the registered ones, because another class may have been registered under the same name since.
    """
    found = {}
    for layer in flat_layers(network):
        for value in (layer, *vars(layer).values()):
            is_function = isinstance(value, types.FunctionType)
            one = value if is_function else type(value)
            if (is_function or hasattr(value, "get_config")) and not _is_of_keras(one):
                found.setdefault(one.__name__, one)
                found.setdefault(keras.saving.get_registered_name(one), one)
    return found


def _is_of_keras(one):
    return one.__module__.startswith(("keras.", "keras_hub."))


def _keep_objects(layer, config, objects):
    """Gives new names to the classes of inner layers and to lambdas in a configuration, and adds them to `objects`.

    Two classes may have the same name. A function that is built from its code alone would lose the names of its module.
    """
    for attribute, value in vars(layer).items():
        key = attribute.strip("_")
        if isinstance(value, types.FunctionType) and value.__name__ == "<lambda>" and key in config:
            name = f"function {len(objects)}"
            objects[name] = value
            config[key] = {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}
    inner_by_name = {inner.name: inner for inner in inner_layers(layer)}
    for described in _described_layers(config):
        inner = inner_by_name.get(described["config"].get("name"))
        if inner is not None:
            described.pop("compile_config", None)  # the copy is not trained like the network
            if not _is_of_keras(type(inner)):
                described["registered_name"] = name = f"layer {len(objects)}"
                objects[name] = type(inner)
            _keep_objects(inner, described["config"], objects)


def _described_layers(config):
    """The serialised objects in a layer's configuration, without those inside them."""
    for value in config.values() if isinstance(config, dict) else config:
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            yield value
        elif isinstance(value, (dict, list, tuple)):
            yield from _described_layers(value)


def _random_examples(network):
    """Two examples for a network with one floating input; `None` for others."""
    shape = network.input_shape
    if not isinstance(shape, tuple) or "float" not in str(network.inputs[0].dtype):
        return None
    sides = [16 if side is None else side for side in shape[1:]]
    return np.random.default_rng(0).normal(size=(2, *sides)).astype("float32")


def _outputs(network, examples):
    return np.concatenate([np.ravel(keras.ops.convert_to_numpy(x)) for x in keras.tree.flatten(network(examples))])
