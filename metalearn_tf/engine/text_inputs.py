"""Networks that take strings."""

import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers, lookup_of


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
        if _is_without_words(layer):  # Keras writes a file that it cannot read
            continue
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


def check_vocabularies(network):
    """Refuses a network with a layer of words that was never adapted, of which TensorFlow says less.

    A network is built before its layer is adapted; and a file of weights alone holds no words.
    """
    for layer in _layers_with_vocabularies(network):
        if _is_without_words(layer):
            raise ValueError(
                "`network` must know its words: adapt its layer, `layer.adapt(texts)`, or read the whole model by "
                "`keras.models.load_model`, since files of weights have none. "
                f"Received: the {type(layer).__name__} {layer.name!r} without words"
            )


def _is_without_words(layer):
    layer = lookup_of(layer) if isinstance(layer, keras.layers.TextVectorization) else layer
    return isinstance(layer, (keras.layers.StringLookup, keras.layers.IntegerLookup)) and not layer.lookup_table.size()


def _layers_with_vocabularies(network):
    return [layer for layer in flat_layers(network) if hasattr(layer, "load_assets")]
