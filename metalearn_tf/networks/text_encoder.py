"""Texts become embeddings: word embeddings, then attention or convolution over them."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.networks.checks import check_outputs
from metalearn_tf.networks.vocabulary import count_words, separate_words

POOLINGS = ("attention", "convolution")
WIDTHS = (3, 4, 5)


def text_encoder(
    texts,
    vocabulary_size=20_000,
    units=128,
    pooling="attention",
    max_words=500,
    outputs=None,
    name="text_encoder",
):
    """Learned word embeddings, and one embedding of the text made from them.

    - `pooling="attention"`: their mean, weighted by a trained number for each word. The weights start in proportion to
      the square of the inverse document frequency.
    - `pooling="convolution"`: convolutions of 3, 4 and 5 words with `units` filters each, then the maximum over the
      text.

    Learned embeddings know only the words that mattered in training. If there are few training classes and no
    pre-trained embeddings to start from (`network.get_layer("embeddings").embeddings.assign(...)`), `bag_of_words` does
    better.

    Args:
        texts: the training texts, a sequence of strings, from which the vocabulary is taken.
        vocabulary_size: at most this many words: those that occur in the most texts. All others share one embedding.
        units: width of a word's embedding.
        pooling: `"attention"` or `"convolution"`.
        max_words: longer texts are cut off.
        outputs: width of a linear head; `None` for an embedding.
        name: the model's name.

    Input shape: `(batch,)` strings, UTF-8. Words are runs of letters, with their marks, and digits, of any script that
        separates words by spaces. Case does not matter, nor whether an accent is a separate character.
    Output shape: `(batch, outputs)` float32 logits, or the embedding, `(batch, units)` or, with convolution,
        `(batch, 3 * units)`, float32.

    Returns:
        A built `keras.Model`.

    Raises:
        ValueError: if `texts` are not strings with words in them, or another argument is not among those accepted.

    Reference: convolution: [Kim, 2014](https://arxiv.org/abs/1408.5882)
    """
    check_python_whole(units=units, max_words=max_words)
    check_outputs(outputs)
    if pooling not in POOLINGS:
        raise ValueError(f"`pooling` must be one of {POOLINGS}. Received: {pooling!r}")
    if pooling == "convolution" and max_words < max(WIDTHS):
        raise ValueError(f"`max_words` must be at least {max(WIDTHS)} for convolution. Received: {max_words}")
    words, idf = count_words(texts, vocabulary_size)

    inputs = keras.Input((), dtype="string", name="texts")
    numbers = keras.layers.TextVectorization(
        standardize=separate_words, output_sequence_length=max_words, vocabulary=words, name="word_numbers"
    )(inputs)
    # Number 0 is padding of short texts; number 1 is any unknown word.
    embeddings = keras.layers.Embedding(len(words) + 2, units, name="embeddings")(numbers)
    if pooling == "convolution":
        convolved = [
            keras.layers.Conv1D(units, width, activation="relu", name=f"convolution_{width}")(embeddings)
            for width in WIDTHS
        ]
        pooled = [keras.layers.GlobalMaxPooling1D(name=f"maximum_{width}")(x) for width, x in zip(WIDTHS, convolved)]
        x = keras.layers.Concatenate(dtype="float32", name="embedding")(pooled)
    else:
        importance = keras.layers.Embedding(len(words) + 2, 1, name="importance")
        x = WordAttention(dtype="float32", name="embedding")([embeddings, importance(numbers), numbers])
        # Unknown words are treated as being as rare as the rarest known words.
        importance.embeddings.assign(2.0 * np.log(np.concatenate([[1.0, idf.max()], idf]))[:, None])
    if outputs is not None:
        x = keras.layers.Dense(outputs, dtype="float32", name="head")(x)
    return keras.Model(inputs, x, name=name)


@keras.saving.register_keras_serializable("metalearn_tf")
class WordAttention(keras.layers.Layer):
    """The mean of word embeddings, weighted by the softmax of the words' importance.

    Call arguments:
        inputs: embeddings `(batch, words, units)`, importance `(batch, words, 1)` and word numbers `(batch, words)`,
            0 where there is no word.

    Output shape: `(batch, units)` float32; 0 for a text without words.
    """

    def call(self, inputs):
        embeddings, importance, numbers = inputs
        embeddings, importance = tf.cast(embeddings, tf.float32), tf.cast(importance, tf.float32)
        there = tf.cast(numbers[..., None] > 0, tf.float32)
        importance = importance - tf.stop_gradient(tf.reduce_max(importance, axis=1, keepdims=True))
        weights = tf.exp(importance) * there
        total = tf.reduce_sum(weights, axis=1)
        return tf.math.divide_no_nan(tf.reduce_sum(weights * embeddings, axis=1), total)

    def compute_output_shape(self, input_shape):
        batch, _, units = input_shape[0]
        return (batch, units)
