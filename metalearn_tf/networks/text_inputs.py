"""Networks that take strings."""

import tempfile

import tensorflow as tf


def takes_texts(network):
    """Whether a Keras model has one input, and it is strings."""
    inputs = getattr(network, "inputs", None) or []
    return len(inputs) == 1 and tf.as_dtype(inputs[0].dtype) == tf.string


def copy_vocabularies(source, target):
    """Copies the words of each layer to the same layer of another network of the same configuration.

    Vocabularies that were adapted or read from a file are in neither the configuration nor the weights: Keras keeps
    them in files beside these.
    """
    # Not all layers side by side: the order of the others may depend on when they were built.
    pairs = zip(
        *([layer for layer in net._flatten_layers() if hasattr(layer, "load_assets")] for net in (source, target))
    )
    for layer, copy in pairs:
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            copy.load_assets(folder)
