"""Probes against scikit-learn, and against all distances in NumPy."""

import logging

import metalearn_tf as mtf
from metalearn_tf.transfer.logistic_regression import fit_logistic_regression

import keras
import numpy as np
import pytest

linear_probe, nearest_neighbors = mtf.transfer.linear_probe, mtf.transfer.nearest_neighbors


@pytest.fixture
def task():
    """Features of four classes that overlap, of very different scales and far from 0, one of them constant."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)
    features = random.normal(size=(4, 6))[labels] + random.normal(size=(120, 6))
    features = features * [1, 100, 0.01, 3, 1, 0.0] + [0, 500, 2, -30, 0, 7.3]
    order = random.permutation(120)
    return features[order].astype("float32"), labels[order]


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


# === The linear probe ===


@pytest.mark.parametrize("l2", [0.1, 1.0, 30.0])
def test_the_probe_is_the_regression_of_scikit_learn(task, l2):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs the extra `text`")
    features, labels = task
    standardized = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-6)
    regression = linear_model.LogisticRegression(C=1 / l2, tol=1e-8, max_iter=1000)
    expected = regression.fit(standardized, labels).predict_proba(standardized)
    probabilities = linear_probe(features, labels, l2=l2).predict(features, verbose=0)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-3)


def test_the_gradient_vanishes_at_the_minimum():
    random = np.random.default_rng(1)
    x, labels, l2 = random.normal(size=(40, 5)), random.integers(0, 3, 40), 0.5
    weights, biases = fit_logistic_regression(x, labels, 3, l2)
    difference = softmax(x @ weights + biases) - np.eye(3)[labels]
    np.testing.assert_allclose(x.T @ difference + l2 * weights, 0.0, atol=1e-4)
    np.testing.assert_allclose(difference.sum(axis=0), 0.0, atol=1e-4)


def test_two_examples_by_hand():
    """One at each of ±1: the weights are ±w with `sigmoid(-2 w) = l2 w`, which `w = ½ ln 3` solves for this `l2`."""
    w = np.log(3) / 2
    weights, biases = fit_logistic_regression(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2, l2=2 * 0.25 / w)
    np.testing.assert_allclose(weights, [[-w, w]], rtol=1e-4)
    np.testing.assert_allclose(biases, 0.0, atol=1e-6)


def test_more_features_than_examples_are_told_apart():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 4)
    features = (3 * random.normal(size=(5, 300))[labels] + random.normal(size=(20, 300))).astype("float32")
    assert linear_probe(features, labels).evaluate(features, labels, verbose=0, return_dict=True)["accuracy"] == 1.0


def test_a_fit_that_does_not_converge_says_so(task, caplog):
    features, labels = task
    with caplog.at_level(logging.WARNING):
        fit_logistic_regression(features[:, :1], labels, 4, 1.0, max_steps=1)
    assert "has not converged in 1 steps" in caplog.text


# === Nearest neighbours ===


def similarities(features, queries, distance):
    if distance == "cosine":
        features, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (features, queries))
        return queries @ features.T
    return -((queries[:, None] - features) ** 2).sum(axis=2)


@pytest.mark.rows(default=["in_chunks-None-squared_euclidean", "at_once-0.5-squared_euclidean"])
@pytest.mark.parametrize("distance", ["cosine", "squared_euclidean"])
@pytest.mark.parametrize("temperature", [None, 0.5])
@pytest.mark.parametrize("chunk", [None, 7], ids=["at_once", "in_chunks"])
def test_votes_are_those_of_all_distances(distance, temperature, chunk, monkeypatch):
    random = np.random.default_rng(0)
    features, queries = random.normal(size=(50, 4)), random.normal(size=(16, 4))
    labels = np.arange(50) % 3
    if chunk:
        monkeypatch.setattr("metalearn_tf.transfer.probes._MOST_SIMILARITIES", chunk * 50)
    model = nearest_neighbors(features, labels, neighbors=6, distance=distance, temperature=temperature)
    scores = similarities(features, queries, distance)
    expected = np.zeros((16, 3))
    for row in range(16):
        nearest = np.argsort(-scores[row])[:6]
        weights = np.ones(6) if temperature is None else np.exp(scores[row, nearest] / temperature)
        np.add.at(expected[row], labels[nearest], weights / weights.sum())
    np.testing.assert_allclose(model.predict(queries, batch_size=16, verbose=0), expected, atol=1e-4)


def test_no_query_has_no_votes(task):
    features, labels = task
    assert nearest_neighbors(features, labels)(features[:0]).shape == (0, 4)


def test_one_neighbor_knows_what_it_has_seen(task):
    features, labels = task
    model = nearest_neighbors(features[:, :2], labels, neighbors=1, distance="squared_euclidean")
    assert model.evaluate(features[:, :2], labels, verbose=0, return_dict=True)["accuracy"] == 1.0


# === Both ===


@pytest.mark.rows(default=["linear_probe"])
@pytest.mark.parametrize("probe", [linear_probe, nearest_neighbors])
def test_probes_are_saved_loaded_and_of_one_precision(task, probe, tmp_path):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = probe(*task)
    expected = model.predict(task[0], verbose=0)
    np.testing.assert_allclose(expected.sum(axis=1), 1.0, rtol=1e-5)
    model.save(tmp_path / "probe.keras")
    loaded = keras.models.load_model(tmp_path / "probe.keras")
    np.testing.assert_array_equal(loaded.predict(task[0], verbose=0), expected)
    again = probe(*task).predict(task[0], verbose=0)
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("probe", [linear_probe, nearest_neighbors])
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x, y: (x, np.zeros_like(y)), "`labels` must be of at least 2 classes"),
        (lambda x, y: (x, np.where(y == 2, 7, y)), r"no example of the classes \[2, 4, 5, 6\]"),
        (lambda x, y: (x, y + 1), r"no example of the classes \[0\]"),
        (lambda x, y: (x, y - 1), r"class numbers in \[0, 3\). Received: labels from -1"),
        (lambda x, y: (x, y * 10**12), r"no example of the classes \[1, 2, 3.*…"),
        (lambda x, y: (x, y[:-1]), "Received: 119 for 120 examples"),
        (lambda x, y: (x, y.astype("float32")), "`labels` must be integers.*dtype=float32"),
        (lambda x, y: (x[:, 0], y), r"shape \(n, d\).*Received: shape \(120,\)"),
        (lambda x, y: (x.astype(int), y), "dtype=int64"),
        (lambda x, y: (np.where(np.arange(120)[:, None] == 3, np.nan, x), y), r"finite.*rows \[3\]"),
    ],
)
def test_what_is_no_task_is_refused(task, probe, change, message):
    with pytest.raises(ValueError, match=message):
        probe(*change(*task))


@pytest.mark.parametrize("neighbors", [0, 121, 2.0])
def test_as_many_neighbors_as_there_are(task, neighbors):
    with pytest.raises(ValueError, match=f"`neighbors` must be an integer from 1 to 120.*neighbors={neighbors}"):
        nearest_neighbors(*task, neighbors=neighbors)


@pytest.mark.parametrize(
    "probe, options, message",
    [
        (nearest_neighbors, {"distance": "manhattan"}, "`distance` must be one of"),
        (nearest_neighbors, {"temperature": 0}, "`temperature` must be a positive number"),
        (linear_probe, {"l2": 0.0}, "`l2` must be a positive number"),
        (linear_probe, {"l2": float("nan")}, "`l2` must be a positive number"),
    ],
)
def test_options_out_of_range_are_refused(task, probe, options, message):
    with pytest.raises(ValueError, match=message):
        probe(*task, **options)


@pytest.mark.parametrize("scale", [1e-12, 1e-7, 1.0, 1e6])
def test_the_scale_of_features_changes_no_answer(scale):
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 5)).astype("float32")
    y = np.argmax(x @ random.normal(size=(5, 3)), axis=1)
    one_column = (x * [scale, 1, 1, 1, 1]).astype("float32")
    whole = (x * np.float32(scale)).astype("float32")
    for classify in (mtf.transfer.linear_probe, mtf.transfer.nearest_neighbors):
        expected = classify(x, y)(x)
        np.testing.assert_allclose(classify(whole, y)(whole), expected, atol=1e-4)
        if classify is mtf.transfer.linear_probe:
            np.testing.assert_allclose(classify(one_column, y)(one_column), expected, atol=1e-4)
