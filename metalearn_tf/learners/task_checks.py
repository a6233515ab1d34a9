"""Checks on networks, support sets and batches of tasks, made before any work is done."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.networks.text_inputs import takes_texts


def check_network(network, argument="network"):
    """Refuses what a learner cannot adapt: no Keras model, or one whose weights or shapes are not known yet."""
    if not isinstance(network, keras.Model):
        raise ValueError(f"`{argument}` must be a keras.Model. Received: {type(network).__name__}")
    if not network.built:
        raise ValueError(
            f"`{argument}` must be built: give it a `keras.Input`, or call it once on an example. "
            f"Received: the unbuilt model {network.name!r}"
        )
    if not hasattr(network, "input_shape") or not hasattr(network, "output_shape"):
        raise ValueError(
            f"`{argument}` must know its shapes; wrap a subclassed model as "
            "`inputs = keras.Input(shape); keras.Model(inputs, network(inputs))`. "
            f"Received: {type(network).__name__} {network.name!r}"
        )


def check_support(learner, support_x, support_y):
    """The support set as arrays: float32 examples with int32 labels or float32 targets.

    Raises:
        ValueError: see `MetaLearner.adapt`.
    """
    support_x = check_examples(learner, "support_x", support_x)
    support_y = np.asarray(support_y)
    if len(support_x) == 0:
        raise ValueError("`support_x` must hold at least one example. Received: an empty support set")
    if support_y.dtype.kind == "f":
        return support_x, _check_targets(learner, support_x, support_y)
    if support_y.shape != (len(support_x),):
        raise ValueError(
            "`support_y` must have one label for each support example. "
            f"Received: shape {support_y.shape} for {len(support_x)} examples"
        )
    if support_y.dtype.kind not in "iu":
        raise ValueError(f"`support_y` must be integers, or floating targets. Received: dtype={support_y.dtype}")
    present = np.unique(support_y)
    if not np.array_equal(present, np.arange(len(present))):
        raise ValueError(
            "`support_y` must hold every label from 0 to ways - 1 at least once; "
            "`numpy.unique(labels, return_inverse=True)[1]` renumbers them. "
            f"Received: labels {present.tolist()}"
        )
    check_ways(learner, len(present), "support_y")
    return support_x, support_y.astype("int32")


def check_ways(learner, ways, argument):
    """Refuses more ways than the learner's head has."""
    if learner.max_ways is not None and ways > learner.max_ways:
        raise ValueError(
            f"`{argument}` must have at most {learner.max_ways} classes, the width of the network's head; "
            f"{learner.how_to_get_ways(ways)}. Received: {ways} classes"
        )


def check_examples(learner, argument, examples):
    """Examples `(n, *input_shape)` as float32; uint8 images become `[0, 1]`, as `mtf.data.episodes` makes them.

    Texts stay strings, as an array of objects.
    """
    examples, shape = np.asarray(examples), learner.network.input_shape[1:]
    if takes_texts(learner.network):
        return check_texts(argument, examples, shape)
    if examples.dtype.kind not in "fu" or (examples.dtype.kind == "u" and examples.dtype != np.uint8):
        raise ValueError(f"`{argument}` must be floating, or uint8 images. Received: dtype={examples.dtype}")
    fits = examples.ndim == len(shape) + 1 and all(s is None or s == n for s, n in zip(shape, examples.shape[1:]))
    if not fits:
        raise ValueError(
            f"`{argument}` must have the shape (n, {', '.join(map(str, shape))}) that the network takes. "
            f"Received: shape {examples.shape}"
        )
    if examples.dtype == np.uint8:
        return examples.astype("float32") / 255.0
    if not np.isfinite(examples).all():
        raise ValueError(f"`{argument}` must be finite. Received: NaN or infinite values")
    return examples.astype("float32")


def check_texts(argument, texts, shape):
    """An array of strings `(n, *shape)` as an array of objects; refuses all else, and empty texts."""
    if texts.dtype.kind not in "USO" or not all(isinstance(text, (str, bytes)) for text in texts.ravel().tolist()):
        raise ValueError(f"`{argument}` must be strings, which the network takes. Received: dtype={texts.dtype}")
    if texts.shape[1:] != tuple(1 if side is None else side for side in shape) or texts.ndim == 0:
        raise ValueError(
            f"`{argument}` must have the shape (n{''.join(f', {side}' for side in shape)}) that the network takes. "
            f"Received: shape {texts.shape}"
        )
    empty = [index for index, text in enumerate(texts.ravel().tolist()) if not text.strip()]
    if empty:
        raise ValueError(f"`{argument}` must not hold empty texts. Received: nothing in texts {empty[:10]}")
    return texts.astype(object)


def _check_targets(learner, support_x, support_y):
    expected = (len(support_x), *learner.network.output_shape[1:])
    if support_y.shape != expected:
        raise ValueError(f"`support_y` must be targets of shape {expected}. Received: shape {support_y.shape}")
    if not np.isfinite(support_y).all():
        raise ValueError("`support_y` must be finite. Received: NaN or infinite values")
    return support_y.astype("float32")


def check_first_batch(learner, x, y=None, sample_weight=None, training=True):
    """Checks the first batch of tasks that `fit` or `evaluate` is about to read, where it can be read twice.

    Args:
        learner: a `MetaLearner`.
        x: a `tf.data.Dataset`, or the arrays `(support_x, support_y, query_x)`.
        y: the array `query_y`; `None` with a dataset.
        sample_weight: the array `(tasks, queries)` of their weights, if there is one.
        training: whether the head must be as wide as the tasks have ways; otherwise it may be wider.

    Raises:
        ValueError: if the batch has not the structure and shapes of tasks, or its ways do not fit the head.
    """
    if isinstance(x, tf.data.Dataset):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(next(iter(x.take(1))))
    elif y is None:
        return  # a generator or an iterator: reading from it would lose its first batch
    if not isinstance(x, (tuple, list)) or len(x) != 3:
        raise ValueError(
            "A learner trains on tasks, `((support_x, support_y, query_x), query_y)`, as `mtf.data.episodes` yields "
            f"them. Received: x={type(x).__name__}{f' of {len(x)}' if isinstance(x, (tuple, list)) else ''}"
        )
    support_x, support_y, query_x, query_y = (np.asarray(tensor) for tensor in (*x, y))
    for name, examples in (("support_x", support_x), ("query_x", query_x)):
        _check_task_examples(learner, name, examples)
    for name, labels, examples in (("support_y", support_y, support_x), ("query_y", query_y, query_x)):
        if labels.shape[:2] != examples.shape[:2]:
            raise ValueError(
                f"`{name}` must have one label for each of {examples.shape[:2]} examples. "
                f"Received: shape {labels.shape}"
            )
    if support_y.dtype.kind != "f":
        for name, labels in (("support_y", support_y), ("query_y", query_y)):
            if sample_weight is None and labels.min() < 0:
                raise ValueError(
                    f"`{name}` must not be negative, but for padding, which needs `sample_weight` to be 0 there. "
                    f"Received: {labels.min()} without `sample_weight`"
                )
        _check_task_labels(learner, support_y, query_y, training)


def _check_task_examples(learner, name, examples):
    shape = learner.network.input_shape[1:]
    if examples.ndim != len(shape) + 2:
        raise ValueError(
            f"`{name}` must have the shape (tasks, examples, {', '.join(map(str, shape))}). "
            f"Received: shape {examples.shape}"
        )
    if examples.dtype == np.uint8:
        raise ValueError(
            f"`{name}` must be floating, in the range that the learner will adapt to; divide images by 255. "
            "Received: dtype=uint8"
        )
    check_examples(learner, name, examples.reshape(-1, *examples.shape[2:]))


def _check_task_labels(learner, support_y, query_y, training):
    ways = support_y.max(axis=1) + 1
    present = [np.unique(labels[labels != -1]).tolist() for labels in support_y]
    wrong = [task for task, labels in enumerate(present) if not labels or labels != list(range(len(labels)))]
    if wrong:
        raise ValueError(
            "`support_y` must hold every label from 0 to ways - 1 in each task, and -1 only for padding. "
            f"Received: the labels {present[wrong[0]]} in task {wrong[0]}"
        )
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
