"""Checks that all texts are strings before one is used: a missing text would become a word such as "nan"."""

import numpy as np


def check_texts(argument, texts, may_be_empty=False):
    """Checks texts, and returns them as an array of objects.

    Args:
        argument: the name in error messages.
        texts: list, array or tensor of strings, or of bytes in UTF-8, of any shape.
        may_be_empty: whether to accept texts that are empty or only spaces.

    Returns:
        An array of `str` or `bytes`, of the same shape.

    Raises:
        ValueError: if a text is missing, is not a string, is not valid Unicode, or is empty; says which one.
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
    """Makes an array of objects from a list with strings in it; returns anything else unchanged.

    NumPy itself would make every element as wide as the longest string, which takes gigabytes for one long text. It
    would also turn missing texts into the words "nan" or "None".
    """
    return np.array(values, dtype=object) if isinstance(values, (list, tuple)) and _has_texts(values) else values


def _has_texts(values):
    return any(isinstance(v, (str, bytes)) or (isinstance(v, (list, tuple)) and _has_texts(v)) for v in values)
