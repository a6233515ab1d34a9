"""Multinomial logistic regression, fitted to the minimum."""

import logging

import numpy as np


def fit_logistic_regression(x, labels, classes, l2, tolerance=1e-6, max_steps=100):
    """The minimum of the summed cross-entropy and `l2 / 2` times the squared weights.

    Newton's method; conjugate gradients compute each step. The problem is convex, so the result depends neither on a
    start nor on a learning rate. It computes in float64. Biases are not penalised.

    Args:
        x: floats `(n, d)`, of about unit variance.
        labels: int32 `(n,)` in `[0, classes)`.
        classes: the number of classes.
        l2: strength of the penalty, positive.
        tolerance: the steps end when the largest entry of the gradient (of the mean over the examples) is at most this.
        max_steps: after this many steps they end anyway, with a warning.

    Returns:
        Weights `(d, classes)` and biases `(classes,)`, float64.

    Reference: [Nocedal and Wright, 2006](https://doi.org/10.1007/978-0-387-40065-5), algorithm 7.1
    """
    count = len(x)
    x = np.concatenate([x, np.ones((count, 1))], axis=1, dtype="float64")
    members = np.eye(classes)[labels]
    penalty = np.full((x.shape[1], 1), l2 / count)
    penalty[-1] = 0.0

    def objective(weights):
        log_probabilities = _log_softmax(x @ weights)
        return 0.5 * np.sum(penalty * weights**2) - np.sum(members * log_probabilities) / count

    weights = np.zeros((x.shape[1], classes))
    for _ in range(max_steps):
        probabilities = np.exp(_log_softmax(x @ weights))
        gradient = x.T @ (probabilities - members) / count + penalty * weights
        if np.abs(gradient).max() <= tolerance:
            return weights[:-1], weights[-1]

        def curvature(direction, probabilities=probabilities):
            changes = x @ direction
            changes -= np.sum(probabilities * changes, axis=1, keepdims=True)
            return x.T @ (probabilities * changes) / count + penalty * direction

        direction = _conjugate_gradients(curvature, -gradient)
        value, slope, length = objective(weights), np.sum(gradient * direction), 1.0
        while objective(weights + length * direction) > value + 1e-4 * length * slope and length > 1e-8:
            length /= 2
        weights = weights + length * direction
    logging.getLogger(__name__).warning(
        "The logistic regression has not converged in %d steps: the largest gradient is %.1e. A larger `l2` helps.",
        max_steps,
        np.abs(gradient).max(),
    )
    return weights[:-1], weights[-1]


def _log_softmax(scores):
    scores = scores - scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def _conjugate_gradients(product, target, max_steps=250):
    """Finds `direction` with `product(direction)` near `target`; the smaller the target, the nearer."""
    direction, residual = np.zeros_like(target), target
    search, squared = residual, np.sum(residual**2)
    enough = min(0.25, squared**0.25) ** 2 * squared
    for _ in range(max_steps):
        if squared <= enough:
            break
        change = product(search)
        length = squared / np.sum(search * change)
        direction, residual = direction + length * search, residual - length * change
        squared, before = np.sum(residual**2), squared
        search = residual + squared / before * search
    return direction
