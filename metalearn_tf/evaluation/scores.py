"""Scores of predictions, as pure functions of arrays."""

import numpy as np


def confidence_half_width(values):
    """Half width of the 95 % interval of a mean: 1.96 standard errors, from the deviation of the sample.

    Args:
        values: floats `(n,)`, or `(n, ...)` for the means over the first axis.

    Returns:
        float64 `(...)`, NaN for a single value.
    """
    values = np.asarray(values, "float64")
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return 1.96 * np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def confusion_matrix(labels, predictions, ways):
    """Counts `(ways, ways)`, rows by label and columns by prediction, of integers `(n,)` in `[0, ways)`."""
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    return np.bincount(labels * ways + predictions, minlength=ways * ways).reshape(ways, ways)


def macro_recall_and_f1(confusion):
    """Recall and F1, each averaged over classes with the same weight.

    Args:
        confusion: counts `(ways, ways)`, rows by label.

    Returns:
        Two floats in `[0, 1]`. A class that is neither predicted nor there counts as 0, as in scikit-learn.
    """
    hits = np.diag(confusion).astype("float64")
    recall = hits / np.maximum(confusion.sum(axis=1), 1)
    precision = hits / np.maximum(confusion.sum(axis=0), 1)
    f1 = 2.0 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(recall.mean()), float(f1.mean())
