"""Checks on the labels and the targets of tasks. They run before any work."""

from metalearn_tf.checks.arrays import check_finite
from metalearn_tf.checks.label_advice import label_advice, may_be_labels
from metalearn_tf.checks.losses_and_metrics import loss_takes
from metalearn_tf.learners.task_loss import own_loss


def check_learner_labels(argument, y, shape, learner):
    """Accepts one class number for each example or, if the learner takes them, targets. Refuses everything else.

    One-hot labels look like targets. So rows that are zeros and ones, or distributions, count as targets only if the
    learner is compiled with a loss of targets.

    Args:
        argument: the name in error messages.
        y: array, integers `(*shape)` or floating `(*shape, outputs)`.
        shape: the shape of class numbers: `(n,)` or `(tasks, n)`.
        learner: a `MetaLearner`.

    Raises:
        ValueError: if `y` is neither, is not finite, or the loss or the network is for the other kind.
    """
    received = f"Received: shape {y.shape}, dtype={y.dtype}"
    takes = loss_takes(own_loss(learner))
    if y.shape == shape and y.dtype.kind in "iu":
        if takes == "targets":
            raise ValueError(
                f"`{argument}` must be floating targets of shape {(*shape, 'outputs')}, which the loss of `compile` "
                f"takes; for class numbers leave the loss out. {received}"
            )
        check_puts_out_logits(learner, argument)
        return
    targets_shape = (*shape, *learner.network.output_shape[1:])
    fits = learner.takes_targets and y.dtype.kind == "f" and y.shape == targets_shape
    if fits and takes != "labels" and (takes == "targets" or not may_be_labels(y)):
        check_finite(argument, y)
        return
    kinds = f"class numbers, one label for each example: integers of shape {shape}"
    if learner.takes_targets and takes != "labels":
        kinds += f", or floating targets of shape {targets_shape}"
    elif y.dtype.kind == "f" and not learner.takes_targets:
        kinds += f", since {type(learner).__name__} learns no regression, as `mtf.learners.MAML` does"
    advice = label_advice(y, shape)
    if not advice and y.shape == shape and y.dtype.kind == "f":
        advice = "; targets of one output are `y[..., None]`"
    if fits and takes is None:
        advice += ', and `compile(loss="mean_squared_error")` says that they are targets'
    raise ValueError(f"`{argument}` must be {kinds}{advice}. {received}")


def check_puts_out_logits(learner, argument):
    """Refuses class labels for a network that ends with a sigmoid: it works only for targets between 0 and 1."""
    if getattr(learner, "head_activation", None) is not None:
        raise ValueError(
            f"`{argument}` must be floating targets for a network that ends with a {learner.head_activation}; for "
            "class numbers its outputs must be logits: leave out the activation of its last layer. "
            f"Received: class numbers, and the network {learner.network.name!r}"
        )


def check_same_kind(support_y, query_y):
    """Refuses tasks with labels for one set and targets for the other."""
    if (support_y.dtype.kind == "f") != (query_y.dtype.kind == "f"):
        raise ValueError(
            "`support_y` and `query_y` must be both class numbers, or both floating targets. "
            f"Received: {support_y.dtype} and {query_y.dtype}"
        )


def check_metric_fits(learner, query_y):
    """Refuses class numbers if a metric compares predictions with targets."""
    metric = learner.metric_of_targets if learner.compiled else None
    if metric is not None and query_y.dtype.kind != "f":
        raise ValueError(
            '`metrics` must take class numbers and logits for such tasks, as "accuracy". '
            f"Received: {metric!r}, which compares predictions with floating targets"
        )
