"""Checks on the batches of tasks that a learner's methods get. They run before any work."""

import numpy as np
import tensorflow as tf

from metalearn_tf.checks.arrays import as_array
from metalearn_tf.checks.dtypes import check_dtype
from metalearn_tf.checks.sample_weights import check_sample_weight
from metalearn_tf.engine.text_inputs import takes_integers, takes_texts
from metalearn_tf.learners.label_checks import check_learner_labels, check_metric_fits, check_same_kind
from metalearn_tf.learners.task_checks import check_input_scale, check_learner_examples, kind_of_examples


def check_tasks(learner, x, y=None, sample_weight=None, training=True):
    """Checks a batch of tasks.

    Args:
        learner: a `MetaLearner`.
        x: `(support_x, support_y, query_x)`.
        y: `query_y`; `None` if there is none, as for `predict`.
        sample_weight: the weights `(tasks, queries)`, if there are any.
        training: whether the width of the head must equal the ways of the tasks; otherwise it may be larger.

    Returns:
        The arrays of `x`, and the array of `y` or `None`.

    Raises:
        ValueError: if the batch does not have the structure and shapes of tasks, or its ways do not fit the head.
    """
    if not isinstance(x, (tuple, list)) or len(x) != 3:
        raise ValueError(
            "A learner trains on tasks, `((support_x, support_y, query_x), query_y)`, as `mtf.data.episodes` yields "
            f"them. Received: x={type(x).__name__}{f' of {len(x)}' if isinstance(x, (tuple, list)) else ''}"
        )
    names = ("support_x", "support_y", "query_x", "query_y")
    support_x, support_y, query_x, query_y = (
        None if value is None else as_array(name, value) for name, value in zip(names, (*x, y))
    )
    for name, examples in (("support_x", support_x), ("query_x", query_x)):
        _check_task_examples(learner, name, examples)
    if support_x.shape[0] != query_x.shape[0]:
        raise ValueError(
            "`support_x` and `query_x` must be of the same tasks. "
            f"Received: {support_x.shape[0]} and {query_x.shape[0]} tasks"
        )
    check_learner_labels("support_y", support_y, support_x.shape[:2], learner)
    if query_y is not None:
        check_learner_labels("query_y", query_y, query_x.shape[:2], learner)
    for name, examples, labels in (("support_x", support_x, support_y), ("query_x", query_x, query_y)):
        is_real = np.ones(examples.shape[:2], bool) if labels is None or labels.dtype.kind == "f" else labels != -1
        check_learner_examples(name, examples[is_real], learner)
    if query_y is not None:
        check_same_kind(support_y, query_y)
        check_metric_fits(learner, query_y)
        check_sample_weight("sample_weight", sample_weight, query_y.shape[:2])
    if support_y.dtype.kind != "f":
        if query_y is not None and sample_weight is None:
            for name, labels in (("support_y", support_y), ("query_y", query_y)):
                _check_without_padding(name, labels)
        _check_task_labels(learner, support_y, query_y, training)
    return (support_x, support_y, query_x), query_y


def check_task_specs(learner, inputs):
    """Refuses inputs of a learner's call that cannot be tasks. It uses only dtypes and axes, which a graph knows."""
    if not isinstance(inputs, (tuple, list)) or len(inputs) != 3:
        raise ValueError(
            "A learner takes `(support_x, support_y, query_x)`. "
            f"Received: {type(inputs).__name__}{f' of {len(inputs)}' if isinstance(inputs, (tuple, list)) else ''}"
        )
    support_x, support_y, query_x = map(tf.convert_to_tensor, inputs)
    for name, examples in (("support_x", support_x), ("query_x", query_x)):
        _check_task_dtype(learner, name, examples.dtype)
    are_labels = support_y.dtype.is_integer and support_y.shape.rank in (None, 2)
    are_targets = learner.takes_targets and support_y.dtype.is_floating and support_y.shape.rank in (None, 3)
    if not are_labels and not are_targets:
        raise ValueError(
            "`support_y` must be class numbers, integers (tasks, support)"
            f"{', or floating targets (tasks, support, outputs)' if learner.takes_targets else ''}. "
            f"Received: shape {support_y.shape}, dtype={support_y.dtype.name}"
        )


def _check_task_examples(learner, name, examples):
    shape = learner.network.input_shape[1:]
    if examples.ndim != len(shape) + 2:
        raise ValueError(
            f"`{name}` must have the shape (tasks, examples, {', '.join(map(str, shape))}). "
            f"Received: shape {examples.shape}"
        )
    if not takes_texts(learner.network):
        _check_task_dtype(learner, name, examples.dtype)
        check_input_scale(name, examples, learner)
    if 0 in examples.shape[:2]:
        raise ValueError(f"`{name}` must hold tasks of at least one example. Received: shape {examples.shape}")


def _check_task_dtype(learner, name, dtype):
    if dtype == np.uint8 and not takes_integers(learner.network):
        raise ValueError(
            f"`{name}` must be floating, in the range that the learner will adapt to; divide images by 255. "
            "Received: dtype=uint8"
        )
    check_dtype(name, dtype, kind_of_examples(learner.network))


def _check_without_padding(name, labels):
    if labels.min() < 0:
        raise ValueError(
            f"`{name}` must not be negative, except for padding, which needs a `sample_weight` of 0. "
            f"Received: {labels.min()} without `sample_weight`"
        )


def _check_task_labels(learner, support_y, query_y, training):
    ways = support_y.max(axis=1) + 1
    present = [np.unique(labels[labels != -1]).tolist() for labels in support_y]
    wrong = [task for task, labels in enumerate(present) if not labels or labels != list(range(len(labels)))]
    if wrong:
        raise ValueError(
            "`support_y` must hold every label from 0 to ways - 1 in each task, and -1 only for padding. "
            f"Received: the labels {present[wrong[0]]} in task {wrong[0]}"
        )
    query_y = np.zeros((len(support_y), 1), "int32") if query_y is None else query_y
    if query_y.min() < -1 or np.any(query_y >= ways[:, None]) or np.any(query_y.max(axis=1) < 0):
        raise ValueError(
            "`query_y` must be in [0, ways), the labels of the support set, and -1 only for padding. "
            f"Received: {query_y.min()} to {query_y.max()} in tasks of {ways.min()} to {ways.max()} ways"
        )
    differ = support_y.min() < 0 or query_y.min() < 0 or ways.min() < ways.max()
    if differ and learner.task_mapping == "vectorized" and learner.vectorizes_tasks:
        raise ValueError(
            f'Tasks of different sizes need `task_mapping="parallel"`. Received: task_mapping={learner.task_mapping!r}'
        )
    width, most = learner.max_ways, ways.max()
    alike = ways.min() == most and support_y.min() >= 0
    if width is not None and (most > width or (training and alike and most != width)):
        raise ValueError(
            f"The tasks' ways must be the width of the network's head, {width}; "
            f"{learner.how_to_get_ways(most)}. Received: {most}-way tasks"
        )
