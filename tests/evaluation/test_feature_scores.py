"""FID, KID, precision and recall of features, against closed forms, SciPy and scikit-learn."""

from metalearn_tf.evaluation import (
    fid_of_features,
    frechet_distance,
    kid_of_features,
    precision_and_recall_of_features,
)

import numpy as np
import pytest


def random_gaussian(seed, features=6):
    random = np.random.default_rng(seed)
    factor = random.normal(size=(features, features))
    return random.normal(size=features), factor @ factor.T


def test_frechet_distance_of_gaussians_along_the_axes_has_a_closed_form():
    means, deviations = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 0.5]]), np.array([[1.0, 2.0, 0.1], [3.0, 0.5, 0.0]])
    expected = np.sum((means[0] - means[1]) ** 2) + np.sum((deviations[0] - deviations[1]) ** 2)
    found = frechet_distance(means[0], np.diag(deviations[0] ** 2), means[1], np.diag(deviations[1] ** 2))
    assert found == pytest.approx(expected, rel=1e-12)


def test_frechet_distance_of_a_gaussian_and_its_multiple():
    mean, covariance = random_gaussian(0)
    # The optimal map is x -> 3x: the distance is E|2x|².
    expected = 4 * (mean @ mean + np.trace(covariance))
    assert frechet_distance(mean, covariance, 3 * mean, 9 * covariance) == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_agrees_with_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    for seed in range(5):
        (mean_1, first), (mean_2, second) = random_gaussian(seed), random_gaussian(seed + 10)
        root = linalg.sqrtm(first @ second).real
        expected = np.sum((mean_1 - mean_2) ** 2) + np.trace(first + second - 2 * root)
        assert frechet_distance(mean_1, first, mean_2, second) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_is_a_distance():
    first, second = random_gaussian(1), random_gaussian(2)
    assert frechet_distance(*first, *second) == pytest.approx(frechet_distance(*second, *first), rel=1e-10)
    assert 0 <= frechet_distance(*first, *first) < 1e-10


def test_fid_of_few_images_whose_covariance_has_no_full_rank():
    random = np.random.default_rng(0)
    real, generated = random.normal(size=(5, 64)), random.normal(size=(3, 64)) + 2
    # tr (C1 C2)^½ from the singular values of the centred features: no covariance, no square root of one.
    first, second = (x - x.mean(axis=0) for x in (real, generated))
    overlap = np.linalg.svd(first @ second.T, compute_uv=False).sum() / np.sqrt(4 * 2)
    expected = np.sum((real.mean(axis=0) - generated.mean(axis=0)) ** 2)
    expected += np.sum(first**2) / 4 + np.sum(second**2) / 2 - 2 * overlap
    assert fid_of_features(real, generated) == pytest.approx(expected, rel=1e-6)
    assert fid_of_features(real, real) < 1e-5


def test_fid_of_one_feature_is_that_of_two_normal_distributions():
    real, generated = np.array([[0.0], [2.0]]), np.array([[5.0], [9.0]])
    assert fid_of_features(real, generated) == pytest.approx(36 + (np.sqrt(2) - np.sqrt(8)) ** 2, rel=1e-9)


def test_fid_is_that_of_the_sample_covariances():
    random = np.random.default_rng(3)
    real, generated = random.normal(size=(50, 4)), random.normal(size=(40, 4))
    moments = [value for x in (real, generated) for value in (x.mean(axis=0), np.cov(x.T))]
    assert fid_of_features(real, generated) == pytest.approx(frechet_distance(*moments))


def test_kid_agrees_with_scikit_learn():
    polynomial_kernel = pytest.importorskip("sklearn.metrics.pairwise").polynomial_kernel
    random = np.random.default_rng(0)
    real, generated = random.normal(size=(12, 5)), random.normal(size=(12, 5)) + 0.3
    within = 0.0
    for x in (real, generated):
        kernel = polynomial_kernel(x, degree=3, coef0=1)
        within += (kernel.sum() - np.trace(kernel)) / (12 * 11)
    expected = within - 2 * polynomial_kernel(real, generated, degree=3, coef0=1).mean()
    found = kid_of_features(real, generated, subsets=3, subset_size=12)
    assert found.value == pytest.approx(expected, rel=1e-10)
    # Every subset is the whole.
    assert found.standard_deviation < 1e-10


def test_kid_is_unbiased_for_few_images_where_fid_is_not():
    random = np.random.default_rng(0)
    pairs = random.normal(size=(2000, 2, 4, 3))
    values = [kid_of_features(real, generated, subsets=1, subset_size=4).value for real, generated in pairs]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert np.mean([fid_of_features(real, generated) for real, generated in pairs[:100]]) > 1


def test_kid_of_different_distributions_is_far_from_zero():
    random = np.random.default_rng(0)
    real, same, other = random.normal(size=(3, 400, 8))
    near, far = kid_of_features(real, same), kid_of_features(real, other + 1)
    assert abs(near.value) < 2 * near.standard_deviation
    assert far.value > 10 * far.standard_deviation


def test_spread_of_kid_is_that_of_its_subsets_and_seeded():
    random = np.random.default_rng(0)
    real, generated = random.normal(size=(2, 60, 4))
    many = kid_of_features(real, generated, subsets=400, subset_size=10)
    singles = [kid_of_features(real, generated, subsets=1, subset_size=10, seed=seed).value for seed in range(400)]
    assert many.standard_deviation == pytest.approx(np.std(singles), rel=0.2)
    assert many.value == pytest.approx(np.mean(singles), abs=4 * many.standard_deviation / np.sqrt(200))
    assert kid_of_features(real, generated, seed=3) == kid_of_features(real, generated, seed=3)
    assert kid_of_features(real, generated, seed=3) != kid_of_features(real, generated, seed=4)


def test_one_subset_has_no_spread():
    assert np.isnan(kid_of_features(np.eye(4), np.eye(4), subsets=1).standard_deviation)


@pytest.mark.parametrize("counts, expected", [((2, 2), 2), ((3, 50), 2), ((40, 60), 20), ((2500, 2001), 1000)])
def test_subsets_are_half_of_the_smaller_set_or_a_thousand(counts, expected):
    real, generated = (np.random.default_rng(0).normal(size=(count, 2)) for count in counts)
    assert kid_of_features(real, generated, subsets=2).subset_size == expected


def test_precision_and_recall_agree_with_scikit_learn():
    neighbors_module = pytest.importorskip("sklearn.neighbors")
    random = np.random.default_rng(0)
    # More than a block of rows.
    real, generated = random.normal(size=(1500, 3)) + 5, 0.7 * random.normal(size=(1100, 3)) + 5.5

    def share(points, centers):
        nearest = neighbors_module.NearestNeighbors(n_neighbors=4).fit(centers)
        # The nearest of a point among its own set is itself.
        radii = nearest.kneighbors(centers)[0][:, 3]
        return np.mean(np.any(np.linalg.norm(points[:, None] - centers, axis=-1) <= radii, axis=1))

    found = precision_and_recall_of_features(real, generated, neighbors=3)
    assert found == pytest.approx((share(generated, real), share(real, generated)), abs=1e-12)
    assert 0.5 < found[1] < found[0] < 1


def test_precision_and_recall_by_hand():
    real = np.array([[0.0], [1.0], [3.0], [10.0]])
    generated = np.array([[-1.0], [-1.5], [4.0], [30.0]])
    # Balls of the nearest neighbour: real 1, 1, 2, 7 reach from -1 to 17; generated 0.5, 0.5, 5, 26 from -2 to -0.5,
    # and from -1 to 56.
    precision, recall = precision_and_recall_of_features(real, generated, neighbors=1)
    assert (precision, recall) == (0.5, 1.0)


def test_generating_one_image_only_has_precision_without_recall():
    real = np.random.default_rng(0).normal(size=(100, 4))
    assert precision_and_recall_of_features(real, np.repeat(real[:1], 100, axis=0)) == (1.0, 0.01)
    assert precision_and_recall_of_features(real, real) == (1.0, 1.0)
    assert precision_and_recall_of_features(real, real + 100) == (0.0, 0.0)


@pytest.mark.parametrize("score", [fid_of_features, kid_of_features, precision_and_recall_of_features])
def test_features_that_cannot_be_compared_are_refused(score):
    good = np.random.default_rng(0).normal(size=(8, 4))
    with pytest.raises(ValueError, match=r"`generated` must be numbers of shape \(n, d\).*\(8, 2, 2\)"):
        score(good, good.reshape(8, 2, 2))
    with pytest.raises(ValueError, match="same number of features.*4 and 3"):
        score(good, good[:, :3])
    with pytest.raises(ValueError, match="`real` must hold features of at least 2 images. Received: 1"):
        score(good[:1], good)
    broken = good.copy()
    broken[5, 1] = np.nan
    with pytest.raises(ValueError, match=r"`generated` must be finite.*rows \[5\]"):
        score(good, broken)


@pytest.mark.parametrize("options", [{"subset_size": 9}, {"subset_size": 1}, {"subset_size": 2.5}, {"subsets": 0}])
def test_subsets_that_do_not_fit_are_refused(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}="):
        kid_of_features(np.eye(8), np.eye(10, 8), **options)


@pytest.mark.parametrize("neighbors", [0, 8, 1.5])
def test_neighbors_that_do_not_fit_are_refused(neighbors):
    with pytest.raises(ValueError, match=f"`neighbors` must be an integer from 1 to 7, .*neighbors={neighbors}"):
        precision_and_recall_of_features(np.eye(8), np.eye(10, 8), neighbors=neighbors)


def test_gaussians_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"`covariance_2` shape \(d, d\).*shape \(3,\) and shape \(2, 2\)"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(3), np.eye(2))
    with pytest.raises(ValueError, match="`mean_1` and `mean_2` must have the same shape"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="`covariance_1` must be finite"):
        frechet_distance(np.zeros(2), np.full((2, 2), np.inf), np.zeros(2), np.eye(2))
