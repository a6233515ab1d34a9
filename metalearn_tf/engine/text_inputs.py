"""Networks that take strings."""

import tempfile
from pathlib import Path

import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers


def takes_texts(network):
    """Whether a Keras model has one input, and it is strings."""
    inputs = getattr(network, "inputs", None) or []
    return len(inputs) == 1 and tf.as_dtype(inputs[0].dtype) == tf.string


def takes_integers(network):
    """Whether a model's input is integers, such as the numbers of words; they have no range and stay as they are."""
    inputs = getattr(network, "inputs", None)
    return bool(inputs) and tf.as_dtype(inputs[0].dtype).is_integer


def copy_vocabularies(source, target):
    """Copies the words of each layer to the same layer of another network of the same configuration.

    Vocabularies that were adapted or read from a file are in neither the configuration nor the weights: Keras keeps
    them in files beside these.
    """
    # Not all layers side by side: the order of the others may depend on when they were built.
    for layer, copy in zip(_layers_with_vocabularies(source), _layers_with_vocabularies(target)):
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            copy.load_assets(folder)


def vocabulary_files(network):
    """The contents of the files that Keras would keep the vocabularies in, a list of bytes."""
    contents = []
    for layer in _layers_with_vocabularies(network):
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            contents += [path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return contents


def _layers_with_vocabularies(network):
    return [layer for layer in flat_layers(network) if hasattr(layer, "load_assets")]
