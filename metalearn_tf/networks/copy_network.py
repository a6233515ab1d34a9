"""Copies of networks."""

from metalearn_tf.data.random_state_kept import random_state_kept
from metalearn_tf.networks.text_inputs import copy_vocabularies


@random_state_kept(wait=False)  # first weights are drawn, and overwritten at once
def copy_network(network):
    """A `keras.Model` of the same configuration, weights and vocabularies, with no variable in common."""
    copy = type(network).from_config(network.get_config())
    copy.set_weights(network.get_weights())
    copy_vocabularies(network, copy)
    return copy
