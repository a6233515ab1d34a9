"""The report of a workflow, by hand."""

import json

import matplotlib.image
import numpy as np
import pytest

from metalearn_tf.workflows import Arm, WorkflowReport


def arm(accuracies, generates=False):
    return Arm(tuple(map(tuple, accuracies)), recall=0.5, f1=0.4, generates=generates, seconds=3.0)


def report():
    arms = {
        "plain": arm([[0.5, 0.7], [0.6, 0.8]]),
        "weak": arm([[0.1, 0.2], [0.3, 0.4]]),
        "GAN": arm([[0.6, 0.8], [0.7, 0.8]], generates=True),
        "bad GAN": arm([[0.0, 0.0], [0.0, 0.1]], generates=True),
    }
    return WorkflowReport("daml", {"steps": 20}, arms)


def test_accuracy_and_interval_are_over_all_episodes_of_all_seeds():
    plain = report().arms["plain"]
    values = [0.5, 0.7, 0.6, 0.8]
    assert plain.accuracy == pytest.approx(0.65)
    assert plain.confidence_interval == pytest.approx(1.96 * np.std(values, ddof=1) / 2)
    assert plain.seed_accuracies == pytest.approx((0.6, 0.7))


def test_the_best_arms_with_and_without_a_gan():
    assert report().best_without_gan == "plain" and report().best_with_gan == "GAN"


def test_a_gain_is_of_the_same_episodes():
    differences = [0.1, 0.1, 0.1, 0.0]
    mean, width = report().gain("GAN")
    assert mean == pytest.approx(0.075) and width == pytest.approx(1.96 * np.std(differences, ddof=1) / 2)
    # Much narrower than of two independent tests.
    assert width < report().arms["GAN"].confidence_interval
    assert report().gain("GAN", over="weak")[0] == pytest.approx(0.475)


def test_json_comes_back():
    text = report().to_json()
    assert WorkflowReport.from_json(text) == report()
    assert json.loads(text)["arms"]["GAN"]["accuracy"] == pytest.approx(0.725)


def test_a_row_for_each_arm():
    header, rule, *rows = report().to_markdown().splitlines()
    assert len(rows) == 4 and all(row.count("|") == header.count("|") == rule.count("|") for row in rows)
    assert "| 65.00 ± 12.65 | the best | 50.00 | 40.00 | 60.0, 70.0 | 3 |" in rows[0]
    assert "| +7.50 ± 4.90 |" in rows[2]


def test_a_figure_has_the_arms_colours(tmp_path):
    pixels = matplotlib.image.imread(report().figure(tmp_path / "report.png"))[..., :3]
    for colour in ((0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)):
        assert (np.abs(pixels - np.array(colour) / 255).max(axis=-1) < 0.02).sum() > 100
