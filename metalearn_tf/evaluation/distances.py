"""Euclidean distances between many points, in blocks that fit into memory."""

import numpy as np

# Rows at a time: with 60,000 points this takes half a gigabyte.
BLOCK = 1024


def squared_distances(points, others):
    """Squared distances float64 `(n, m)` of float64 points `(n, d)` and `(m, d)`."""
    squares = np.sum(points**2, axis=1)[:, None] + np.sum(others**2, axis=1) - 2.0 * points @ others.T
    # Rounding can make the distance of equal points slightly negative.
    return np.maximum(squares, 0.0)


def neighbor_radii(points, neighbors):
    """The squared distance of each point to its `neighbors`-th nearest other one, float64 `(n,)`."""
    radii = np.empty(len(points))
    for start in range(0, len(points), BLOCK):
        distances = squared_distances(points[start : start + BLOCK], points)
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf
        radii[start : start + BLOCK] = np.partition(distances, neighbors - 1, axis=1)[:, neighbors - 1]
    return radii


def share_within(points, centers, radii):
    """The share of the points that are within the squared radius of at least one center."""
    inside = 0
    for start in range(0, len(points), BLOCK):
        inside += np.sum(np.any(squared_distances(points[start : start + BLOCK], centers) <= radii, axis=1))
    return float(inside / len(points))
