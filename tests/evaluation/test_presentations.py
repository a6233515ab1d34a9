"""Accuracy by presentation: by hand, and of a model that remembers."""

import math

import metalearn_tf as mtf
from metalearn_tf.evaluation import PresentationReport, by_presentation

import numpy as np
import pytest
import tensorflow as tf


def test_counting_by_hand():
    labels = np.array([1, 0, 1, 1, 0, 0])
    predictions = np.array([0, 0, 1, 1, 1, 0])
    # First: class 1 missed, class 0 hit; second: hit, missed; third: both hit.
    assert by_presentation(labels, predictions, 3) == (0.5, 0.5, 1.0)


class PerfectMemory:
    """Guesses class 0 for what it has not seen a class mate of, in pixels, and is right from then on."""

    max_ways = 5

    def present(self, x, y):
        pixels = tf.reshape(x, [*y.shape, -1])
        distances = tf.reduce_mean(tf.abs(pixels[:, :, None] - pixels[:, None]), axis=-1)
        seen = tf.linalg.band_part(tf.ones(distances.shape[1:]), -1, 0) - tf.eye(y.shape[1]) > 0
        near = seen & (distances < 0.12)
        return tf.reduce_sum(tf.where(near[..., None], tf.one_hot(y, self.max_ways)[:, None], 0.0), axis=2)


def test_what_remembers_is_right_from_the_second_presentation(toy_dataset):
    report = mtf.evaluation.evaluate_presentations(PerfectMemory(), toy_dataset, presentations=4, episodes=11, seed=2)
    assert (report.episodes, report.ways, report.normalization) == (11, 5, "none")
    # Class 0 is guessed for all five at first.
    np.testing.assert_allclose(report.accuracies, [0.2, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(report.confidence_intervals, 0.0, atol=1e-9)


def test_the_same_seed_gives_the_same_sequences(toy_dataset):
    shown = []

    class Recorder(PerfectMemory):
        def present(self, x, y):
            (copy,) = tf.py_function(lambda labels: shown.append(labels.numpy()) or [labels], [y], [y.dtype])
            with tf.control_dependencies([copy]):
                return super().present(x, y)

    for seed in (3, 3, 4):
        mtf.evaluation.evaluate_presentations(Recorder(), toy_dataset, 3, presentations=3, episodes=8, seed=seed)
    np.testing.assert_array_equal(shown[0], shown[1])
    assert not np.array_equal(shown[0], shown[2])
    assert (np.sort(shown[0], axis=1) == np.repeat(np.arange(3), 3)).all()
    assert not np.array_equal(shown[0][0], shown[0][1])  # another order in each episode


def test_intervals_and_table():
    report = PresentationReport("MANN", "toy", 5, 0, "support", ((0.2, 0.4), (0.4, 1.0)), 1.0)
    assert report.accuracies == pytest.approx((0.3, 0.7))
    # Standard deviations 0.1 √2 and 0.3 √2 over √2 episodes.
    assert report.confidence_intervals == pytest.approx((1.96 * 0.1, 1.96 * 0.3))
    assert "| 2 | 70.00 ± 58.80 |" in report.to_markdown() and "30.0, 70.0" in str(report)
    one = PresentationReport("MANN", "toy", 5, 0, "support", ((0.2, 0.4),), 1.0)
    assert all(math.isnan(interval) for interval in one.confidence_intervals)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"presentations": 1}, "`presentations` must be an integer of at least 2.*Received: presentations=1"),
        ({"episodes": 0}, "`episodes` must be a positive integer.*Received: episodes=0"),
        ({"ways": 6}, "`ways` must be at most the learner's 5.*Received: 6"),
        ({"learner": object()}, "`learner` must answer along sequences.*Received: object"),
    ],
)
def test_bad_arguments_are_named(toy_dataset, options, message):
    with pytest.raises(ValueError, match=message):
        mtf.evaluation.evaluate_presentations(**{"learner": PerfectMemory(), "dataset": toy_dataset, **options})
