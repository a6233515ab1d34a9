"""A run's folder: finished stages are kept, others done again, other runs refused."""

import json
import subprocess
import sys

from metalearn_tf.workflows.run_directory import RunDirectory

import keras
import numpy as np
import pytest

CONFIGURATION = {"steps": 20, "ratios": (0.5, 1.0), "learner": {"class": "MAML", "inner_steps": 1}}


def run_in(path, **changes):
    return RunDirectory(path, {**CONFIGURATION, **changes}, stages=3, verbose=0)


def never():
    raise AssertionError("a finished stage was done again")


def test_a_finished_stage_is_not_done_again(tmp_path):
    first = run_in(tmp_path).stage("numbers", lambda: {"accuracies": np.arange(4.0), "label": np.array("text")})
    again = run_in(tmp_path).stage("numbers", never)
    assert again["label"] == first["label"] == "text"
    np.testing.assert_array_equal(again["accuracies"], [0.0, 1.0, 2.0, 3.0])


def test_what_was_finished_before_an_interruption_stays(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    run = run_in(tmp_path)
    run.stage("first", lambda: {"x": 1})
    with pytest.raises(KeyboardInterrupt):
        run.stage("second", interrupted)
    again = run_in(tmp_path)
    assert again.stage("first", never)["x"] == 1 and again.stage("second", lambda: {"x": 2})["x"] == 2


def test_a_stage_cut_short_is_reported_and_done_again(tmp_path, caplog):
    run_in(tmp_path).stage("numbers", lambda: {"x": np.arange(100)})
    file = tmp_path / "numbers.npz"
    file.write_bytes(file.read_bytes()[:-40])
    assert run_in(tmp_path).stage("numbers", lambda: {"x": 7})["x"] == 7
    assert "numbers.npz" in caplog.text and run_in(tmp_path).stage("numbers", never)["x"] == 7


def test_a_model_comes_back_with_its_weights_and_the_seconds_of_its_training(tmp_path):
    def build():
        keras.utils.set_random_seed(len(built))
        built.append(keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))
        return built[-1]

    built = []
    _, seconds = run_in(tmp_path).trained(
        "model", build(), lambda model: model.set_weights([np.ones((2, 3)), np.ones(3)])
    )
    again, later = run_in(tmp_path).trained("model", build(), lambda model: never())
    assert again is built[1] and seconds == later > 0
    np.testing.assert_array_equal(again(np.ones((1, 2))), [[3.0, 3.0, 3.0]])


def test_another_configuration_is_refused_and_named(tmp_path):
    run_in(tmp_path)
    with pytest.raises(ValueError, match=r"another configuration.*Received: steps=30 where the run has 20$"):
        run_in(tmp_path, steps=30)
    with pytest.raises(ValueError, match=r"learner.inner_steps=5 where the run has 1; ratios=\[1.0\]"):
        run_in(tmp_path, ratios=[1.0], learner={"class": "MAML", "inner_steps": 5})
    assert json.loads((tmp_path / "configuration.json").read_text())["steps"] == 20
    run_in(tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="`run_directory` must be a folder"):
        run_in(tmp_path / "file")


def test_progress_counts_stages(tmp_path, capsys):
    run = RunDirectory(tmp_path, {}, stages=2, verbose=1)
    run.stage("one", lambda: {"accuracies": np.array([0.25, 0.75])})
    run.stage("two", lambda: {"x": 1})
    out = capsys.readouterr().out
    assert "1/2" in out and "2/2" in out and "accuracy: 0.5000" in out


def test_what_killed_runs_have_left_is_deleted_and_nothing_else(tmp_path):
    left = [f".1-{'0a' * 16}/saved_model.pb", f"export/.1-{'b2' * 16}/variables/x", f".gan_0.npz.{'c' * 32}.tmp"]
    kept = [".1-mine/x", ".2-" + "a" * 32 + "/x", ".hidden", "export/1/saved_model.pb", "notes.tmp"]
    for name in (*left, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    RunDirectory(tmp_path, {"steps": 1}, 1, 0)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {*kept, "configuration.json"}
    assert not list(tmp_path.glob(".1-0*")) and not list(tmp_path.glob("export/.1-*"))


def test_one_process_at_a_time_works_in_a_folder(tmp_path):
    """Of two that begin at once with different configurations, one is refused before it writes its own."""
    hold = """if True:
        import fcntl, sys
        file = open(sys.argv[1], "x")
        fcntl.lockf(file, fcntl.LOCK_EX)
        print("held", flush=True)
        input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", hold, tmp_path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RuntimeError, match="`run_directory` is the folder of a run at which another process works"):
            run_in(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
        other.communicate("\n")
    run = run_in(tmp_path)
    assert (tmp_path / "lock").exists()
    del run
    assert not (tmp_path / "lock").exists()
