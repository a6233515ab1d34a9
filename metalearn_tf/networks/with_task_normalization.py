"""Keras networks with the normalisation of few-shot tasks."""

import keras
import numpy as np

from metalearn_tf.engine.copy_network import build_again, copy_what_is_no_weight, layer_pairs
from metalearn_tf.engine.keras_internals import calls_of, flat_layers
from metalearn_tf.engine.text_inputs import copy_vocabularies
from metalearn_tf.networks.task_normalization import NORMALIZATIONS, TaskNormalization

# Options that `TaskNormalization` does not have, and the values that mean they are not used.
_WITHOUT = {
    "renorm": False,
    "synchronized": False,
    "gamma_regularizer": None,
    "beta_regularizer": None,
    "gamma_constraint": None,
    "beta_constraint": None,
}


def with_task_normalization(network, normalization="support"):
    """A copy of a network in which each batch normalisation is a `TaskNormalization`.

    `keras.layers.BatchNormalization` uses the statistics of the batch in training and their moving averages otherwise.
    A learner that adapts by gradients trains its weights for the batch statistics but is tested with the averages; its
    accuracy is then often at chance.

    ```python
    backbone = keras.applications.MobileNetV2((96, 96, 3), include_top=False, weights="imagenet", pooling="avg")
    backbone = mtf.networks.with_task_normalization(backbone, "support")
    network = keras.Sequential([backbone, keras.layers.Dense(5)])
    learner = mtf.learners.MAML(network)
    ```

    Args:
        network: a built functional or sequential `keras.Model`, which may hold others. The batch normalisations in it
            are `keras.layers.BatchNormalization` over the last axis, or `TaskNormalization`.
        normalization: `"transductive"`, `"support"` or `"running"`, see `TaskNormalization`.

    Returns:
        A network with the same type, names, flags, vocabularies and weights, which shares no variable with `network`.
        Scale and offset are copied from the batch normalisation. For `"running"` the moving averages are copied too, so
        outside training it computes the same as `network`.

    Raises:
        ValueError: if the network is of another kind, or a batch normalisation does more than `TaskNormalization` can,
            or is inside a layer that is not a functional or sequential model.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"`normalization` must be one of {NORMALIZATIONS}. Received: {normalization!r}")
    if not _is_graph(network) or not network.built:
        raise ValueError(
            "`network` must be a built functional or sequential keras.Model; a subclassed model has to use "
            f"`mtf.networks.TaskNormalization` itself. Received: {_description(network)}"
        )
    _check_parts(network)
    copy = build_again(network, lambda config: _replace(config, normalization))
    copy_vocabularies(network, copy)
    _copy_weights(network, copy)
    return copy


def _is_graph(layer):
    return isinstance(layer, keras.Model) and type(layer).__module__.startswith("keras.")


def _description(network):
    return f"{type(network).__name__} {getattr(network, 'name', '')!r}"


def _check_parts(model):
    for layer in model.layers:
        if _is_graph(layer):
            _check_parts(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            _check_normalization(layer)
        else:
            inside = [part.name for part in flat_layers(layer) if _is_normalization(part) and part is not layer]
            if inside:
                raise ValueError(
                    "`network` must have its batch normalisations as layers of functional or sequential models, where "
                    "they can be replaced; use `mtf.networks.TaskNormalization` in layers of your own. "
                    f"Received: {inside} in the layer {_description(layer)}"
                )


def _is_normalization(layer):
    return isinstance(layer, (keras.layers.BatchNormalization, TaskNormalization))


def _check_normalization(layer):
    axes = np.ravel(layer.axis).tolist()
    if axes not in ([-1], [layer.input_spec.ndim - 1]):
        raise ValueError(
            "`network` must have batch normalisations over the last axis, that of the channels. "
            f"Received: axis={layer.axis} in the layer {layer.name!r}"
        )
    options = {name: getattr(layer, name) for name, value in _WITHOUT.items() if getattr(layer, name) != value}
    if options or type(layer) is not keras.layers.BatchNormalization:
        raise ValueError(
            "`network` must have plain `keras.layers.BatchNormalization`, whose only options are `axis`, `momentum`, "
            f"`epsilon`, `center` and `scale`. Received: {options or type(layer).__name__} in the layer {layer.name!r}"
        )
    if any(node.arguments.kwargs.get("mask") is not None for node in calls_of(layer)):
        raise ValueError(
            "`network` must have batch normalisations of inputs without a mask; "
            f"`keras.layers.LayerNormalization` needs none. Received: a mask in the layer {layer.name!r}"
        )


def _replace(config, normalization):
    """Changes the configuration of a model, and of the models in it."""
    for described in config["layers"]:
        inner = described["config"]
        if described["class_name"] == "BatchNormalization":
            kept = ("name", "trainable", "dtype", "momentum", "epsilon", "scale", "center")
            described["config"] = {key: inner[key] for key in kept} | {"normalization": normalization}
            for node in described.get("inbound_nodes", []):
                node["kwargs"].pop("mask", None)  # which is None
            described["module"] = TaskNormalization.__module__
            described["class_name"] = "TaskNormalization"
            described["registered_name"] = keras.saving.get_registered_name(TaskNormalization)
        elif described["registered_name"] == keras.saving.get_registered_name(TaskNormalization):
            inner["normalization"] = normalization
        elif described["class_name"] in ("Functional", "Sequential", "Model"):
            _replace(inner, normalization)


def _copy_weights(layer, copy):
    """Pairs of each layer and its copy. Models come before their layers, because they set their layers' flags."""
    if _is_graph(layer):
        copy.trainable = layer.trainable
        for one, other in zip(layer.layers, copy.layers, strict=True):
            _copy_weights(one, other)
        return
    if _is_normalization(layer):
        _copy_normalization(layer, copy)
    else:
        copy.set_weights(layer.get_weights())
    for one, other in layer_pairs(layer, copy):
        if _is_normalization(one):
            other.trainable = one.trainable
        else:
            copy_what_is_no_weight(one, other)


def _copy_normalization(layer, copy):
    if isinstance(layer, TaskNormalization):
        values = {variable.name: variable for variable in layer.weights}
    else:
        values = {"scale": layer.gamma, "offset": layer.beta}
        values |= {"mean": layer.moving_mean, "variance": layer.moving_variance}
        is_untrained = np.all(np.asarray(layer.moving_mean) == 0) and np.all(np.asarray(layer.moving_variance) == 1)
        # Averages of many batches must not be forgotten at the next batch.
        values["batches"] = 0 if is_untrained else _batches_of_averages(layer.momentum)
    for variable in copy.weights:
        if values.get(variable.name) is not None:
            variable.assign(values[variable.name])


def _batches_of_averages(momentum):
    """The number of batches after which moving averages have their full momentum."""
    return int(min(np.ceil(momentum / max(1.0 - momentum, 1e-9)), 2**30))
