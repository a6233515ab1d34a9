"""Texts are strings, each of them, before any is used: a missing one would become a word."""

import numpy as np


def check_texts(argument, texts, may_be_empty=False):
    """Texts as an array of objects.

    Args:
        argument: the name in error messages.
        texts: list, array or tensor of strings, or of bytes in UTF-8, of any shape.
        may_be_empty: whether texts of nothing but spaces are accepted.

    Returns:
        An array of `str` or `bytes`, of the same shape.

    Raises:
        ValueError: if one of them is missing, is something else, cannot be read as Unicode, or is empty; it says where.
    """
    texts = np.asarray(texts_as_objects(texts))
    if texts.dtype.kind not in "USTO" or texts.ndim == 0:
        raise ValueError(f"`{argument}` must be strings. Received: shape {texts.shape}, dtype={texts.dtype}")
    texts = texts.astype(object)
    faults = [(place, fault) for place, text in enumerate(texts.ravel()) if (fault := _fault(text)) is not None]
    if faults:
        found = ", ".join(f"{fault} at {place}" for place, fault in faults[:5])
        raise ValueError(
            f"`{argument}` must be strings, each of them, in Unicode (bytes in UTF-8); leave missing texts out, with "
            f"their labels, or clean them, as by `text.encode('utf-8', 'ignore').decode()`. Received: {found}"
            f"{', …' if len(faults) > 5 else ''}"
        )
    empty = [] if may_be_empty else [place for place, text in enumerate(texts.ravel()) if not text.strip()]
    if empty:
        raise ValueError(
            f"`{argument}` must not hold empty texts; leave them out, with their labels. "
            f"Received: nothing in texts {empty[:10]}"
        )
    return texts


def _fault(text):
    """What is wrong with a text, in words; `None` for a good one."""
    if not isinstance(text, (str, bytes)):
        return f"{text!r:.40}"
    try:
        text.encode("utf-8") if isinstance(text, str) else text.decode("utf-8")
    except UnicodeError:
        return f"{text!r:.40}, which is not Unicode,"
    return None


def texts_as_objects(values):
    """A list with strings in it as an array of objects; anything else as it is.

    Of strings, NumPy would make an array as wide as the longest of them, which takes gigabytes for one long text, and
    of what is missing among them the word "nan" or "None".
    """
    return np.array(values, dtype=object) if isinstance(values, (list, tuple)) and _has_texts(values) else values


def _has_texts(values):
    return any(isinstance(v, (str, bytes)) or (isinstance(v, (list, tuple)) and _has_texts(v)) for v in values)
