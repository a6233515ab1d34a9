import json
import math

import metalearn_tf as mtf
from metalearn_tf.evaluation import (
    Report,
    confidence_half_width,
    confusion_matrix,
    evaluate_episodes,
    macro_recall_and_f1,
    student_half_width,
)

import keras
import numpy as np
import pytest


def make_report(accuracies=(0.5, 0.7, 0.9)):
    return Report(
        learner="MAML",
        dataset="toy",
        ways=5,
        shots=1,
        queries=15,
        seed=3,
        normalization="support",
        episode_accuracies=tuple(accuracies),
        recall=0.6,
        f1=0.55,
        seconds=1.5,
    )


def test_half_widths_are_taken_along_the_first_axis():
    values = np.array([[0.5, 1.0], [0.7, 1.0], [0.9, 1.0]])
    np.testing.assert_allclose(confidence_half_width(values), [1.96 * 0.2 / math.sqrt(3), 0.0])
    assert np.isnan(confidence_half_width(values[:1])).tolist() == [True, True]


def test_half_widths_over_seeds_are_those_of_student():
    # Of t-tables: 97.5 % at 2, 10, 29 and 100 degrees of freedom.
    for count, quantile in ((3, 4.303), (11, 2.228), (30, 2.045), (101, 1.984)):
        values = np.random.default_rng(count).normal(size=count)
        expected = quantile * np.std(values, ddof=1) / math.sqrt(count)
        np.testing.assert_allclose(student_half_width(values), expected, rtol=4e-4)
    assert np.isnan(student_half_width([0.5]))


def test_interval_is_196_standard_errors():
    report = make_report()
    assert report.accuracy == pytest.approx(0.7)
    assert report.confidence_interval == pytest.approx(1.96 * 0.2 / math.sqrt(3))


def test_one_episode_has_no_interval():
    assert math.isnan(make_report([0.5]).confidence_interval)


def test_json_round_trip(tmp_path):
    report = make_report()
    text = report.to_json(tmp_path / "report.json")
    assert Report.from_json((tmp_path / "report.json").read_text()) == report
    assert json.loads(text)["accuracy"] == pytest.approx(0.7)


def test_markdown_row_has_a_cell_for_each_heading():
    report = make_report()
    header, rule = report.markdown_header().split("\n")
    assert header.count("|") == rule.count("|") == report.to_markdown_row().count("|")
    for cell in ("70.00 ± 22.63", "support", "5-way 1-shot"):
        assert cell in report.to_markdown_row()


@pytest.mark.parametrize(
    "labels, advice",
    [
        ([[0], [1], [2]], r"`np.squeeze\(labels, axis=-1\)`"),
        (np.eye(3), r"`np.argmax\(labels, axis=-1\)`"),
        ([0.0, 1.0, 2.0], r"`labels.astype\('int32'\)`"),
    ],
)
def test_a_confusion_matrix_is_of_class_numbers(labels, advice):
    with pytest.raises(ValueError, match=f"`labels` must be class numbers.*{advice}.*Received: "):
        confusion_matrix(labels, [0, 1, 2], 3)


def test_scores_by_hand():
    confusion = confusion_matrix([0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0], 3)
    np.testing.assert_array_equal(confusion, [[1, 1, 0], [0, 2, 0], [1, 0, 1]])
    recall, f1 = macro_recall_and_f1(confusion)
    assert recall == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    # precisions 1/2, 2/3, 1; F1 = 2pr / (p + r)
    assert f1 == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64"])
def test_labels_of_any_integer_dtype_are_counted(dtype):
    labels = np.arange(100).astype(dtype)
    np.testing.assert_array_equal(confusion_matrix(labels, labels, 100), np.eye(100))


@pytest.mark.parametrize("name", ["labels", "predictions"])
@pytest.mark.parametrize("wrong", [-1, 3])
def test_class_numbers_out_of_range_are_refused(name, wrong):
    numbers = {"labels": [0, 1, 2], "predictions": [0, 1, 2], name: [0, 1, wrong]}
    with pytest.raises(ValueError, match=f"`{name}` must be in .*Received: "):
        confusion_matrix(**numbers, ways=3)


def test_a_class_never_predicted_counts_as_nought():
    recall, f1 = macro_recall_and_f1(np.array([[3, 0], [3, 0]]))
    assert recall == pytest.approx(0.5)
    assert f1 == pytest.approx((2 * 0.5 / 1.5 + 0) / 2)


class NearestPixels:
    """A model of tasks that is no learner: the nearest class mean in pixel space."""

    def predict_on_batch(self, inputs):
        support_x, support_y, query_x = (np.asarray(tensor) for tensor in inputs)
        logits = []
        for support, labels, queries in zip(support_x, support_y, query_x):
            means = np.stack([support[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
            logits.append(-((queries[:, None] - means) ** 2).sum(axis=(2, 3, 4)))
        return np.stack(logits)


def test_any_model_of_tasks_is_evaluated(toy_dataset):
    report = evaluate_episodes(NearestPixels(), toy_dataset, ways=4, shots=2, queries=3, episodes=11, seed=5)
    assert (report.episodes, report.learner, report.normalization) == (11, "NearestPixels", "none")
    assert report.accuracy == report.recall == report.f1 == 1.0


@pytest.mark.full
def test_evaluation_is_that_of_keras_on_the_same_episodes(toy_dataset):
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4((16, 16, 1), 4))
    learner.compile(metrics=["accuracy"])
    noisy = mtf.data.ClassDataset(
        np.random.default_rng(0).integers(0, 255, toy_dataset.examples.shape).astype("uint8"), toy_dataset.labels
    )
    report = evaluate_episodes(learner, noisy, ways=3, shots=1, queries=5, episodes=16, seed=2)
    tasks = mtf.data.episodes(noisy, 3, 1, 5, tasks_per_batch=8, seed=2).take(2)
    assert report.accuracy == pytest.approx(learner.evaluate(tasks, verbose=0, return_dict=True)["accuracy"], abs=1e-6)
    assert report.normalization == "transductive"
    assert report.accuracy < 0.9


def test_head_of_another_width_is_refused(toy_dataset):
    learner = mtf.learners.MAML(mtf.networks.conv4((16, 16, 1), 4, outputs=5))
    with pytest.raises(ValueError, match=r"`ways` must be the width.*`outputs=3`.*Received: ways=3"):
        evaluate_episodes(learner, toy_dataset, ways=3, shots=1, episodes=2, queries=2)


def test_episodes_must_be_positive(toy_dataset):
    with pytest.raises(ValueError, match=r"`episodes`.*Received: episodes=0"):
        evaluate_episodes(NearestPixels(), toy_dataset, ways=3, shots=1, episodes=0)


# === Domains and ragged episodes ===


class Guesser:
    """Answers by the values of the pixels alone: right where the class is class 0 of its task, and elsewhere wrong."""

    def predict_on_batch(self, inputs):
        support_y, query_x = np.asarray(inputs[1]), np.asarray(inputs[2])
        return np.tile(np.arange(support_y.max() + 1, 0, -1.0), (*query_x.shape[:2], 1))


@pytest.mark.full
def test_domains_have_reports_of_their_own(toy_dataset, tmp_path):
    clean = mtf.data.ClassDataset(toy_dataset.examples, toy_dataset.labels, domain="clean")
    noise = np.random.default_rng(0).integers(0, 255, toy_dataset.examples.shape).astype("uint8")
    noisy = mtf.data.ClassDataset(noise, toy_dataset.labels, domain="noisy")
    report = evaluate_episodes(NearestPixels(), [clean, noisy], ways=3, shots=1, queries=2, episodes=10, seed=1)
    assert list(report.by_domain) == ["clean", "noisy"] and report.dataset == "clean + noisy"
    assert report.by_domain["clean"].accuracy == 1.0 > report.by_domain["noisy"].accuracy
    alone = evaluate_episodes(NearestPixels(), noisy, ways=3, shots=1, queries=2, episodes=10, seed=1)
    assert report.by_domain["noisy"].episode_accuracies == alone.episode_accuracies
    assert report.episodes == 20
    assert report.accuracy == pytest.approx((1 + alone.accuracy) / 2)
    assert report.f1 == pytest.approx((1 + alone.f1) / 2)
    report.to_json(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()
    assert Report.from_json(text) == report
    assert json.loads(text)["by_domain"]["noisy"]["accuracy"] == pytest.approx(alone.accuracy)
    rows = report.to_markdown().splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["clean + noisy", "clean", "noisy"]


def test_reports_of_one_dataset_written_before_there_were_domains_are_read():
    values = json.loads(make_report().to_json())
    del values["by_domain"]
    assert Report.from_json(json.dumps(values)) == make_report()


@pytest.mark.parametrize("domains", [("a", None), ("a", "a"), ()])
def test_domains_without_names_of_their_own_are_refused(toy_dataset, domains):
    datasets = [mtf.data.ClassDataset(toy_dataset.examples, toy_dataset.labels, domain=name) for name in domains]
    with pytest.raises(ValueError, match="domain of its own.*ClassDataset.domain=.*Received: "):
        evaluate_episodes(NearestPixels(), datasets, ways=3, shots=1)


def test_padding_does_not_count_and_predictions_stay_within_the_ways(toy_dataset):
    report = evaluate_episodes(Guesser(), toy_dataset, ways=(2, 4), shots=1, queries=(1, 3), episodes=24)
    assert set(np.round(report.episode_accuracies, 6)) == {0.5, round(1 / 3, 6), 0.25}
    assert "2 to 4-way 1-shot, 1 to 3 queries" in report.to_markdown_row()
    assert Report.from_json(report.to_json()) == report


@pytest.mark.full
def test_padding_has_no_part_in_the_statistics_of_the_queries(toy_dataset):
    x = inputs = keras.Input((16, 16, 1))
    x = mtf.networks.TaskNormalization("transductive")(keras.layers.Dense(6)(keras.layers.Flatten()(x)))
    learner = mtf.learners.PrototypicalNetwork(keras.Model(inputs, x))
    size = {"ways": (2, 5), "shots": 1, "queries": (1, 3)}
    tasks = mtf.data.episodes(toy_dataset, **size, tasks_per_batch=1, seed=3).take(12)
    accuracies = []
    for (support_x, support_y, query_x), query_y, _ in tasks.as_numpy_iterator():
        shown, asked = support_y >= 0, query_y >= 0
        logits = learner((support_x[shown][None], support_y[shown][None], query_x[asked][None]))
        accuracies.append(np.mean(np.argmax(logits[0], axis=-1) == query_y[asked]))
    report = evaluate_episodes(learner, toy_dataset, **size, episodes=12, seed=3)
    np.testing.assert_allclose(report.episode_accuracies, accuracies)


def test_further_options_reach_the_episodes(toy_dataset):
    with pytest.raises(ValueError, match="`within_parent` needs"):
        evaluate_episodes(NearestPixels(), toy_dataset, ways=3, shots=1, within_parent=True)


def test_numbers_of_numpy_are_written_as_python_s():
    report = Report(
        "MAML", "glyphs", np.int64(5), (np.int32(1), 2), 3, np.int8(0), "support", np.asarray([0.5, 1.0], "float32"),
        np.float32(0.5), np.float64(0.25), np.float16(1.0),
    )  # fmt: skip
    again = Report.from_json(report.to_json())
    assert (again.ways, again.shots, again.seed, again.episode_accuracies) == (5, (1, 2), 0, (0.5, 1.0))
    assert again.to_json() == report.to_json()


def test_one_episode_has_no_interval_in_json():
    assert json.loads(make_report([0.5]).to_json(), parse_constant=pytest.fail)["confidence_interval"] is None
    assert Report.from_json(make_report([0.5]).to_json()) == make_report([0.5])
