"""The warning about Keras's batch normalisation in networks that adapt by gradients."""

import logging

import keras

from metalearn_tf.engine.keras_internals import flat_layers

_said = set()


def warn_of_batch_normalization(network):
    """Logs, once for a network and its copies, that its batch normalisations act differently in training and in use.

    Frozen layers are left out: they use their moving averages in training too.
    """
    names = [
        layer.name
        for layer in flat_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if names and (network.name, *names) not in _said:
        _said.add((network.name, *names))
        logging.getLogger(__name__).warning(
            "The network %r has `keras.layers.BatchNormalization` (%s): it adapts with the statistics of each batch in "
            "meta-training and with moving averages otherwise. So it may learn well, but be at chance in the test. "
            '`mtf.networks.with_task_normalization(network, "support")`, or `"transductive"`, makes a network of the '
            "same weights that uses the statistics of the task.",
            network.name,
            ", ".join(names),
        )
