"""Checks on the arguments of a learner's `compile`: losses and metrics take class numbers and logits, or targets."""

import keras

from metalearn_tf.checks.losses_and_metrics import OTHER_METRICS, keras_name, metric_name, takes_logits


def check_compile(loss, metrics, jit_compile, options):
    """Refuses arguments of `compile` that do not work for a learner, or would train or report something else.

    Args:
        loss: as in `compile`.
        metrics: as in `compile`; of queries.
        jit_compile: whether to compile with XLA.
        options: the other arguments, by name.

    Raises:
        ValueError: names the argument that is refused.
    """
    check_loss(loss)
    check_metrics("metrics", metrics)
    check_metrics("weighted_metrics", options.get("weighted_metrics"))
    if jit_compile not in (False, None):
        raise ValueError(
            "`jit_compile` must be False: XLA cannot compile tasks of different sizes. "
            f"Received: jit_compile={jit_compile!r}"
        )
    if options.get("loss_weights") is not None:
        raise ValueError(
            "`loss_weights` must be None, since a learner has one output; scale the loss or the learning rate. "
            f"Received: loss_weights={options['loss_weights']!r}"
        )


def check_loss(loss):
    """Accepts one loss of class numbers or targets, on logits. With others, training would fail without an error.

    Raises:
        ValueError: if it takes probabilities or one-hot labels, is more than one loss, or gives no mean or sum.
    """
    if loss is None:
        return
    advice = "leave it out, or pass `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`"
    if isinstance(loss, (list, tuple, dict)):
        raise ValueError(
            f"`loss` must be one loss, since a learner has one output; {advice}. Received: a {type(loss).__name__} of "
            f"{len(loss)}"
        )
    # Keras turns a loss's class name into an instance, and its function's name into the function.
    resolved = keras.losses.get(loss)
    name = keras_name(resolved)
    takes_probabilities = name in (_OF_PROBABILITIES if callable(resolved) and hasattr(resolved, "__name__") else ())
    if isinstance(resolved, keras.losses.Loss):
        takes_probabilities = resolved.get_config().get("from_logits") is False or name == "kldivergence"
    if takes_probabilities:
        raise ValueError(f"`loss` must take logits: {advice}. Received: loss={loss!r}")
    if name in _OF_OTHER_LABELS:
        raise ValueError(
            f"`loss` must take class numbers and logits: {advice}; `np.argmax(y, axis=-1)` makes class numbers of "
            f"one-hot labels. Received: loss={loss!r}"
        )
    if isinstance(resolved, keras.losses.Loss) and resolved.reduction in (None, "none"):
        raise ValueError(
            '`loss` must give one number: its `reduction` must be "sum_over_batch_size" or "sum". '
            f"Received: reduction={resolved.reduction!r}"
        )


def check_metrics(argument, metrics):
    """Refuses metrics whose values would mean nothing, because a learner gives logits and has class numbers as labels.

    Args:
        argument: the name in error messages.
        metrics: as `compile` takes them.

    Raises:
        ValueError: if a metric takes probabilities, one-hot labels or a fixed number of outputs.
    """
    for metric in keras.tree.flatten(metrics):
        name = metric_name(metric)
        if name in OTHER_METRICS or (name in _CROSS_ENTROPIES and not takes_logits(metric)):
            raise ValueError(
                f'`{argument}` must take class numbers and logits, as "accuracy" and '
                "`keras.metrics.SparseCategoricalCrossentropy(from_logits=True)`; recall and f1 are in the report of "
                f"`mtf.evaluation.evaluate_episodes`. Received: {metric!r}"
            )
        if name == "sparsetopkcategoricalaccuracy":
            raise ValueError(
                f"`{argument}` must not need a fixed number of outputs, because tasks differ in it. A function "
                "works: `def top_2(y, logits): return tf.reduce_any(tf.math.top_k(logits, 2).indices == "
                f"tf.cast(y, tf.int32)[..., None], axis=-1)`. Received: {metric!r}"
            )


_OF_PROBABILITIES = (
    "sparsecategoricalcrossentropy",
    "categoricalcrossentropy",
    "binarycrossentropy",
    "categoricalfocalcrossentropy",
    "binaryfocalcrossentropy",
    "kldivergence",
)
_OF_OTHER_LABELS = (
    "categoricalcrossentropy",
    "categoricalfocalcrossentropy",
    "categoricalgeneralizedcrossentropy",
    "categoricalhinge",
    "circle",
    "ctc",
    "dice",
    "tversky",
)
_CROSS_ENTROPIES = ("crossentropy", "ce", "sparsecategoricalcrossentropy", "binarycrossentropy")
