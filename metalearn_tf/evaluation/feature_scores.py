"""Scores of generated images, as pure functions of the features of real and generated ones."""

import dataclasses

import numpy as np

from metalearn_tf.checks.arrays import check_finite, check_vectors
from metalearn_tf.checks.whole_numbers import check_whole, check_whole_between
from metalearn_tf.evaluation.distances import neighbor_radii, share_within

_LARGEST_SUBSET = 1000


@dataclasses.dataclass(frozen=True)
class Kid:
    """A kernel distance with its spread.

    Attributes:
        value: mean over the subsets of the unbiased squared distance; it may be slightly negative.
        standard_deviation: standard deviation of one subset's distance. It is not an interval of `value`, because
            subsets may share images.
        subsets: the number of subsets.
        subset_size: images of each set in a subset.
    """

    value: float
    standard_deviation: float
    subsets: int
    subset_size: int


def frechet_distance(mean_1, covariance_1, mean_2, covariance_2):
    """The squared Fréchet (2-Wasserstein) distance of two Gaussians.

    `|mean_1 - mean_2|² + tr(C1 + C2 - 2 (C1^½ C2 C1^½)^½)`, in float64. Only symmetric matrices are decomposed, so it
    also works for covariances of few examples, which do not have full rank.

    Args:
        mean_1: floats `(d,)`.
        covariance_1: floats `(d, d)`, symmetric and positive semidefinite.
        mean_2: floats `(d,)`.
        covariance_2: floats `(d, d)`.

    Returns:
        A float, at least 0.

    Raises:
        ValueError: if the shapes do not fit, or a value is NaN or infinite.

    Reference: [Dowson and Landau, 1982](https://doi.org/10.1016/0047-259X(82)90077-X)
    """
    mean_1, covariance_1 = _check_gaussian("1", mean_1, covariance_1)
    mean_2, covariance_2 = _check_gaussian("2", mean_2, covariance_2)
    if mean_1.shape != mean_2.shape:
        raise ValueError(
            f"`mean_1` and `mean_2` must have the same shape. Received: shape {mean_1.shape} and shape {mean_2.shape}"
        )
    values, vectors = np.linalg.eigh(covariance_1)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance_2 @ root), 0.0)).sum()
    distance = np.sum((mean_1 - mean_2) ** 2) + np.trace(covariance_1) + np.trace(covariance_2) - 2.0 * overlap
    return float(max(distance, 0.0))


def fid_of_features(real, generated):
    """Fréchet inception distance for any features: that of two Gaussians with the features' means and covariances.

    It is biased upwards, and more so for fewer images: compare only scores of equal numbers of images.

    Args:
        real: floats `(n, d)`, features of real images, at least 2.
        generated: floats `(m, d)`, features of generated images, at least 2.

    Returns:
        A float, at least 0, in squared units of the features; less is better.

    Raises:
        ValueError: if the features are not such arrays.

    Reference: [Heusel et al., 2017](https://arxiv.org/abs/1706.08500)
    """
    real, generated = _check_pair(real, generated)
    return frechet_distance(*_gaussian(real), *_gaussian(generated))


def kid_of_features(real, generated, subsets=100, subset_size=None, seed=0):
    """Kernel inception distance for any features: the squared maximum mean discrepancy with kernel `(x·y / d + 1)³`.

    Unlike `fid_of_features` it is unbiased: two sets of one distribution have distance 0 on average, for any number of
        images.

    Args:
        real: floats `(n, d)`, features of real images, at least 2.
        generated: floats `(m, d)`, features of generated images, at least 2.
        subsets: the number of random subsets over which the distance is averaged.
        subset_size: images of each set in a subset, drawn without replacement: at least 2, at most the size of the
            smaller set. Defaults to 1,000, as in the paper, or to half of the smaller set if that is less.
        seed: integer, for the subsets.

    Returns:
        A `Kid`; less is better.

    Raises:
        ValueError: if the features are not such arrays, or `subsets` or `subset_size` does not fit.

    Reference: [Bińkowski et al., 2018](https://arxiv.org/abs/1801.01401)
    """
    real, generated = _check_pair(real, generated)
    subset_size = check_subsets(len(real), len(generated), subsets, subset_size)
    check_whole(least=0, seed=seed)
    # The kernel divides the products by the number of features.
    real, generated = (features / np.sqrt(features.shape[1]) for features in (real, generated))
    random = np.random.default_rng(seed)
    distances = [
        _squared_discrepancy(
            real[random.choice(len(real), subset_size, replace=False)],
            generated[random.choice(len(generated), subset_size, replace=False)],
        )
        for _ in range(subsets)
    ]
    spread = np.std(distances, ddof=1) if subsets > 1 else np.nan
    return Kid(float(np.mean(distances)), float(spread), int(subsets), subset_size)


def precision_and_recall_of_features(real, generated, neighbors=3):
    """Which share of the generated images looks real, and which share of the real images is generated.

    Around each point of a set is a ball that reaches to the `neighbors`-th nearest other point. Precision is the share
    of generated points within the ball of a real point. Recall is the share of real points within the ball of a
    generated point.

    Args:
        real: floats `(n, d)`, features of real images.
        generated: floats `(m, d)`, features of generated images, preferably the same number.
        neighbors: positive integer, less than `n` and `m`.

    Returns:
        Two floats in `[0, 1]`, precision and recall; more is better.

    Raises:
        ValueError: if the features are not such arrays, or `neighbors` does not fit.

    Reference: [Kynkäänniemi et al., 2019](https://arxiv.org/abs/1904.06991)
    """
    real, generated = _check_pair(real, generated)
    check_neighbors(len(real), len(generated), neighbors)
    # Distances stay, and their rounding errors shrink.
    center = real.mean(axis=0)
    real, generated = real - center, generated - center
    precision = share_within(generated, real, neighbor_radii(real, neighbors))
    recall = share_within(real, generated, neighbor_radii(generated, neighbors))
    return precision, recall


def check_subsets(real_count, generated_count, subsets, subset_size):
    """The size of a subset, checked, or the default."""
    smaller = min(real_count, generated_count)
    check_whole(subsets=subsets)
    if subset_size is None:
        return max(2, min(_LARGEST_SUBSET, smaller // 2))
    check_whole_between("subset_size", subset_size, 2, smaller, "the number of images of the smaller set")
    return int(subset_size)


def check_neighbors(real_count, generated_count, neighbors):
    """Refuses a number of neighbours that a point of the smaller set does not have."""
    smaller = min(real_count, generated_count)
    check_whole_between("neighbors", neighbors, 1, smaller - 1, "fewer than the images of the smaller set")


def _check_pair(real, generated):
    real, generated = (
        check_vectors(name, x).astype("float64") for name, x in (("real", real), ("generated", generated))
    )
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            "`real` and `generated` must have the same number of features. "
            f"Received: {real.shape[1]} and {generated.shape[1]}"
        )
    for argument, features in (("real", real), ("generated", generated)):
        if len(features) < 2:
            raise ValueError(f"`{argument}` must hold features of at least 2 images. Received: {len(features)}")
    return real, generated


def _check_gaussian(number, mean, covariance):
    mean, covariance = np.asarray(mean, "float64"), np.asarray(covariance, "float64")
    if mean.ndim != 1 or covariance.shape != mean.shape * 2:
        raise ValueError(
            f"`mean_{number}` must have shape (d,) and `covariance_{number}` shape (d, d). "
            f"Received: shape {mean.shape} and shape {covariance.shape}"
        )
    check_finite(f"mean_{number}", mean)
    check_finite(f"covariance_{number}", covariance)
    return mean, covariance


def _gaussian(features):
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))


def _squared_discrepancy(real, generated):
    """The unbiased estimate, from as many of each: no image is compared with itself."""
    size = len(real)
    within = sum(np.sum(kernel) - np.trace(kernel) for kernel in (_kernel(real, real), _kernel(generated, generated)))
    return within / (size * (size - 1)) - 2.0 * _kernel(real, generated).mean()


def _kernel(features, others):
    base = features @ others.T
    base += 1.0
    # Many times as fast as a power.
    cube = base * base
    cube *= base
    return cube
