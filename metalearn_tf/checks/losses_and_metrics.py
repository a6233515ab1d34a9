"""Whether Keras's losses and metrics take class numbers or targets, and logits or probabilities."""

import keras


def check_takes_probabilities(argument, functions):
    """Refuses losses or metrics that take logits, because the model gives probabilities.

    Args:
        argument: the name in error messages.
        functions: as `compile` takes them.
    """
    for function in keras.tree.flatten(functions):
        if takes_logits(function):
            raise ValueError(
                f"`{argument}` must take probabilities, which the model gives: leave out `from_logits=True`. "
                f"Received: {function!r}"
            )


def check_metrics_of_classes(argument, metrics):
    """Refuses metrics that take one-hot labels or targets, because the labels are class numbers.

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


def loss_takes(loss):
    """What a loss compares logits or predictions with.

    Args:
        loss: as `compile` takes it.

    Returns:
        `"labels"` for class numbers; `"targets"` for floating targets; `None` if it may be both, as for `task_loss` and
        any function of the user.
    """
    name = keras_name(keras.losses.get(loss))
    if name in ("sparsecategoricalcrossentropy", "relationloss"):
        return "labels"
    return "targets" if name in _OF_TARGETS else None


def takes_logits(function):
    """Whether a loss or a metric was made with `from_logits=True`."""
    return bool(getattr(function, "from_logits", False))


def metric_of_targets(*metrics):
    """The first of these metrics that compares predictions with targets of the same shape; `None` if there is none."""
    return next((metric for metric in keras.tree.flatten(metrics) if metric_name(metric) in _METRICS_OF_TARGETS), None)


def takes_other_labels(metric):
    """Whether a Keras metric, as `compile` takes it, needs one-hot labels or targets instead of class numbers."""
    return metric_name(metric) in (*OTHER_METRICS, *_METRICS_OF_TARGETS)


def metric_name(metric):
    """Like `keras_name`, for a metric as `compile` takes it."""
    if metric is None or (isinstance(metric, str) and metric.lower() in ("accuracy", "acc", "crossentropy", "ce")):
        return metric and metric.lower()  # shorthands: Keras chooses the metric by the shapes
    return keras_name(keras.metrics.get(metric))


def keras_name(one):
    """The name of a loss or a metric of Keras or of this library. Its class and its function have the same name."""
    named = one if hasattr(one, "__name__") else type(one)
    if not named.__module__.startswith(("keras.", "metalearn_tf.")):
        return None
    return named.__name__.replace("_", "").lower()


_OF_TARGETS = (
    "meansquarederror",
    "meanabsoluteerror",
    "meanabsolutepercentageerror",
    "meansquaredlogarithmicerror",
    "huber",
    "logcosh",
    "cosinesimilarity",
    "poisson",
    "binarycrossentropy",
    "binaryfocalcrossentropy",
    "hinge",
    "squaredhinge",
)
OTHER_METRICS = (
    "auc",
    "binaryaccuracy",
    "binaryiou",
    "categoricalaccuracy",
    "categoricalcrossentropy",
    "categoricalhinge",
    "f1score",
    "falsenegatives",
    "falsepositives",
    "fbetascore",
    "hinge",
    "iou",
    "kldivergence",
    "meaniou",
    "onehotiou",
    "onehotmeaniou",
    "precision",
    "precisionatrecall",
    "recall",
    "recallatprecision",
    "sensitivityatspecificity",
    "specificityatsensitivity",
    "squaredhinge",
    "topkcategoricalaccuracy",
    "truenegatives",
    "truepositives",
)
_METRICS_OF_TARGETS = (
    "meansquarederror",
    "rootmeansquarederror",
    "meanabsoluteerror",
    "meanabsolutepercentageerror",
    "meansquaredlogarithmicerror",
    "logcosh",
    "logcosherror",
    "huber",
    "cosinesimilarity",
    "poisson",
    "r2score",
    "binarycrossentropy",
    "concordancecorrelation",
    "pearsoncorrelation",
)
