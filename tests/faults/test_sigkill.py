"""Trainings that are killed at random moments end bit for bit as those that are not."""

import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

PROGRAM = pathlib.Path(__file__).with_name("training_process.py")
KILLS = 5

pytestmark = pytest.mark.slow


def start(kind, folder):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, PROGRAM, kind, folder], stderr=subprocess.PIPE, text=True)


def finish(process):
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error


def state(folder):
    with np.load(folder / "end.npz") as arrays:
        return [arrays[name] for name in arrays.files]


@pytest.mark.parametrize("kind", ["MAML", "prototypes", "GAN", "MetaGAN"])
def test_killed_trainings_lose_nothing(kind, tmp_path):
    begun = time.monotonic()
    finish(start(kind, tmp_path / "whole"))
    length = time.monotonic() - begun

    moments, ended = random.Random(kind), 0
    for _ in range(KILLS):
        process = start(kind, tmp_path / "killed")
        try:
            process.wait(moments.uniform(0.1, 0.9) * length)
            ended += 1
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    assert ended < KILLS, "no process was alive to be killed"
    finish(start(kind, tmp_path / "killed"))
    for value, expected in zip(state(tmp_path / "killed"), state(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(value, expected)
