"""Checks on task states that clients keep: whether they belong to this model and to one task."""

import collections
import json

import numpy as np
import tensorflow as tf

from metalearn_tf.engine.describe import describe
from metalearn_tf.files.fingerprint import fingerprint
from metalearn_tf.serving.request_checks import after, require

# Sizes that no network has by chance, so an axis with one of these lengths can be identified.
_SUPPORT, _WAYS = 1009, 503


def model_fingerprint(model, variables):
    """Four numbers, int32 `(4,)`, that identify the weights and the configuration of a model.

    They stay the same if the model is loaded, copied or built again with the same weights.

    Args:
        model: a learner or a `MetaGAN`.
        variables: its Keras variables. Integer variables, such as counters and random states, do not count.
    """
    distinct = {id(variable): variable for variable in variables}.values()
    weights = [np.asarray(variable) for variable in distinct if "float" in str(variable.dtype)]
    digest = fingerprint(json.dumps(describe(model), sort_keys=True).encode(), *weights)
    return np.frombuffer(bytes.fromhex(digest)[:16], "<i4")


def fingerprint_spec(states, axes=()):
    """The `tf.TensorSpec` of the last tensor of a task state, which comes after `states` other tensors.

    This tensor has the model's fingerprint and then the lengths of the named `axes`.
    """
    return tf.TensorSpec((4 + len(axes),), tf.int32, name=f"state_{states}")


def check_owner(state, given, expected, spec):
    """Checks that the fingerprint in a task state is the one of this model.

    Returns:
        A list of the state's tensors, and a list of the lengths that came with the fingerprint.
    """
    given = tf.ensure_shape(given, spec.shape, name=f"{spec.name}_shape")
    message = (
        f"`state_0` to `{spec.name}` must be what `adapt` of this very model returned, and `{spec.name}` is the "
        "fingerprint of another model or another version of it: adapt again."
    )
    *state, given = after([require(tf.reduce_all(given[:4] == expected), message, given)], *state, given)
    return state, tf.unstack(given[4:])


def check_tensors(state, specs):
    """Checks that each tensor of a task state has the shape of its spec, is not empty, and is finite; returns them."""
    checked, checks = [], []
    for tensor, spec in zip(state, specs):
        tensor = tf.ensure_shape(tensor, spec.shape, name=f"{spec.name}_shape")
        size = tf.size(tensor)
        checks.append(require(size > 0, f"`{spec.name}` must not be empty.", size))
        if tensor.dtype.is_floating:
            bad = tf.math.count_nonzero(~tf.math.is_finite(tensor), dtype=tf.int32)
            checks.append(require(bad == 0, f"`{spec.name}` must be finite. NaN or infinite values:", bad))
        checked.append(tensor)
    return after(checks, *checked)


def check_state(learner, state, specs, lengths, axes, limits):
    """Checks that the tensors of a client's task state can belong to one task of this learner; returns them.

    Args:
        learner: a `MetaLearner`.
        state: a list of tensors.
        specs: their `tf.TensorSpec`s.
        lengths: a dictionary from the names of axes to their lengths when the state was made.
        axes: the result of `state_axes`.
        limits: a dictionary, see `mtf.serving.limits`.
    """
    state = check_tensors(state, specs)
    checks = []
    for what, places in axes.items():
        sizes = [tf.shape(state[index])[axis] for index, axis in places]
        names = ", ".join(f"`{specs[index].name}`" for index, _ in places)
        message = f"{names} must be whole and of one task, with the {what} that `adapt` was given."
        checks.append(require(tf.reduce_all(tf.equal(sizes, lengths[what])), message, sizes, lengths[what]))
    for tensor, spec in zip(state, specs):
        if spec.shape.rank and spec.shape[0] is None:
            message = f"`{spec.name}` must have at most {limits['max_support']} rows (`max_support` of the export)."
            rows = tf.shape(tensor)[0]
            checks.append(require(rows <= limits["max_support"], message, rows))
        if tensor.dtype.is_integer and spec.shape.rank == 0 and learner.max_ways is not None:
            message = f"`{spec.name}` must be the number of classes, from 1 to {learner.max_ways}."
            checks.append(require((tensor >= 1) & (tensor <= learner.max_ways), message, tensor))
    state = after(checks, *state)
    names = ", ".join(f"`{spec.name}`" for spec in specs)
    return after([require(holds, f"{names}: {must}") for holds, must in learner.state_checks(state)], *state)


def state_rows(state, specs):
    """The largest number of rows among a state's tensors without a fixed length, int32 scalar; 0 if there are none."""
    rows = [tf.shape(tensor)[0] for tensor, spec in zip(state, specs) if spec.shape.rank and spec.shape[0] is None]
    return tf.reduce_max([0, *rows])


def state_axes(learner, specs, support_x, support_y):
    """Finds the axes of a task state that are the support examples, and those that are the ways.

    It traces the adaptation to a support set with known sizes.

    Args:
        learner: a `MetaLearner`.
        specs: the `tf.TensorSpec`s of the state.
        support_x: the `tf.TensorSpec` of the support examples `(None, ...)`.
        support_y: the `tf.TensorSpec` of the labels `(None,)`, or targets.

    Returns:
        A dictionary from `"support examples"` and `"classes"` to pairs of a tensor's index and its axis. It has only
        axes without a fixed length.
    """
    axes = collections.defaultdict(list)
    if all(spec.shape.is_fully_defined() for spec in specs):
        return axes
    given = [tf.TensorSpec((_SUPPORT, *spec.shape[1:]), spec.dtype) for spec in (support_x, support_y)]
    for index, (output, spec) in enumerate(zip(learner.state_specs(*given, ways=_WAYS), specs)):
        for axis, (length, open_length) in enumerate(zip(output.shape, spec.shape)):
            what = {_SUPPORT: "support examples", _WAYS: "classes"}.get(length)
            if what is not None and open_length is None:
                axes[what].append((index, axis))
    return axes
