"""One pass of a network as a pure function: of its weights, and of the statistics that its normalisation keeps."""

import keras
import tensorflow as tf

from metalearn_tf.learners.task_mapping import in_training
from metalearn_tf.networks.second_derivatives import twice_differentiable_stateless_call
from metalearn_tf.networks.task_normalization import TaskNormalization


def run_network(network, x, weights=None, statistics=()):
    """The network on examples, in the mode that the task being traced has.

    Args:
        network: a built `keras.Model`.
        x: examples `(n, ...)`.
        weights: tensors in place of the trainable variables; `None` for their values.
        statistics: tensors in place of `support_statistics(network)`; none for their values.

    Returns:
        Outputs `(n, ...)` float32, and the new values of `support_statistics(network)`. In meta-training, the
        variables of `running_state(network)` are assigned, which `MetaLearner.train_step` catches.
    """
    kept = support_statistics(network)
    weights = [tf.convert_to_tensor(v) for v in network.trainable_variables] if weights is None else weights
    values = {id(v): tf.convert_to_tensor(v) for v in network.non_trainable_variables}
    values.update((id(variable), statistic) for variable, statistic in zip(kept, statistics))
    call = twice_differentiable_stateless_call if in_training() else keras.Model.stateless_call
    outputs, updated = call(network, weights, list(values.values()), x, training=in_training())
    updated = dict(zip(values, updated))
    if in_training():
        for variable in running_state(network):
            variable.assign(updated[id(variable)])
    return tf.cast(outputs, tf.float32), [updated[id(v)] for v in kept]


def support_statistics(network):
    """The variables of the statistics that queries need under `"support"` normalisation; none otherwise."""
    return [
        variable
        for layer in network._flatten_layers()
        if isinstance(layer, TaskNormalization) and layer.normalization == "support"
        for variable in (layer.mean, layer.variance)
    ]


def running_state(network):
    """The variables that training changes other than by gradients: running averages, and the seeds of random layers."""
    kept = {id(variable) for variable in support_statistics(network)}
    trained = {id(variable) for variable in network.trainable_variables}
    frozen = {id(w) for layer in network._flatten_layers() for w in layer._trainable_variables} - trained
    return [v for v in network.non_trainable_variables if id(v) not in kept | frozen]
