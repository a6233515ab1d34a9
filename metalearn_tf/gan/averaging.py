"""The average of a generator's weights over the steps of training."""

import tensorflow as tf

from metalearn_tf.networks.copy_network import copy_network


def frozen_copy(network):
    """A copy of a `keras.Model` with the same weights, that is not trained."""
    copy = copy_network(network)
    copy.trainable = False
    return copy


def move_average(averaged, network, decay, step):
    """Moves the variables of a copy of a network towards the network's.

    Args:
        averaged: a copy of `network`.
        network: a `keras.Model`.
        decay: the share of the old average that stays.
        step: float32 scalar, from 1. Early averages forget faster.
    """
    early_decay = tf.minimum(decay, (1.0 + step) / (10.0 + step))
    for average, variable in zip(averaged.variables, network.variables):
        value = tf.convert_to_tensor(variable)
        if value.dtype.is_floating:
            decay = tf.cast(early_decay, value.dtype)
            value = decay * average + (1.0 - decay) * value
        average.assign(value)
