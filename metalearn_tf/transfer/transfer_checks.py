"""Checks on the arguments of a training, made before any work is done."""

import numbers

import keras
import numpy as np

from metalearn_tf.checks.label_advice import label_advice
from metalearn_tf.checks.whole_numbers import check_whole, is_whole
from metalearn_tf.engine.keras_internals import arguments_of, given_rate
from metalearn_tf.learners.compile_checks import takes_other_labels
from metalearn_tf.transfer.data_kinds import Examples, as_array, numbers_by_name, read_examples


def check_plan(classes, head_epochs, stage_epochs, layer_decay, l2_sp):
    """Refuses a plan of fine-tuning that cannot be followed.

    Raises:
        ValueError: if a number is out of range.
    """
    check_whole(least=2, classes=classes)
    check_whole(least=0, head_epochs=head_epochs)
    check_whole(stage_epochs=stage_epochs)
    if not 0.0 < layer_decay <= 1.0:
        raise ValueError(f"`layer_decay` must be in (0, 1]. Received: layer_decay={layer_decay}")
    if not 0.0 <= l2_sp < np.inf:
        raise ValueError(f"`l2_sp` must not be negative. Received: l2_sp={l2_sp}")


def check_rates(learning_rate, weight_decay):
    """Refuses rates that are no numbers, such as a schedule where there is one already, or out of range."""
    for name, rate, is_right, what in (
        ("learning_rate", learning_rate, lambda rate: 0.0 < rate < np.inf, "a positive number, the highest rate"),
        ("weight_decay", weight_decay, lambda rate: 0.0 <= rate < np.inf, "a number of at least 0"),
    ):
        if not isinstance(rate, numbers.Real) or not is_right(rate):
            raise ValueError(
                f"`{name}` must be {what}; a schedule or an optimizer of your own goes into the `compile` of a "
                f"`TransferClassifier`. Received: {name}={rate!r}"
            )


def check_augmentation(augmentation):
    """Refuses what is neither `None` nor a Keras layer."""
    if augmentation is not None and not isinstance(augmentation, keras.layers.Layer):
        raise TypeError(
            "`augmentation` must be a Keras layer; put several into a `keras.Sequential`. "
            f"Received: {type(augmentation).__name__}"
        )


def check_labels(argument, y, count, classes=None, every_class=True):
    """Class numbers as int32 `(n,)`, and how many classes there are.

    Args:
        argument: the name of `y` in error messages.
        y: the labels.
        count: how many examples there are.
        classes: the labels must be below it; by default what the highest label says.
        every_class: whether there must be an example of each class.

    Raises:
        ValueError: if they are not such, are of one class only, or not as many as the examples.
    """
    y = as_array(argument, y)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(
            f"`{argument}` must be integers of shape (n,), the number of its class for each example"
            f"{label_advice(y, y.shape[:1])}. Received: shape {y.shape}, dtype={y.dtype}"
        )
    if len(y) != count:
        raise ValueError(f"`{argument}` must have one label for each example. Received: {len(y)} for {count} examples")
    present, classes = np.unique(y), int(y.max()) + 1 if classes is None else classes
    if present[0] < 0 or present[-1] >= classes:
        raise ValueError(
            f"`{argument}` must be class numbers in [0, {classes}). Received: labels from {present[0]} to {present[-1]}"
        )
    if every_class and len(present) < 2:
        raise ValueError(f"`{argument}` must be of at least 2 classes. Received: one class, {present[0]}")
    if every_class and len(present) < classes:
        # Not up to the highest label, which may be any number.
        missing = np.setdiff1d(np.arange(min(classes, len(present) + 11)), present)
        raise ValueError(
            f"`{argument}` must have an example of each of the classes 0 to {classes - 1}; "
            "`np.unique(y, return_inverse=True)[1]` numbers the classes that there are. "
            f"Received: no example of the classes {missing[:10].tolist()}{' …' if len(missing) > 10 else ''}"
        )
    return y.astype("int32"), classes


def check_validation(validation_data, classes, check_x, rank, class_names=None):
    """Validation data as arrays, checked; `None` for `None`.

    Args:
        validation_data: `(x, y)`, `(x, y, sample_weight)`, another kind that `read_examples` reads, or `None`.
        classes: the labels must be below it.
        check_x: function from the argument's name and the examples to the checked examples.
        rank: the number of axes of a batch of examples.
        class_names: those of the training data, by which the classes of a `ClassDataset` are matched; or `None`.

    Returns:
        `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        ValueError: if it is not such, or has classes that the training data have not.
    """
    if validation_data is None:
        return None
    if isinstance(validation_data, (tuple, list)):
        if len(validation_data) not in (2, 3):
            raise ValueError(
                "`validation_data` must be `(x, y)` or `(x, y, sample_weight)`. "
                f"Received: {type(validation_data).__name__} of {len(validation_data)}"
            )
        data = Examples(*validation_data)
    else:
        data = read_examples("validation_data", validation_data, rank)
    if data.y is None:
        raise ValueError(
            "`validation_data` must be a pair (x, y), a `ClassDataset`, or batches of (x, y). "
            f"Received: {type(validation_data).__name__}"
        )
    y = numbers_by_name("validation_data", data, classes, class_names)
    x = check_x("validation_data[0]", data.x)
    y = check_labels("validation_data[1]", y, len(x), classes, every_class=False)[0]
    weights = check_sample_weight("validation_data[2]", data.sample_weight, len(x))
    return (x, y) if weights is None else (x, y, weights)


def check_sample_weight(argument, sample_weight, count):
    """Weights of examples as float32 `(n,)`; `None` for `None`.

    Raises:
        ValueError: if they are not finite numbers of at least 0, one for each example.
    """
    if sample_weight is None:
        return None
    weights = as_array(argument, sample_weight)
    if weights.shape != (count,) or weights.dtype.kind not in "fiub":
        raise ValueError(
            f"`{argument}` must be a number for each of {count} examples. "
            f"Received: shape {weights.shape}, dtype={weights.dtype}"
        )
    weights = weights.astype("float32")
    if not (np.isfinite(weights).all() and weights.min() >= 0.0):
        raise ValueError(f"`{argument}` must be finite and not negative. Received: {weights.min()} to {weights.max()}")
    return weights


def class_weights(class_weight, y, classes):
    """The weight of each example's class, float32 `(n,)`; classes that are not named have 1, as in Keras.

    Args:
        class_weight: dict of numbers of at least 0 by class number.
        y: int32 `(n,)`.
        classes: their number.

    Raises:
        ValueError: if it is not such a dict.
    """
    accepted = isinstance(class_weight, dict) and all(
        is_whole(number) and 0 <= number < classes and isinstance(weight, numbers.Real) and 0.0 <= weight < np.inf
        for number, weight in class_weight.items()
    )
    if not accepted:
        raise ValueError(
            f"`class_weight` must be a dict from class numbers in [0, {classes}) to numbers of at least 0. "
            f"Received: {class_weight!r}"
        )
    return np.asarray([class_weight.get(number, 1.0) for number in range(classes)], "float32")[y]


def check_schedule_goes_on(optimizer, callbacks=None, steps=0):
    """Refuses callbacks that set a learning rate which has a schedule, and a schedule that ends at 0 too early.

    Args:
        optimizer: Keras's; `None` before `compile`.
        callbacks: those of `fit`, or `None`.
        steps: of the training before its last epoch, as far as they are known.

    Raises:
        ValueError: says what to write instead.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # within loss scaling
    schedule = given_rate(optimizer)
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return
    check_rate_callbacks(callbacks, "The optimizer has a schedule; `compile` with a number as the learning rate")
    done = int(optimizer.iterations)
    if _has_ended(schedule, done):
        raise ValueError(
            "The learning rate has come to 0 at the end of its schedule, so that no weight would move; "
            "`compile(keras.optimizers.AdamW(1e-4))` before it begins another training. "
            f"Received: an optimizer after {done} steps"
        )
    if steps and _has_ended(schedule, done + steps):
        raise ValueError(
            "`epochs` must end with the schedule of the learning rate, which comes to 0 before the last epoch, so that "
            "no weight would move in it; fewer epochs, or `compile(keras.optimizers.AdamW(1e-4))` before `fit`, which "
            f"begins another training. Received: an optimizer after {done} steps, and {steps} before the last epoch"
        )


def _has_ended(schedule, step):
    """Whether a schedule is 0 from a step on, as far as one can see: that of a warm-up is 0 at its first step alone."""
    return all(
        float(schedule(keras.ops.convert_to_tensor(step + ahead, "int64"))) == 0.0 for ahead in (0, 1, 10, 1000, 100000)
    )


def check_rate_callbacks(callbacks, fix):
    """Refuses callbacks that set the learning rate, which Keras cannot do where it has a schedule."""
    setting = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    names = [type(callback).__name__ for callback in callback_list(callbacks) if isinstance(callback, setting)]
    if names:
        raise ValueError(f"`callbacks` must not set the learning rate. {fix}. Received: {', '.join(names)}")


def check_seed(seed):
    """The seed as Python's integer; refuses what is none, `None` among it: the same call would not go on the same."""
    if not is_whole(seed) or not 0 <= seed < 2**32:
        raise ValueError(
            "`seed` must be an integer from 0 to 2**32 - 1; draw one by `np.random.default_rng().integers(2**32)` for "
            f"another result each time. Received: seed={seed!r}"
        )
    return int(seed)


def check_takes_probabilities(argument, functions):
    """Refuses losses or metrics that take logits: a classifier gives probabilities.

    Args:
        argument: the name in error messages.
        functions: as `compile` takes them.
    """
    for function in keras.tree.flatten(functions):
        of_logits = arguments_of(function).get("from_logits") or getattr(function, "from_logits", False)
        if of_logits:
            raise ValueError(
                f"`{argument}` must take probabilities, which the classifier gives: leave out `from_logits=True`. "
                f"Received: {function!r}"
            )


def check_metrics_of_classes(argument, metrics):
    """Refuses metrics that take one-hot labels, or targets, where labels are class numbers.

    Args:
        argument: the name in error messages.
        metrics: as `compile` takes them.
    """
    for metric in keras.tree.flatten(metrics):
        if takes_other_labels(metric):
            raise ValueError(
                f'`{argument}` must take class numbers, as "accuracy" and '
                "`keras.metrics.SparseTopKCategoricalAccuracy(2)` do; others go with one-hot labels and "
                f'`loss="categorical_crossentropy"`. Received: {metric!r}'
            )


def callback_list(callbacks):
    """Callbacks as Keras's `fit` takes them, one or several or none, as a list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    return [] if callbacks is None else keras.tree.flatten(callbacks)


def check_own_objective(model, **given):
    """Refuses arguments of Keras that a model with an objective of its own has no use for.

    Args:
        model: a `keras.Model`.
        **given: the arguments by their names, `None` where they are not given.

    Raises:
        ValueError: names the first that is given.
    """
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"`{name}` must be None: {type(model).__name__} has a loss and metrics of its own, of all its "
                f"examples alike and without labels. Received: {name}={type(value).__name__}"
            )
