"""The average of a generator's weights over the steps of training."""

import numpy as np
import tensorflow as tf

from metalearn_tf.engine.copy_network import copy_network


def frozen_copy(network):
    """A copy of a `keras.Model` with the same weights that is not trained."""
    copy = copy_network(network)
    copy.trainable = False
    return copy


def move_average(averaged, network, decay, step, moves=True):
    """Moves the variables of a copy of a network towards the network's.

    Args:
        averaged: a copy of `network`.
        network: a `keras.Model`.
        decay: the share of the old average that stays.
        step: scalar, counts from 1. In early steps, the average forgets faster.
        moves: bool scalar; if false, nothing changes.
    """
    step = tf.cast(step, tf.float32)
    decay = tf.where(moves, tf.minimum(tf.cast(decay, tf.float32), (1.0 + step) / (10.0 + step)), 1.0)
    for average, variable in zip(averaged.variables, network.variables):
        value = tf.convert_to_tensor(variable)
        if value.dtype.is_floating:
            share = tf.cast(decay, value.dtype)
            value = share * average + (1.0 - share) * value
        average.assign(value)


def fingerprint(network):
    """Two sums over each floating variable of a network, float32 `(2 * variables,)`. Other weights give other sums."""
    values = [tf.convert_to_tensor(variable) for variable in network.variables]
    values = [tf.reshape(tf.cast(value, tf.float32), [-1]) for value in values if value.dtype.is_floating]
    # Both sums are far from 0, so a relative difference means something. The second sum depends on the signs and on the
    # places of the numbers.
    sums = [_weighted_sum(tf.abs(value - zero)) for value in values for zero in (0.0, 1.0)]
    return tf.stack(sums or [tf.zeros([])])


def _weighted_sum(values):
    return tf.reduce_sum(values * tf.linspace(1.0, 2.0, tf.size(values)))


def is_fingerprint_of(known, network):
    """Whether a fingerprint belongs to the network's current weights, up to rounding."""
    return np.allclose(known, fingerprint(network), rtol=1e-5, atol=0.0)
