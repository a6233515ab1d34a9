"""Task states that clients keep: whose they are, and whether their tensors are of one task."""

import collections
import json

import numpy as np
import tensorflow as tf

from metalearn_tf.engine.describe import describe
from metalearn_tf.files.fingerprint import fingerprint
from metalearn_tf.serving.request_checks import after, require

# Whose sizes no network has by chance, so that an axis of one of these lengths is known for what it is.
_SUPPORT, _WAYS = 1009, 503


def model_fingerprint(model, variables):
    """Four numbers that say of which weights and configuration a task state is, int32 `(4,)`.

    The same for a model that is loaded, copied or built again with the same weights.

    Args:
        model: a learner or a `MetaGAN`.
        variables: its Keras variables. Those of integers, such as counters and random states, do not count.
    """
    distinct = {id(variable): variable for variable in variables}.values()
    weights = [np.asarray(variable) for variable in distinct if "float" in str(variable.dtype)]
    digest = fingerprint(json.dumps(describe(model), sort_keys=True).encode(), *weights)
    return np.frombuffer(bytes.fromhex(digest)[:16], "<i4")


def fingerprint_spec(states, axes=()):
    """The `tf.TensorSpec` of what comes beside `states` other tensors of a task state, as the last of them.

    It is the model's fingerprint, and after it the lengths of the `axes` that are known by name.
    """
    return tf.TensorSpec((4 + len(axes),), tf.int32, name=f"state_{states}")


def check_owner(state, given, expected, spec):
    """The tensors of a task state, passed on once the fingerprint that came with them is that of this model.

    Returns:
        A list of the tensors, and one of the lengths that came with the fingerprint.
    """
    given = tf.ensure_shape(given, spec.shape, name=f"{spec.name}_shape")
    message = (
        f"`state_0` to `{spec.name}` must be what `adapt` of this very model returned, and `{spec.name}` is the "
        "fingerprint of another model or another version of it: adapt again."
    )
    *state, given = after([require(tf.reduce_all(given[:4] == expected), message, given)], *state, given)
    return state, tf.unstack(given[4:])


def check_tensors(state, specs):
    """The tensors of a task state, passed on once each has the shape of its spec, is not empty, and is finite."""
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
    """The tensors of a task state that a client has kept, passed on once they can be of one task of this learner.

    Args:
        learner: a `MetaLearner`.
        state: a list of tensors.
        specs: their `tf.TensorSpec`s.
        lengths: a dictionary from the names of axes to how long they were when the state was made.
        axes: what `state_axes` returns.
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
    """The most rows of a state's tensors of open length, int32 scalar; 0 without such."""
    rows = [tf.shape(tensor)[0] for tensor, spec in zip(state, specs) if spec.shape.rank and spec.shape[0] is None]
    return tf.reduce_max([0, *rows])


def state_axes(learner, specs, support_x, support_y):
    """Which axes of a task state are the support examples, and which the ways.

    They are found by tracing the adaptation to a support set of known sizes.

    Args:
        learner: a `MetaLearner`.
        specs: the `tf.TensorSpec`s of the state.
        support_x: that of the support examples `(None, ...)`.
        support_y: that of the labels `(None,)`, or targets.

    Returns:
        A dictionary from `"support examples"` and `"classes"` to pairs of a tensor's index and its axis, of those axes
        whose length is open.
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
