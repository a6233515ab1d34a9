"""What is said of Keras's batch normalisation in networks that adapt by gradients."""

import logging

import keras

_said = set()


def warn_of_batch_normalization(network):
    """Logs, once for a network and its copies, that its batch normalisations will not be what it was trained with.

    Frozen layers are left out: they use their moving averages in training too.
    """
    names = [
        layer.name
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if names and (network.name, *names) not in _said:
        _said.add((network.name, *names))
        logging.getLogger(__name__).warning(
            "The network %r has `keras.layers.BatchNormalization` (%s): it adapts with the statistics of each batch "
            "in meta-training and with moving averages otherwise, so that it may learn well and then test at chance. "
            'Write `mtf.networks.with_task_normalization(network, "support")`, or `"transductive"`, for a network of '
            "the same weights whose statistics are those of the task.",
            network.name,
            ", ".join(names),
        )
