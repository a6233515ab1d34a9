"""Networks whose answer for one example depends on the other examples of its batch."""

from metalearn_tf.engine.keras_internals import flat_layers
from metalearn_tf.networks.task_normalization import TaskNormalization


def depends_on_batch(model):
    """Whether a model, or one of those that a learner is made of, normalises each batch by itself."""
    layers = [layer for layer in flat_layers(model) if isinstance(layer, TaskNormalization)]
    return any(layer.normalization == "transductive" for layer in layers)


def check_batch_independence(network, argument):
    """Refuses a network with task normalisation that takes its statistics from a task.

    Outside of a task there are no such statistics: `"transductive"` normalises by whatever else is in the batch, and
    `"support"` by the statistics of the last support set, or by placeholders.

    Args:
        network: a built `keras.Model`.
        argument: its name in the error message.

    Raises:
        ValueError: names the statistics and what to write instead.
    """
    layers = [layer for layer in flat_layers(network) if isinstance(layer, TaskNormalization)]
    dependent = [layer for layer in layers if layer.normalization != "running"]
    if dependent:
        normalization = dependent[0].normalization
        raise ValueError(
            f"`{argument}` must give each example an answer that does not depend on the rest of its batch; "
            f'`mtf.networks.with_task_normalization(network, "running")` keeps the weights, and a new network takes '
            f'`normalization="running"`. Received: {network.name!r} with {normalization!r} normalisation in the layer '
            f"{dependent[0].name!r}"
        )
