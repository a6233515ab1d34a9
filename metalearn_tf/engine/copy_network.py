"""Copies of networks."""

import types

import keras
import numpy as np

from metalearn_tf.engine.keras_internals import flat_layers, inner_layers
from metalearn_tf.engine.python_state import copy_attributes
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.text_inputs import copy_vocabularies


@random_state_kept(wait=False)  # first weights are drawn, and overwritten at once
def copy_network(network, with_attributes=True):
    """A `keras.Model` of the same configuration, weights, states, vocabularies and flags, with no variable in common.

    A copy inside the process can use the objects that the network itself uses. So a class need not be registered with
    Keras, and a function, such as that of a `Lambda` layer, is the same function.

    Args:
        network: a built `keras.Model`.
        with_attributes: whether attributes that the configuration lacks go with it, as those that were set later.

    Raises:
        TypeError: if the configuration of a layer of the user's own does not say how to build it again.
        NotImplementedError: if such a layer has no configuration.
        ValueError: if what is built from the configuration has other weights.
    """
    copy = build_again(network)
    _check_same_weights(network, copy)
    copy.set_weights(network.get_weights())
    copy_vocabularies(network, copy)
    for layer, copied in layer_pairs(network, copy):
        copy_what_is_no_weight(layer, copied, with_attributes)
    return copy


def layer_pairs(layer, copy, seen=None):
    """A layer with its copy, and all layers within in pairs, each once.

    They go by their names where these agree: a layer that its owner makes on its first call is not in a copy yet.
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
    else:  # named by number, as layers in attributes are
        pairs = zip(parts, copies, strict=True)
    for part, its_copy in pairs:
        yield from layer_pairs(part, its_copy, seen)


def build_again(network, change=None):
    """A model of a network's configuration and of its own classes and functions, with weights of its own.

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
            "`network` must be a model of which the configuration says all weights: a layer that is none of its inputs "
            "and outputs, such as one in an attribute of a functional model, is not in it; leave that layer out. "
            f"Received: {network.name!r} of {len(wanted)} weights, {len(found)} of them in its configuration"
        )


def check_can_be_copied(network, argument):
    """Refuses a network whose configuration does not make it again: to adapt, to average or to fine-tune is to copy.

    Only layers and functions of the user's own are looked at, so that a network of Keras's layers costs nothing.

    Raises:
        ValueError: if it cannot be copied, or the copy computes something else.
    """
    if not _has_parts_of_its_own(network):
        return
    fix = "; `get_config` of each layer of your own must return all that its `__init__` takes"
    try:
        copy = copy_network(network, with_attributes=False)  # a file has the configuration alone
    except (TypeError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"`{argument}` must be a model that can be copied, which `keras.Model.from_config` does{fix}. "
            f"Received: {network.name!r}, of which Keras says: {reason}"
        ) from error
    examples = _random_examples(network)
    if examples is None:
        return
    outputs, again, copied = (_outputs(model, examples) for model in (network, network, copy))
    is_random = not np.array_equal(outputs, again, equal_nan=True)
    if not is_random and not np.allclose(outputs, copied, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise ValueError(
            f"`{argument}` must be a model that can be copied{fix}. "
            f"Received: {network.name!r}, whose copy of the same weights computes something else"
        )


def as_model(part):
    """A part of a configuration as the model that it describes, or is, in a copy's configuration."""
    return part if isinstance(part, keras.Model) else keras.saving.deserialize_keras_object(part)


def copy_what_is_no_weight(layer, copy, with_attributes=True):
    """What a configuration may lack: the flag, attributes, and what a layer as `Normalization` keeps in its own way.

    Args:
        layer: a Keras layer.
        copy: another of the same configuration and weights.
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

    The name under which a class is registered is one of them: another class may have been registered by it since.
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
    """Names the classes of inner layers and nameless functions in a configuration anew, and puts them into `objects`.

    Two classes may have one name. From its code alone, a function would come back without the names of the module that
    it was written in.
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
            described.pop("compile_config", None)  # the copy is not trained as the network was
            if not _is_of_keras(type(inner)):
                described["registered_name"] = name = f"layer {len(objects)}"
                objects[name] = type(inner)
            _keep_objects(inner, described["config"], objects)


def _described_layers(config):
    """The serialised objects in a layer's configuration, but for those inside of them."""
    for value in config.values() if isinstance(config, dict) else config:
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            yield value
        elif isinstance(value, (dict, list, tuple)):
            yield from _described_layers(value)


def _random_examples(network):
    """Two examples for a network of one input of floating numbers; `None` for others."""
    shape = network.input_shape
    if not isinstance(shape, tuple) or "float" not in str(network.inputs[0].dtype):
        return None
    sides = [16 if side is None else side for side in shape[1:]]
    return np.random.default_rng(0).normal(size=(2, *sides)).astype("float32")


def _outputs(network, examples):
    return np.concatenate([np.ravel(keras.ops.convert_to_numpy(x)) for x in keras.tree.flatten(network(examples))])
