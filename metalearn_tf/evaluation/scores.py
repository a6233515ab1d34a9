"""Scores of predictions, as pure functions of arrays."""

import numpy as np

from metalearn_tf.checks.label_advice import label_advice


def confidence_half_width(values):
    """Half width of the 95 % interval of a mean: 1.96 standard errors, with the sample's standard deviation.

    Args:
        values: floats `(n,)`, or `(n, ...)` for the means over the first axis.

    Returns:
        float64 `(...)`, NaN for a single value.
    """
    values = np.asarray(values, "float64")
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return 1.96 * np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


# Student's t for 95 %, by the degrees of freedom from 1 on.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def student_half_width(values):
    """Half width of the 95 % interval of a mean of a few runs, such as one for each seed, by Student's t.

    Args:
        values: floats `(n,)`, or `(n, ...)` for the means over the first axis.

    Returns:
        float64 `(...)`, NaN for a single value.
    """
    return _student(max(1, len(values) - 1)) / 1.96 * confidence_half_width(values)


def _student(freedom):
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    z = 1.959964
    # The first terms of the expansion (Abramowitz and Stegun, 26.7.5), exact to three places from 10 degrees on.
    terms = ((z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def confusion_matrix(labels, predictions, ways):
    """Counts `(ways, ways)`, rows by label and columns by prediction, of integers `(n,)` in `[0, ways)`.

    Raises:
        ValueError: if they are not integers of one length, or a label or a prediction is out of this range.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    for name, numbers in (("labels", labels), ("predictions", predictions)):
        if numbers.shape != labels.shape[:1] or numbers.dtype.kind not in "biu":
            raise ValueError(
                f"`{name}` must be class numbers, integers of shape {labels.shape[:1]}"
                f"{label_advice(numbers, labels.shape[:1], name)}. "
                f"Received: shape {numbers.shape}, dtype={numbers.dtype}"
            )
    # The products would overflow in 8 bits, the dtype of many label files.
    labels, predictions = labels.astype("int64"), predictions.astype("int64")
    for name, numbers in (("labels", labels), ("predictions", predictions)):
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < ways):
            raise ValueError(f"`{name}` must be in [0, {ways}). Received: {numbers.min()} to {numbers.max()}")
    return np.bincount(labels * ways + predictions, minlength=ways * ways).reshape(ways, ways)


def macro_recall_and_f1(confusion):
    """Recall and F1, each averaged over classes with the same weight.

    Args:
        confusion: counts `(ways, ways)`, rows by label.

    Returns:
        Two floats in `[0, 1]`. A class without predictions and without examples counts as 0, as in scikit-learn.
    """
    hits = np.diag(confusion).astype("float64")
    recall = hits / np.maximum(confusion.sum(axis=1), 1)
    precision = hits / np.maximum(confusion.sum(axis=0), 1)
    f1 = 2.0 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(recall.mean()), float(f1.mean())
