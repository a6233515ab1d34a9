"""The report of a workflow, by hand."""

import json
import math

from metalearn_tf.workflows import Arm, WorkflowReport

import matplotlib.image
import numpy as np
import pytest

STUDENT = {2: 12.706, 3: 4.303}  # of 95 %, by the number of seeds


def arm(accuracies, generates=False, one_training=False):
    return Arm(tuple(map(tuple, accuracies)), 0.5, 0.4, generates=generates, seconds=3.0, one_training=one_training)


def report(seeds=2):
    arms = {
        "plain": [[0.5, 0.7], [0.6, 0.8]],
        "weak": [[0.1, 0.2], [0.3, 0.4]],
        "GAN": [[0.6, 0.8], [0.7, 0.8]],
        "bad GAN": [[0.0, 0.0], [0.0, 0.1]],
    }
    return WorkflowReport("daml", {"steps": 20}, {name: arm(a[:seeds], "GAN" in name) for name, a in arms.items()})


def test_accuracy_and_its_intervals_over_episodes_and_over_seeds():
    plain = report().arms["plain"]
    values, seeds = [0.5, 0.7, 0.6, 0.8], [0.6, 0.7]
    assert plain.accuracy == pytest.approx(0.65)
    assert plain.confidence_interval == pytest.approx(1.96 * np.std(values, ddof=1) / 2)
    assert plain.seed_accuracies == pytest.approx(seeds)
    assert plain.interval_over_seeds == pytest.approx(STUDENT[2] * np.std(seeds, ddof=1) / np.sqrt(2), rel=1e-3)


def test_numbers_of_numpy_are_written_as_python_s():
    setting = {"shots": np.int64(5), "ratios": [np.float32(0.5)], "range": np.array([0, 1])}
    arms = {"plain": Arm(((np.float32(0.5), np.float64(0.25)),), np.float32(0.5), np.float32(0.5), np.bool_(False), 1)}
    again = WorkflowReport.from_json(WorkflowReport("daml", setting, arms).to_json())
    assert again.setting == {"shots": 5, "ratios": [0.5], "range": [0, 1]}
    assert again.arms["plain"].accuracies == ((0.5, 0.25),) and again.arms["plain"].generates is False


def test_one_episode_of_one_seed_has_no_interval_in_json():
    arms = {"plain": arm([[0.5]]), "GAN": arm([[0.75]], True)}
    values = json.loads(WorkflowReport("daml", {}, arms).to_json(), parse_constant=pytest.fail)["arms"]["GAN"]
    intervals = values["confidence_interval"], values["gain"]["over_episodes"], values["gain"]["over_seeds"]
    assert intervals == (None, None, None) and values["gain"]["mean"] == 0.25


def test_the_best_arms_with_and_without_a_gan():
    assert report().best_without_gan == "plain" and report().best_with_gan == "GAN"


def test_a_gain_is_of_the_same_episodes_and_seeds():
    differences, of_seeds = [0.1, 0.1, 0.1, 0.0], [0.1, 0.05]
    gain = report().gain("GAN")
    assert gain.mean == pytest.approx(0.075)
    assert gain.over_episodes == pytest.approx(1.96 * np.std(differences, ddof=1) / 2)
    assert gain.over_seeds == pytest.approx(STUDENT[2] * np.std(of_seeds, ddof=1) / np.sqrt(2), rel=1e-3)
    # Much narrower than of two independent tests.
    assert gain.over_episodes < report().arms["GAN"].confidence_interval
    # Sure for these two trainings, and not of others.
    assert gain.mean > gain.over_episodes and gain.mean < gain.over_seeds and not gain.holds
    assert report().gain("GAN", over="weak").mean == pytest.approx(0.475)
    with pytest.raises(KeyError):
        report().gain("GAN", over="unknown")


@pytest.mark.parametrize(
    ("differences", "holds"),
    [
        ([0.10, 0.11, 0.12], True),
        ([0.049, 0.004, 0.038], False),  # three seeds of which one gained next to nothing
        ([0.5, 0.6, -0.4], False),
        ([-0.10, -0.11, -0.12], False),  # surely a loss
        ([0.1, 0.1, 0.1], True),
        ([0.0, 0.0, 0.0], False),
        ([0.3], False),
    ],
)
def test_a_gain_is_one_only_if_it_holds_over_seeds(differences, holds):
    base = np.array([[0.4, 0.5, 0.45]] * len(differences))
    arms = {"plain": arm(base), "GAN": arm(base + np.array(differences)[:, None], True)}
    gain = WorkflowReport("daml", {}, arms).gain("GAN", over="plain")
    assert gain.holds is holds
    assert ("not known" if len(differences) == 1 else ": a gain" if holds else "no gain that holds") in str(gain)
    if len(differences) == 3:
        expected = STUDENT[3] * np.std(differences, ddof=1) / np.sqrt(3)
        assert gain.over_seeds == pytest.approx(expected, rel=1e-3, abs=1e-12)


def test_of_one_seed_there_is_no_interval_over_seeds():
    of_one = report(seeds=1)
    assert math.isnan(of_one.arms["plain"].interval_over_seeds) and math.isnan(of_one.gain("GAN").over_seeds)
    assert json.loads(of_one.to_json())["arms"]["GAN"]["gain"]["over_seeds"] is None
    text = of_one.to_markdown()
    assert "| 60.00 ± - / 19.60 | the best |" in text and "| not known |" in text
    assert "of one seed: they say nothing about other trainings" in text and "nan" not in text.lower()


def test_one_training_that_is_tested_in_each_seed_is_one():
    arms = {**report().arms, "ensemble": arm([[0.8, 0.9], [0.9, 0.9]], one_training=True)}
    arms["GAN, ensemble"] = arm([[0.9, 0.9], [1.0, 0.9]], True, one_training=True)
    both = WorkflowReport("gan_augmented", {}, arms)
    assert math.isnan(both.arms["ensemble"].interval_over_seeds)
    # Ensembles are compared with the best of them, and what each seed trains with the best of that.
    gain = both.gain("GAN, ensemble")
    assert gain.mean == pytest.approx(0.05) and math.isnan(gain.over_seeds) and not gain.holds
    assert both.gain("GAN") == report().gain("GAN")
    text = both.to_markdown()
    assert text.count("| the best |") == 2 and "| not known |" in text
    assert "are one training, tested in each seed, and compared with the best of their kind" in text


def test_json_comes_back():
    text = report().to_json()
    assert WorkflowReport.from_json(text) == report()
    values = json.loads(text)["arms"]["GAN"]
    assert values["accuracy"] == pytest.approx(0.725)
    assert values["gain"]["mean"] == pytest.approx(0.075) and values["gain"]["holds"] is False


def test_a_row_for_each_arm_and_what_the_intervals_mean():
    header, rule, *rows = report().to_markdown().splitlines()
    note = rows[-1]
    rows = [row for row in rows if row.startswith("|")]
    assert len(rows) == 4 and all(row.count("|") == header.count("|") == rule.count("|") for row in rows)
    assert "| 65.00 ± 63.53 / 12.65 | the best |  | 50.00 | 40.00 | 60.0, 70.0 | 3 |" in rows[0]
    assert "| +7.50 ± 31.77 / 4.90 | no |" in rows[2]
    assert "over the 2 seeds by Student's t" in note and "only if its interval over seeds is above 0" in note


def test_a_figure_has_the_arms_colours(tmp_path):
    for seeds in (1, 2):
        pixels = matplotlib.image.imread(report(seeds).figure(tmp_path / "report.png"))[..., :3]
        for colour in ((0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)):
            assert (np.abs(pixels - np.array(colour) / 255).max(axis=-1) < 0.02).sum() > 100
