"""Copies of networks."""

from metalearn_tf.networks.text_inputs import copy_vocabularies


def copy_network(network):
    """A `keras.Model` of the same configuration, weights and vocabularies, with no variable in common."""
    copy = type(network).from_config(network.get_config())
    copy.set_weights(network.get_weights())
    copy_vocabularies(network, copy)
    return copy
