"""Hyper-parameter search, in a Ray of this machine."""

import dataclasses
import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("ray", reason='hyper-parameter search needs `pip install "metalearn_tf[ray]"`')

import metalearn_tf as mtf
from metalearn_tf.training.search_space import check_space, describe_space, draw_parameters
from metalearn_tf.training.trial_records import Trial, TrialRecords
from metalearn_tf.training.tuning_report import TuningReport

import search_process
from ray import tune
from search_process import build_learner, make_parts, make_space, search


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of a search that was killed in the middle of its second trial, and what was known of its trials."""
    folder = tmp_path_factory.mktemp("search") / "run"
    script = pathlib.Path(search_process.__file__)
    process = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr[-3000:]
    records = sorted((folder / "trials").iterdir())
    return folder, [(path, path.stat().st_mtime_ns, json.loads(path.read_text())) for path in records]


@pytest.fixture(scope="module")
def folder(killed):
    return killed[0]


@pytest.fixture(scope="module")
def report(killed):
    """What the same search gives, gone on with."""
    folder, _ = killed
    assert (folder / "states/0001/latest.npz").exists() and not (folder / "report.json").exists()
    return search(folder)


# === The search ===


@pytest.mark.full
def test_asha_stops_the_trial_that_is_behind(report):
    assert [trial.status for trial in report.trials] == ["finished", "stopped"]
    # ASHA went on with what the first trial had reported before the search was killed.
    assert [trial.epochs for trial in report.trials] == [4, 3]
    assert report.trials[1].accuracy < report.trials[0].accuracies[2]
    assert report.best is report.trials[0]
    assert report.best_parameters == report.best.parameters
    assert [trial.parameters for trial in report.trials] == search_process.FIRST
    for trial in report.trials:
        assert trial.seconds > 0 and {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(trial.logs[0])


def test_the_learner_is_that_of_the_best_trial(report):
    _, validation = make_parts()
    tasks = mtf.data.episodes(validation, 3, 1, 3, tasks_per_batch=2, seed=search_process.BUDGET.seed + 1)
    accuracy = report.learner.evaluate(tasks, steps=10, verbose=0, return_dict=True)["accuracy"]
    assert accuracy == pytest.approx(report.best.accuracy, abs=0.03)  # on other threads, other roundings


def test_what_is_written(report, folder):
    written = TuningReport.from_json((folder / "report.json").read_text())
    assert written == TuningReport(json.loads(json.dumps(report.setting)), report.trials)
    assert written.best_parameters == report.best_parameters
    assert (folder / "report.md").read_text() == report.to_markdown() == written.to_markdown()
    assert (folder / "report.png").stat().st_size > 5000
    assert "**best**" in (folder / "export/1/model_card.md").read_text()
    assert not list((folder / "states").iterdir())


def test_the_exported_model_gives_the_same_answers(report, folder):
    (support_x, support_y, query_x), _ = next(iter(mtf.data.episodes(make_parts()[1], 3, 1, 3)))
    predict = tf.saved_model.load(str(folder / "export/1")).signatures["serving_default"]
    served = predict(support_images=support_x[0], support_labels=support_y[0], query_images=query_x[0])
    logits = report.learner((support_x, support_y, query_x))[0]
    np.testing.assert_allclose(served["probabilities"], tf.nn.softmax(logits), atol=1e-5)


@pytest.mark.full
def test_a_finished_search_is_read_from_its_folder(report, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "metalearn_tf.training.ray_search", None)  # which would run trials
    again = search(folder)
    assert again == report
    for ours, theirs in zip(again.learner.get_weights(), report.learner.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


def test_a_search_that_was_killed_goes_on_from_where_it_was(killed, report):
    _, before = killed
    assert [record["status"] for _, _, record in before] == ["finished", "unfinished"]
    assert [len(record["logs"]) for _, _, record in before] == [4, 2]
    assert [path.stat().st_mtime_ns == time for path, time, _ in before] == [True, False]
    # The time that it took is in the logs: its first epoch was not trained again.
    assert report.trials[1].logs[0] == before[1][2]["logs"][0]


@pytest.mark.full
def test_a_trial_that_was_killed_ends_as_if_it_never_was(report):
    trial = report.trials[1]
    budget = search_process.BUDGET
    learner = budget.build(build_learner, trial.parameters)
    history = budget.fit(learner, *make_parts(), callbacks=[]).history
    # On more threads than in the trial, so that roundings may differ.
    np.testing.assert_allclose(history["loss"][:3], [log["loss"] for log in trial.logs], rtol=1e-3)
    np.testing.assert_allclose(history["val_accuracy"][:3], trial.accuracies, atol=0.02)


@pytest.mark.full
def test_where_all_trials_fail_the_first_error_is_shown(tmp_path):
    driver = os.getpid()

    def fails_in_a_trial(learning_rate):
        if os.getpid() != driver:
            raise ArithmeticError("no such rate")
        return build_learner(learning_rate)

    train, validation = make_parts()
    setting = {**search_process.SETTING, "trials": 1, "concurrent_trials": 1}
    with pytest.raises(RuntimeError, match="(?s)No trial ran all epochs; 1 of 1 failed.*ArithmeticError.*no such rate"):
        mtf.training.tune(fails_in_a_trial, {"learning_rate": [0.1]}, train, validation, tmp_path, **setting)
    assert TrialRecords(tmp_path / "trials", [{}], 4).read(0).status == "failed"


# === What is refused, before any work ===


def refuse(match, error=ValueError, build=build_learner, space=None, folder="run", **options):
    train, validation = make_parts()
    arguments = {"train": train, "validation": validation, **search_process.SETTING, **options}
    with pytest.raises(error, match=match):
        mtf.training.tune(build, make_space() if space is None else space, run_directory=folder, **arguments)
    assert not pathlib.Path("run").exists()


@pytest.mark.parametrize(
    "match, options",
    [
        ("`search_space` must name parameters of `build_learner`, which are: `learning_rate`, `width`. "
         "Received: 'depth', 'rate'", {"space": {"depth": [1], "rate": [2], "learning_rate": [0.1]}}),
        ("`search_space` must have a value for .* without a default; it lacks `learning_rate`. Received: 'width'",
         {"space": {"width": [1, 2]}}),
        ("`first_trials` must name parameters of", {"first_trials": [{"depth": 1}]}),
        ("`first_trials` must be a list of dicts", {"first_trials": {"width": 1}}),
        ("`first_trials` must be at most as many as `trials`, 1",
         {"trials": 1, "first_trials": search_process.FIRST}),
        ("`search_space` must be a dict", {"space": ["learning_rate"]}),
        ("for 'width' a distribution of Ray Tune's.*Received: 3", {"space": {"learning_rate": [1.0], "width": 3}}),
        ("for 'width' a distribution.*Received: \\[\\]", {"space": {"learning_rate": [1.0], "width": []}}),
        ("for 'width' a distribution.*grid_search",
         {"space": {"learning_rate": [1.0], "width": tune.grid_search([1, 2])}}),
        ("must have numbers, strings, flags or None for 'width'.*Received: \\(1, 2\\)",
         {"space": {"learning_rate": [1.0], "width": [(1, 2)]}}),
        ("`trials` must be at most the number of combinations of `search_space`, 4. Received: 5",
         {"space": {"learning_rate": [1.0, 2.0], "width": [1, 2]}, "trials": 5}),
        ("`concurrent_trials` must be a positive integer", {"concurrent_trials": True}),
        ("`ways` must be at most the 6 classes", {"budget": mtf.training.TrialBudget(ways=7)}),
    ],
)  # fmt: skip
def test_arguments_that_are_refused(match, options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse(match, **options)


@pytest.mark.parametrize(
    "match, options",
    [
        ("`epochs` must be a positive integer. Received: epochs=0", {"epochs": 0}),
        ("`validation_episodes` must be a positive integer", {"validation_episodes": 0.5}),
        ("`grace_period` must be at most the number of epochs, 9", {"grace_period": 10}),
        ("`seed` must be an integer from 0", {"seed": -1}),
        ("`reduction_factor` must be a number above 1", {"reduction_factor": 1}),
    ],
)
def test_a_budget_is_checked_when_it_is_made(match, options):
    with pytest.raises(ValueError, match=match):
        mtf.training.TrialBudget(**options)


def test_datasets_and_learners_that_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {"width": [8]}
    refuse("`budget` must be a `TrialBudget`: `budget=mtf.training.TrialBudget.*dict", TypeError, budget={"ways": 5})
    refuse("`train` must be a ClassDataset. Received: list", TypeError, train=[])
    refuse("`build_learner` must be a function. Received: str", TypeError, build="learner")
    refuse("must return a compiled learner. Received: int", TypeError, build=lambda width: 3, space=space, trials=1)

    def not_compiled(width):
        return mtf.learners.PrototypicalNetwork(mtf.networks.mlp((8, 8, 1), (width,)))

    refuse("Received: a PrototypicalNetwork that is not", TypeError, build=not_compiled, space=space, trials=1)

    def without_metric(width):
        learner = not_compiled(width)
        learner.compile()
        return learner

    refuse('compile the learner with `metrics=\\["accuracy"\\]`', build=without_metric, space=space, trials=1)
    (tmp_path / "file").write_text("")
    refuse("`run_directory` must be a folder", NotADirectoryError, folder="file")


@pytest.mark.parametrize(
    "difference, options",
    [
        ("budget.epochs=5 where the search has 4", {"budget": {"epochs": 5}}),
        ("budget.reduction_factor=2 where the search has 3", {"budget": {"reduction_factor": 2}}),
        ("parameters.2.width=", {"trials": 3}),
        ("search_space.width=\\[12, 20, 30\\] where the search has \\[12, 20\\]", {"width": [12, 20, 30]}),
        ("train.content=", {"swap": True}),
    ],
)
def test_the_folder_of_another_search_is_refused(difference, options, report, folder):
    options = dict(options)
    space, (train, validation) = make_space(), make_parts()
    space["width"] = options.pop("width", space["width"])
    train, validation = (validation, train) if options.pop("swap", False) else (train, validation)
    setting = {**search_process.SETTING, "trials": 2, "first_trials": search_process.FIRST, **options}
    setting["budget"] = dataclasses.replace(search_process.BUDGET, **options.get("budget", {}))
    with pytest.raises(ValueError, match=f"`run_directory` holds a search of another configuration.*({difference})"):
        mtf.training.tune(build_learner, space, train, validation, folder, **setting)


# === Its parts ===


def test_a_dataset_travels_without_its_tensor():
    dataset, _ = make_parts()
    dataset.as_tensor()
    found = pickle.loads(pickle.dumps(dataset))
    assert found._tensor is None and found.class_names == dataset.class_names
    np.testing.assert_array_equal(found.as_tensor(), dataset.as_tensor())


def test_drawn_parameters_depend_on_the_seed_and_the_space_alone():
    one = check_space({"rate": tune.loguniform(1e-4, 1e-1), "units": tune.randint(1, 100), "name": ["a", None, True]})
    other = {name: one[name] for name in reversed(one)}
    drawn = draw_parameters(one, [{}], 30, seed=0)
    assert drawn == draw_parameters(other, [{}], 30, seed=0) != draw_parameters(one, [{}], 30, seed=1)
    assert drawn[0] == {} and drawn == json.loads(json.dumps(drawn))
    assert all(1e-4 <= parameters["rate"] <= 1e-1 for parameters in drawn[1:])
    assert {parameters["name"] for parameters in drawn[1:]} == {"a", None, True}


def test_lists_alone_are_gone_through_without_a_combination_twice():
    drawn = draw_parameters(check_space({"a": [1, 2, 3], "b": ["x", "y"]}), [{"a": 2, "b": "x"}], 6, seed=0)
    assert len({tuple(parameters.items()) for parameters in drawn}) == 6


def test_descriptions_tell_spaces_apart():
    spaces = [
        tune.uniform(0.1, 1.0),
        tune.loguniform(0.1, 1.0),
        tune.loguniform(0.1, 2.0),
        tune.quniform(0.2, 1.0, 0.1),
        tune.quniform(0.2, 1.0, 0.2),
        tune.randn(0.0, 1.0),
        tune.randn(0.0, 2.0),
        tune.randint(0, 3),
        tune.choice([0, 1, 2]),
    ]
    described = [json.dumps(describe_space({"x": space})) for space in spaces]
    assert len(set(described)) == len(spaces)
    assert describe_space({"x": tune.uniform(0.1, 1.0)}) == describe_space({"x": tune.uniform(0.1, 1.0)})


def test_a_damaged_record_is_reported_and_its_trial_runs_again(tmp_path, caplog):
    records = TrialRecords(tmp_path, [{"a": 1}, {"a": 2}], epochs=2)
    for number in (0, 1):
        for epoch in (1, 2):
            records.add_epoch(number, epoch, {"val_accuracy": 0.5, "seconds": 1.0})
        records.end(number)
    assert not records.open() and records.read(1).seconds == 2.0
    path = tmp_path / "0001.json"
    path.write_text(path.read_text()[:30])
    assert [trial.number for trial in records.open()] == [1] and records.read(1) == Trial(1, {"a": 2})
    assert "0001.json cannot be read, its trial runs again" in caplog.text


def test_the_best_trial_is_one_that_ran_all_epochs():
    logs = [({"val_accuracy": accuracy, "seconds": 1.0},) for accuracy in (0.9, 0.6, 0.7)]
    trials = (
        Trial(0, {"a": 1}, "stopped", logs[0]),
        Trial(1, {"a": 2}, "finished", logs[1] * 2),
        Trial(2, {"a": 3, "b": 0.5}, "finished", logs[2] * 2),
        Trial(3, {"a": 4}, "failed", error="ValueError"),
    )
    report = TuningReport({}, trials)
    assert report.best.number == 2 and [trial.number for trial in report.ranking()] == [2, 1, 0, 3]
    table = report.to_markdown().splitlines()
    assert table[0] == "| trial | a | b | epochs | validation accuracy % |  | s |"
    assert table[2] == "| 2 | 3 | 0.5 | 2 | 70.00 | **best** | 2 |"
    assert table[5] == "| 3 | 4 | default | 0 | - | failed | 0 |"


def test_numbers_of_numpy_in_a_report_are_written_as_python_s():
    log = {"val_accuracy": np.float32(0.5), "seconds": np.float64(1.0)}
    report = TuningReport({"ways": np.int64(5)}, (Trial(0, {"rate": np.float32(0.5)}, "finished", (log,)),))
    again = TuningReport.from_json(report.to_json())
    assert again == TuningReport({"ways": 5}, (Trial(0, {"rate": 0.5}, "finished", ({**log},)),))
