"""A text as its weighted words: the network for texts if there are no pre-trained embeddings."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.networks.checks import check_outputs
from metalearn_tf.networks.vocabulary import count_words, separate_words


def bag_of_words(texts, vocabulary_size=50_000, outputs=None, name="bag_of_words"):
    """A text as one number for each word of the vocabulary, on the unit sphere.

    A word that is in the text `n` times gives its weight times `log(1 + n)`; then the vector is divided by its norm.
    The weights, one for each word, are trained. They start as the square of the inverse document frequency, which did
    better on 20 Newsgroups than the frequency itself (see `examples/README.md`). With
    `PrototypicalNetwork(distance="cosine")` this is at first a nearest-centroid classifier on TF-IDF, and training
    learns which words distinguish classes. With few training classes use a small learning rate (1e-3); otherwise the
    network forgets the words of other classes.

    Unlike in learned embeddings, words that do not matter in training keep their full meaning. New classes may be about
    anything, as long as their words are in the vocabulary.

    Args:
        texts: the training texts, a sequence of strings, from which the vocabulary and its weights are taken.
        vocabulary_size: at most this many words: those that occur in the most texts. Other words are ignored.
        outputs: width of a linear head, which starts at zero, for learners that need logits; `None` for an embedding.
        name: the model's name.

    Input shape: `(batch,)` strings, UTF-8. Words are runs of letters, with their marks, and digits, of any script that
        separates words by spaces. Case does not matter, nor whether an accent is a separate character.
    Output shape: `(batch, outputs)` float32 logits, or the embedding `(batch, words)` float32 of norm 1, or 0 for a
        text without a known word.

    Returns:
        A built `keras.Model`.

    Raises:
        ValueError: if `texts` are not strings with words in them, or a size is not a positive integer.

    Reference: TF-IDF: [Salton and Buckley, 1988](https://doi.org/10.1016/0306-4573(88)90021-0); weights of words
        learned over tasks: [Bao et al., 2020](https://arxiv.org/abs/1908.06039)
    """
    check_outputs(outputs)
    words, idf = count_words(texts, vocabulary_size)

    inputs = keras.Input((), dtype="string", name="texts")
    counts = keras.layers.TextVectorization(
        standardize=separate_words, output_mode="count", vocabulary=words, name="word_counts"
    )(inputs)
    weights = WordWeights(dtype="float32", name="word_weights")
    x = weights(counts)
    if outputs is not None:
        x = keras.layers.Dense(outputs, kernel_initializer="zeros", dtype="float32", name="head")(x)
    weights.logarithm.assign(2.0 * np.log(idf))
    return keras.Model(inputs, x, name=name)


@keras.saving.register_keras_serializable("metalearn_tf")
class WordWeights(keras.layers.Layer):
    """The logarithm of word counts, times a trained weight for each word, on the unit sphere.

    Input shape: `(batch, 1 + words)` counts, those of unknown words first, as `keras.layers.TextVectorization` gives.
    Output shape: `(batch, words)` float32 of norm 1, or 0 without a word.
    """

    def build(self, input_shape):
        # The logarithm is trained: so a gradient step is in proportion to the weight, and the weight stays positive.
        self.logarithm = self.add_weight(name="logarithm", shape=(input_shape[-1] - 1,), initializer="zeros")

    def call(self, counts):
        weights = tf.exp(tf.cast(self.logarithm, tf.float32))
        return tf.math.l2_normalize(tf.math.log1p(tf.cast(counts[:, 1:], tf.float32)) * weights, axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1] - 1)
