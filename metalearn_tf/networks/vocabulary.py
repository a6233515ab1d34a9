"""Texts become word numbers: the vocabulary of a text network, and how rare its words are."""

import collections

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.check_texts import check_texts
from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.networks.composed_characters import composed_characters

_BATCH = 512


@keras.saving.register_keras_serializable("metalearn_tf")
def separate_words(texts):
    """Lower-case texts with single spaces between the words.

    Words are runs of letters with their marks, such as accents and the vowel signs of Indic scripts, and of digits, in
    Unicode's normal form C. Invisible characters (soft hyphens and joiners) are removed. Keras's own standardisation
    deletes punctuation, which would join words and parts of addresses.
    """
    texts = composed_characters(tf.strings.lower(texts, encoding="utf-8"))
    texts = tf.strings.regex_replace(texts, r"[\x{AD}\x{200C}\x{200D}]+", "")
    texts = tf.strings.regex_replace(texts, r"(^|[^\pL\pM\pN])\pM+", r"\1")  # marks without a letter, as after emoji
    return tf.strings.regex_replace(texts, r"[^\pL\pM\pN]+", " ")


def count_words(texts, vocabulary_size):
    """The words that occur in the most texts, and their inverse document frequency.

    Args:
        texts: sequence of strings.
        vocabulary_size: the largest number of words.

    Returns:
        The list of words, the most common first, and the float32 array `log((1 + texts) / (1 + texts with it)) + 1` of
        each, as in scikit-learn.

    Raises:
        ValueError: if `texts` is not a sequence of strings with words in it, or the size is not a positive integer.
    """
    check_python_whole(vocabulary_size=vocabulary_size)
    texts = check_texts("texts", texts, may_be_empty=True)
    if texts.ndim != 1:
        raise ValueError(f"`texts` must be a sequence of strings. Received: shape {texts.shape}")
    having = collections.Counter()
    for start in range(0, len(texts), _BATCH):
        batch = tf.constant(texts[start : start + _BATCH])
        for words in tf.strings.split(separate_words(batch)).to_list():
            having.update(set(words))
    if not having:
        raise ValueError(f"`texts` must hold words. Received: {len(texts)} texts without any")
    # Words of equal count are sorted alphabetically, so that every machine makes the same vocabulary.
    chosen = sorted(having, key=lambda word: (-having[word], word))[:vocabulary_size]
    counts = np.asarray([having[word] for word in chosen])
    idf = np.log((1.0 + len(texts)) / (1.0 + counts)) + 1.0
    return [word.decode("utf-8") for word in chosen], idf.astype("float32")
