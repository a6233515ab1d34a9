"""One pass of a network as a pure function of its weights and of the statistics that its normalisation keeps."""

import contextlib
import contextvars

import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers, own_weights, seed_generators
from metalearn_tf.engine.stateless_pass import stateless_pass
from metalearn_tf.engine.task_mapping import in_training
from metalearn_tf.networks.second_derivatives import twice_differentiable_pass
from metalearn_tf.networks.task_normalization import TaskNormalization, support_pass

# Not an argument: between the loss and its passes are `adapt_task` and `classify`. Users write these, and they return
# only a task state and logits.
_layer_losses = contextvars.ContextVar("layer_losses", default=None)


@contextlib.contextmanager
def layer_losses(losses=None):
    """Collects, in a list, the losses that layers add in the passes inside: `add_loss`, activity regularisers.

    Each pass belongs to one loss: the passes of an inner step have their own list inside the one of the outer loss.

    Args:
        losses: the list; `None` for a new one.
    """
    losses = [] if losses is None else losses
    token = _layer_losses.set(losses)
    try:
        yield losses
    finally:
        _layer_losses.reset(token)


def with_layer_losses(loss):
    """A scalar loss plus the losses that `layer_losses` has collected so far."""
    return loss + sum(tf.cast(added, loss.dtype) for added in _layer_losses.get() or [])


def run_network(network, x, weights=None, statistics=(), of_support=False):
    """Applies the network to examples, in training or inference mode as the task that is traced now.

    Args:
        network: a built `keras.Model`, or one of its layers.
        x: examples `(n, ...)`.
        weights: tensors to use instead of the trainable variables; `None` for their own values.
        statistics: tensors to use instead of `support_statistics(network)`; empty for their own values.
        of_support: whether the examples are a support set, whose statistics `"support"` normalisation keeps.

    Returns:
        The outputs `(n, ...)` in `result_dtype(network)`, and the new values of `support_statistics(network)`. In
        meta-training, it assigns the variables of `running_state(network)`; `MetaLearner.train_step` catches this.
        The losses that layers add go to `layer_losses`.
    """
    kept = support_statistics(network)
    weights = [tf.convert_to_tensor(v) for v in network.trainable_variables] if weights is None else weights
    values = {id(v): tf.convert_to_tensor(v) for v in network.non_trainable_variables}
    values.update((id(variable), statistic) for variable, statistic in zip(kept, statistics))
    run = twice_differentiable_pass if in_training() else stateless_pass
    with support_pass(of_support):
        outputs, updated, losses = run(network, weights, list(values.values()), x, in_training())
    updated = dict(zip(values, updated))
    collected = _layer_losses.get()
    if collected is not None:
        collected += losses
    if in_training():
        for variable in running_state(network):
            variable.assign(updated[id(variable)])
    return tf.cast(outputs, result_dtype(network)), [updated[id(v)] for v in kept]


def result_dtype(network):
    """The dtype of outputs and logits under every policy: float64 if the network has float64 weights, else float32."""
    return tf.float64 if network.variable_dtype == "float64" else tf.float32


def support_statistics(network):
    """The variables of the statistics that queries need with `"support"` normalisation; empty otherwise."""
    return [
        variable
        for layer in flat_layers(network)
        if isinstance(layer, TaskNormalization) and layer.normalization == "support"
        for variable in (layer.mean, layer.variance)
    ]


def running_state(network):
    """The variables that training changes without gradients: running averages, and the seeds of random layers."""
    kept = {id(variable) for variable in support_statistics(network)}
    trained = {id(variable) for variable in network.trainable_variables}
    frozen = {id(w) for layer in flat_layers(network) for w in own_weights(layer)} - trained
    return [v for v in network.non_trainable_variables if id(v) not in kept | frozen]


def random_seeds(network):
    """The variables of `running_state(network)` that are the seeds of random layers, int64 `(2,)` each."""
    return [generator.state for layer in flat_layers(network) for generator in seed_generators(layer)]
