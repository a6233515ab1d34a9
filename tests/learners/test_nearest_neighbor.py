"""The nearest neighbour against all distances in NumPy, on pixels too."""

import metalearn_tf as mtf

import keras
import numpy as np

SUPPORT_Y = np.array([1, 0, 1, 2, 1, 0, 1], "int32")


def flatten(shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Flatten()(inputs))


def test_logits_are_minus_the_smallest_squared_distance_of_each_class():
    random = np.random.default_rng(0)
    support_x, query_x = (random.normal(size=(n, 3, 2)).astype("float32") for n in (7, 4))
    distances = ((query_x[:, None].astype("float64") - support_x) ** 2).sum(axis=(2, 3))
    expected = -np.stack([distances[:, label == SUPPORT_Y].min(axis=1) for label in range(3)], axis=1)
    learner = mtf.learners.NearestNeighbor(flatten((3, 2)))
    logits = np.asarray(learner((support_x[None], SUPPORT_Y[None], query_x[None])))[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_the_nearest_example_decides_and_not_the_nearest_mean():
    """By hand: 0 has examples at -1 and 9, with the mean 4; 1 has one at 5. A query at 8 is nearest to 9."""
    learner = mtf.learners.NearestNeighbor(flatten((1,)))
    support_x, query_x = np.array([[-1.0], [9.0], [5.0]]), np.array([[8.0], [4.0]])
    logits = np.asarray(
        learner((support_x[None].astype("float32"), np.array([[0, 0, 1]]), query_x[None].astype("float32")))
    )[0]
    np.testing.assert_allclose(logits, [[-1.0, -9.0], [-25.0, -1.0]], atol=1e-4)


def test_pixels_need_no_training(toy_dataset, tmp_path):
    learner = mtf.learners.NearestNeighbor(flatten((16, 16, 1)))
    assert learner.count_params() == 0
    report = mtf.evaluation.evaluate_episodes(learner, toy_dataset, ways=5, shots=1, queries=3, episodes=8)
    assert report.accuracy > 0.95 and report.normalization == "none"
    learner.save(tmp_path / "pixels.keras")
    loaded = keras.models.load_model(tmp_path / "pixels.keras")
    images, labels = toy_dataset.class_examples(0)[:2] / 255.0, np.arange(2)
    np.testing.assert_array_equal(
        loaded.adapt(images, labels).predict(images, verbose=0),
        learner.adapt(images, labels).predict(images, verbose=0),
    )
