"""Any KerasHub backbone as an encoder of strings."""

import keras
import tensorflow as tf

from metalearn_tf.networks.checks import check_outputs


def hub_encoder(backbone, preprocessor, outputs=None, name="hub_encoder"):
    """A KerasHub backbone and its preprocessor as one network from strings to embeddings, for any learner.

    ```python
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor.from_preset("bert_tiny_en_uncased")
    backbone = keras_hub.models.BertBackbone.from_preset("bert_tiny_en_uncased")
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.hub_encoder(backbone, preprocessor))
    ```

    The preprocessor runs inside the graph. KerasHub's tokenizers use the operations of TensorFlow Text, which
    TensorFlow Serving has; a program that loads a served model in Python imports `tensorflow_text` first.

    Args:
        backbone: a `keras_hub.models.Backbone` of texts. Freeze it, or part of it, with `trainable = False`.
        preprocessor: its preprocessor, which turns strings into a dictionary with the backbone's inputs (a
            `...TextClassifierPreprocessor`), with a fixed `sequence_length`.
        outputs: width of a linear head; `None` for an embedding.
        name: the model's name.

    Input shape: `(batch,)` strings, UTF-8.
    Output shape: `(batch, outputs)` float32 logits, or the embedding `(batch, features)` float32: the backbone's
        `"pooled_output"`, or the mean of its outputs over the words of the text.

    Returns:
        A built `keras.Model`.

    Raises:
        ValueError: if the preprocessor does not make the backbone's inputs, or `outputs` is not a positive integer.
    """
    check_outputs(outputs)
    sample = preprocessor(tf.constant(["text"]))
    if not isinstance(sample, dict) or not isinstance(backbone.input, dict) or set(backbone.input) - set(sample):
        raise ValueError(
            "`preprocessor` must make the backbone's inputs, as a `TextClassifierPreprocessor` of its family does. "
            f"Received: {type(preprocessor).__name__} for {type(backbone).__name__}"
        )

    inputs = keras.Input((), dtype="string", name="texts")
    lengths = {key: int(sample[key].shape[1]) for key in backbone.input}
    tokens = HubTokens(preprocessor, lengths, name="tokens")(inputs)
    x = backbone(tokens)
    if isinstance(x, dict):
        x = x["pooled_output"] if "pooled_output" in x else x["sequence_output"]
    if len(x.shape) == 3:
        x = keras.layers.GlobalAveragePooling1D(name="mean")(x, mask=tokens["padding_mask"])
    x = keras.layers.Identity(dtype="float32", name="embedding")(x)
    if outputs is not None:
        x = keras.layers.Dense(outputs, dtype="float32", name="head")(x)
    return keras.Model(inputs, x, name=name)


@keras.saving.register_keras_serializable("metalearn_tf")
class HubTokens(keras.layers.Layer):
    """A KerasHub preprocessor in a network that can be loaded from a file.

    The vocabulary is in a separate file, which Keras reads only after it has built the network. So the shapes of the
    outputs must be known without the vocabulary.

    Args:
        preprocessor: a KerasHub preprocessor.
        lengths: a dictionary from the names of the outputs to their lengths.

    Input shape: `(batch,)` strings.
    Output shape: a dictionary of `(batch, length)` int32.
    """

    def __init__(self, preprocessor, lengths, **kwargs):
        super().__init__(**kwargs)
        self.preprocessor = preprocessor
        self.lengths = dict(lengths)

    def build(self, input_shape):
        """Nothing to build: the preprocessor has no weights."""

    def call(self, texts):
        if not self._has_words():
            return self._without_words(texts)
        made = self.preprocessor(texts)
        return {key: tf.cast(tf.ensure_shape(made[key], (None, side)), tf.int32) for key, side in self.lengths.items()}

    def _has_words(self):
        try:
            self.preprocessor.tokenizer.vocabulary_size()
        except ValueError:  # KerasHub's tokenizers raise this before the vocabulary is read
            return False
        return True

    def _without_words(self, texts):
        """Outputs that can be traced while a model is loaded, and that raise an error when they are computed."""
        missing = tf.debugging.Assert(False, ["The vocabulary of the preprocessor was not loaded."])
        with tf.control_dependencies([missing] if missing is not None else []):
            return {key: tf.zeros((tf.shape(texts)[0], side), tf.int32) for key, side in self.lengths.items()}

    def compute_output_spec(self, texts):
        return {key: keras.KerasTensor((texts.shape[0], side), "int32") for key, side in self.lengths.items()}

    def get_config(self):
        preprocessor = keras.saving.serialize_keras_object(self.preprocessor)
        return {**super().get_config(), "preprocessor": preprocessor, "lengths": self.lengths}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["preprocessor"] = keras.saving.deserialize_keras_object(config["preprocessor"])
        return cls(**config)
