"""Networks that take strings."""

import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers, lookup_of


def takes_texts(network):
    """Whether a Keras model has one input that takes strings."""
    inputs = getattr(network, "inputs", None) or []
    return len(inputs) == 1 and tf.as_dtype(inputs[0].dtype) == tf.string


def takes_integers(network):
    """Whether a model's input takes integers, such as the numbers of words. They have no range and are not changed."""
    inputs = getattr(network, "inputs", None)
    return bool(inputs) and tf.as_dtype(inputs[0].dtype).is_integer


def copy_vocabularies(source, target):
    """Copies the words of each layer to the same layer of another network with the same configuration.

    A vocabulary that was adapted or read from a file is not in the configuration or the weights: Keras saves it in a
    separate file.
    """
    # Pair only these layers: the order of the others may depend on when they were built.
    for layer, copy in zip(_layers_with_vocabularies(source), _layers_with_vocabularies(target)):
        if _is_without_words(layer):  # Keras writes a file that it cannot read
            continue
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            copy.load_assets(folder)


def vocabulary_files(network):
    """The contents of the files in which Keras would save the vocabularies, a list of bytes."""
    contents = []
    for layer in _layers_with_vocabularies(network):
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            contents += [path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return contents


def check_vocabularies(network):
    """Refuses a network with a word layer that was never adapted. TensorFlow's own error says less.

    This happens if a network is built before its layer is adapted, or from a file of weights, which has no words.
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
