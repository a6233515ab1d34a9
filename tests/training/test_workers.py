"""Trainings of several workers end as those of one: the same weights, histories and stops."""

import json
import pathlib
import signal
import subprocess
import sys
import time

from metalearn_tf.training import local_tf_configs

import numpy as np
import pytest
from workers import finish, start

KINDS = ["MAML", "MAML of sums", "prototypes", "Reptile", "MANN", "GAN", "MetaGAN"]


def train(kind, folder, workers=1, *devices):
    """The last weights, and the history, of each worker."""
    folder.mkdir()
    finish(start(local_tf_configs(workers) if workers > 1 else [None], kind, folder, *devices))
    ends = []
    for index in range(workers):
        with np.load(folder / f"end_{index}.npz") as arrays:
            weights = {name: arrays[name] for name in arrays.files}
            ends.append((weights, json.loads(str(weights.pop("history")))))
    return ends


def assert_same_training(kind, folder, *workers):
    ((weights, history),) = train(kind, folder / "one")
    for of_worker, history_of_worker in train(kind, folder / "several", *workers):
        for name, value in weights.items():
            np.testing.assert_allclose(of_worker[name], value, rtol=0, atol=1e-5)
        assert history_of_worker.keys() == history.keys()
        for name, values in history.items():
            # A maximum that rounding moves to another pixel changes a step of adaptation, and so the loss, by more.
            np.testing.assert_allclose(history_of_worker[name], values, rtol=1e-3)


def test_two_workers_train_what_one_does(tmp_path):
    assert_same_training("MAML", tmp_path, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_trains_what_one_does(kind, workers, tmp_path):
    assert_same_training(kind, tmp_path, workers)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_replicas_of_one_process_train_what_one_does(kind, tmp_path):
    assert_same_training(kind, tmp_path, 1, 2)


@pytest.mark.slow
def test_two_replicas_change_no_gradient_of_any_learner(tmp_path):
    program = pathlib.Path(__file__).with_name("replica_step.py")
    subprocess.run([sys.executable, program, tmp_path / "differences.json"], check=True, timeout=900)
    differences = json.loads((tmp_path / "differences.json").read_text())
    assert len(differences) == 11 and max(differences.values()) < 2e-3, differences


@pytest.mark.slow
def test_a_worker_that_dies_stops_the_other_and_the_job_goes_on(tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    finish(start(local_tf_configs(2), "resumed", tmp_path / "whole"))

    workers = start(local_tf_configs(2), "resumed", tmp_path / "killed")
    state = tmp_path / "killed" / "backup" / "previous.npz"
    until = time.monotonic() + 300
    while not state.exists():
        assert time.monotonic() < until and workers[1].poll() is None
        time.sleep(0.05)
    workers[1].send_signal(signal.SIGKILL)
    _, error = workers[0].communicate(timeout=300)
    assert workers[0].returncode != 0 and "Another worker of this training is gone" in error
    workers[1].communicate()

    finish(start(local_tf_configs(2), "resumed", tmp_path / "killed"))
    for index in range(2):
        with (
            np.load(tmp_path / "whole" / "end_0.npz") as whole,
            np.load(tmp_path / "killed" / f"end_{index}.npz") as end,
        ):
            for name in set(whole.files) - {"history"}:
                np.testing.assert_array_equal(end[name], whole[name])


@pytest.mark.slow
def test_batches_that_workers_cannot_share_are_refused(tmp_path):
    errors = [process.communicate(timeout=300)[1] for process in start(local_tf_configs(2), "odd", tmp_path)]
    for error in errors:
        assert "must be a multiple of the 2 replicas that share it; the nearest is 4. Received: a batch of 5" in error
