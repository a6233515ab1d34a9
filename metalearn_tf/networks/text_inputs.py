"""Networks that take strings."""

import tensorflow as tf


def takes_texts(network):
    """Whether a Keras model has one input, and it is strings."""
    inputs = getattr(network, "inputs", None) or []
    return len(inputs) == 1 and tf.as_dtype(inputs[0].dtype) == tf.string
