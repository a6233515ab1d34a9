"""Unicode's canonical composition as a graph of TensorFlow, which has no operation for it."""

import functools
import math
import re
import unicodedata

import numpy as np
import tensorflow as tf

# Korean syllables are numbered: 19 beginnings, each with 21 middles, each with 28 ends.
_SYLLABLES, _LEADS, _VOWELS, _TAILS = 0xAC00, 0x1100, 0x1161, 0x11A7
_COUNTS = 19, 21, 28


def composed_characters(texts):
    """Texts brought to Unicode's normal form C: "e" and a separate accent become "é".

    The result is that of Python's `unicodedata.normalize("NFC", text)`.

    Args:
        texts: tensor of strings of any shape, UTF-8.

    Returns:
        A tensor of strings of the same shape.
    """
    # Most texts have no mark at all, and looking for one is fast.
    has_marks = tf.strings.regex_full_match(texts, f"(?s).*{_tables()['in question']}.*")
    return tf.cond(tf.reduce_any(has_marks), lambda: _compose(texts), lambda: tf.identity(texts))


def _compose(texts):
    rows = tf.strings.unicode_decode(tf.reshape(texts, [-1]), "UTF-8")
    count, (characters, rows) = rows.nrows(), _decomposed(rows.flat_values, rows.value_rowids())
    characters, rows = _ordered(characters, rows)
    characters, rows = tf.while_loop(
        lambda characters, rows: tf.reduce_any(_pairs(characters, rows)[0]),
        _with_pairs_composed,
        [characters, rows],
        shape_invariants=[tf.TensorShape([None]), tf.TensorShape([None])],
    )
    composed = tf.RaggedTensor.from_value_rowids(characters, rows, count)
    return tf.reshape(tf.strings.unicode_encode(composed, "UTF-8"), tf.shape(texts))


def _decomposed(characters, rows):
    """Characters `(n,)` int32, fully decomposed, and the row of the text that each is in."""
    index, is_there = _find(characters, _tables()["characters"])
    whole = tf.pad(characters[:, None], [[0, 0], [0, 3]], constant_values=-1)
    parts = tf.where(is_there[:, None], tf.gather(_tables()["parts"], index), whole)
    is_part = parts >= 0
    rows = tf.repeat(rows, tf.reduce_sum(tf.cast(is_part, tf.int32), axis=1))
    return tf.boolean_mask(parts, is_part), rows


def _ordered(characters, rows):
    """Sorts the marks of each letter by their combining class."""
    classes = _classes(characters)
    letters = tf.cumsum(tf.cast((classes == 0) | _begins(rows), tf.int32))
    order = tf.argsort(256 * tf.cast(letters, tf.int64) + tf.cast(classes, tf.int64), stable=True)
    return tf.gather(characters, order), tf.gather(rows, order)


def _with_pairs_composed(characters, rows):
    """Joins one pair of each letter into one character."""
    is_second, bases, composites = _pairs(characters, rows)
    # Each call joins one mark of a letter. Its other marks, and a letter that joins the one before it, wait for the
    # next call.
    is_second &= ~tf.gather(is_second, bases)
    second = tf.boolean_mask(tf.range(tf.size(characters)), is_second)
    first_of_each = tf.math.unsorted_segment_min(second, tf.gather(bases, second), tf.size(characters))
    second = tf.gather(second, tf.where(tf.gather(first_of_each, tf.gather(bases, second)) == second)[:, 0])
    characters = tf.tensor_scatter_nd_update(
        characters, tf.gather(bases, second)[:, None], tf.gather(composites, second)
    )
    is_kept = tf.tensor_scatter_nd_update(
        tf.ones_like(characters, tf.bool), second[:, None], tf.zeros_like(second, tf.bool)
    )
    return tf.boolean_mask(characters, is_kept), tf.boolean_mask(rows, is_kept)


def _pairs(characters, rows):
    """For each character: whether it joins its letter, where that letter is, and what they become."""
    classes, numbers = _classes(characters), tf.range(tf.size(characters))
    begins = _begins(rows)
    before = tf.maximum(numbers - 1, 0)
    # The last letter up to each character.
    is_letter = (classes == 0) | begins
    letters = tf.gather(tf.boolean_mask(numbers, is_letter), tf.cumsum(tf.cast(is_letter, tf.int32)) - 1)
    bases = tf.where(classes == 0, tf.gather(letters, before), letters)
    # A remaining mark of the same class blocks the join. Between two letters any character blocks it.
    is_free = (bases == before) | ((classes != 0) & (tf.gather(classes, before) < classes))
    is_free &= ~begins & (tf.gather(rows, bases) == rows) & (bases < numbers)
    composites = _composites(tf.gather(characters, bases), characters)
    return is_free & (composites > 0), bases, composites


def _composites(first, second):
    """The character that two characters `(n,)` become, int32 `(n,)`; 0 where they stay two."""
    index, is_there = _find(_key(tf.cast(first, tf.int64), tf.cast(second, tf.int64)), _tables()["pairs"])
    composites = tf.where(is_there, tf.gather(_tables()["composites"], index), 0)
    leads, vowels, tails = _COUNTS
    lead, vowel, syllable, tail = first - _LEADS, second - _VOWELS, first - _SYLLABLES, second - _TAILS
    are_lead_and_vowel = (lead >= 0) & (lead < leads) & (vowel >= 0) & (vowel < vowels)
    is_open = (syllable >= 0) & (syllable < leads * vowels * tails) & (syllable % tails == 0)
    are_open_and_tail = is_open & (tail > 0) & (tail < tails)
    composites = tf.where(are_lead_and_vowel, _SYLLABLES + (lead * vowels + vowel) * tails, composites)
    return tf.where(are_open_and_tail, first + tail, composites)


def _classes(characters):
    """Unicode's combining class of each character; 0 for letters."""
    index, is_there = _find(characters, _tables()["marks"])
    return tf.where(is_there, tf.gather(_tables()["classes"], index), 0)


def _begins(rows):
    """For each character, whether it is the first of its text."""
    return tf.concat([tf.ones_like(rows[:1], tf.bool), rows[1:] != rows[:-1]], axis=0)


def _find(values, keys):
    """The places of values `(n,)` among sorted keys, and whether they are there."""
    index = tf.minimum(tf.searchsorted(keys, values), len(keys) - 1)
    return index, tf.gather(keys, index) == values


def _key(first, second):
    """Two characters packed into one number, as integers or int64 tensors."""
    return first * 2**21 + second


@functools.cache
def _tables():
    """Python's Unicode tables as sorted arrays. No character of higher planes has a mark."""
    everything = [chr(number) for number in range(0x30000) if not 0xD800 <= number < 0xE000]
    classes = {ord(one): unicodedata.combining(one) for one in everything if unicodedata.combining(one)}
    syllables = range(_SYLLABLES, _SYLLABLES + math.prod(_COUNTS))
    apart = {one: unicodedata.normalize("NFD", one) for one in everything if ord(one) not in syllables}
    apart = {one: parts for one, parts in apart.items() if parts != one}
    pairs = {}
    for one in apart:
        two = unicodedata.decomposition(one).split()
        if len(two) == 2 and unicodedata.normalize("NFC", one) == one:
            pairs[_key(*(int(part, 16) for part in two))] = ord(one)
    pairs = dict(sorted(pairs.items()))
    seconds = {key % 2**21 for key in pairs}
    changed = {ord(one) for one in apart if unicodedata.normalize("NFC", one) != one}
    jamo = range(_VOWELS, _TAILS + _COUNTS[2])
    in_question = sorted({*classes, *seconds, *changed, *jamo})
    return {
        "in question": f"[{re.escape(''.join(map(chr, in_question)))}]",
        "marks": np.array(list(classes), "int32"),
        "classes": np.array(list(classes.values()), "int32"),
        "characters": np.array([ord(one) for one in apart], "int32"),
        "parts": np.array([(*map(ord, parts), -1, -1, -1)[:4] for parts in apart.values()], "int32"),
        "pairs": np.array(list(pairs), "int64"),
        "composites": np.array(list(pairs.values()), "int32"),
    }
