"""Checks of the arguments of a training, made before any work is done."""

import numbers

import keras
import numpy as np

from metalearn_tf.checks.labels import check_labels
from metalearn_tf.checks.real_numbers import check_not_negative, check_share
from metalearn_tf.checks.sample_weights import check_sample_weight
from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.engine.callback_list import callback_list
from metalearn_tf.engine.keras_internals import given_rate
from metalearn_tf.transfer.data_kinds import Examples, numbers_by_name, read_examples


def check_plan(classes, head_epochs, stage_epochs, layer_decay, l2_sp):
    """Refuses a plan of fine-tuning that cannot be followed.

    Raises:
        ValueError: if a number is out of range.
    """
    check_whole(least=2, classes=classes)
    check_whole(least=0, head_epochs=head_epochs)
    check_whole(stage_epochs=stage_epochs)
    check_share("layer_decay", layer_decay)
    check_not_negative("l2_sp", l2_sp)


def check_rates(learning_rate, weight_decay):
    """Refuses rates that are out of range or not numbers, such as a schedule where there already is one."""
    for name, rate, is_right, what in (
        ("learning_rate", learning_rate, lambda rate: 0.0 < rate < np.inf, "a positive number, the highest rate"),
        ("weight_decay", weight_decay, lambda rate: 0.0 <= rate < np.inf, "a number of at least 0"),
    ):
        if not isinstance(rate, numbers.Real) or not is_right(rate):
            raise ValueError(
                f"`{name}` must be {what}; a schedule or an optimizer of your own goes into the `compile` of a "
                f"`TransferClassifier`. Received: {name}={rate!r}"
            )


def check_validation(validation_data, classes, check_x, rank, class_names=None):
    """Validation data as arrays, checked; `None` for `None`.

    Args:
        validation_data: `(x, y)`, `(x, y, sample_weight)`, another kind that `read_examples` reads, or `None`.
        classes: the number of classes; labels must be below it.
        check_x: function that takes the argument's name and the examples, and returns the checked examples.
        rank: the number of axes of a batch of examples.
        class_names: the names of the training data's classes, to match those of a `ClassDataset`; or `None`.

    Returns:
        `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        ValueError: if it is of another kind, or has classes that the training data do not have.
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
    weights = check_sample_weight("validation_data[2]", data.sample_weight, (len(x),))
    return (x, y) if weights is None else (x, y, weights)


def check_schedule_goes_on(optimizer, callbacks=None, steps=0):
    """Refuses callbacks that set a learning rate with a schedule, and a schedule that reaches 0 too early.

    Args:
        optimizer: a Keras optimizer; `None` before `compile`.
        callbacks: those of `fit`, or `None`.
        steps: the number of steps before the last epoch of the training, as far as it is known.

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
            "no weight would move in it; take fewer epochs, or `compile(keras.optimizers.AdamW(1e-4))` before `fit`, "
            f"to begin another training. Received: an optimizer after {done} steps, and {steps} before the last epoch"
        )


def _has_ended(schedule, step):
    """Whether a schedule seems to be 0 from a step on. A schedule with a warm-up is 0 at its first step only."""
    return all(
        float(schedule(keras.ops.convert_to_tensor(step + ahead, "int64"))) == 0.0 for ahead in (0, 1, 10, 1000, 100000)
    )


def check_rate_callbacks(callbacks, fix):
    """Refuses callbacks that set the learning rate: Keras cannot set it if there is a schedule."""
    setting = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    names = [type(callback).__name__ for callback in callback_list(callbacks) if isinstance(callback, setting)]
    if names:
        raise ValueError(f"`callbacks` must not set the learning rate. {fix}. Received: {', '.join(names)}")


def check_own_objective(model, **given):
    """Refuses arguments of Keras that a model with its own objective cannot use.

    Args:
        model: a `keras.Model`.
        **given: the arguments by name; `None` if not given.

    Raises:
        ValueError: names the first argument that is given.
    """
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"`{name}` must be None: {type(model).__name__} has a loss and metrics of its own, of all its "
                f"examples alike and without labels. Received: {name}={type(value).__name__}"
            )
