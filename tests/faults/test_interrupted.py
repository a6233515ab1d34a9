"""Trainings and workflows under what happens to them: Ctrl-C in a session, two processes at once, a full disk."""

import pathlib
import random
import resource
import signal
import subprocess
import sys
import threading

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

PROGRAM = pathlib.Path(__file__).with_name("training_process.py")

pytestmark = pytest.mark.slow


def start(folder, kind="prototypes"):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, PROGRAM, kind, folder], stderr=subprocess.PIPE, text=True)


def end(process):
    _, error = process.communicate(timeout=600)
    return process.returncode, error


def state(folder):
    with np.load(folder / "end.npz") as arrays:
        return [arrays[name] for name in arrays.files]


def test_one_of_two_processes_trains_and_the_other_says_so(tmp_path):
    processes = [start(tmp_path / "run") for _ in range(3)]
    ends = [end(process) for process in processes]
    assert [code for code, _ in ends].count(0) == 1
    for code, error in ends:
        assert code == 0 or "RuntimeError: `backup_dir` is the folder of a training at which another process" in error
    assert end(start(tmp_path / "whole"))[0] == 0
    for value, expected in zip(state(tmp_path / "run"), state(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(value, expected)


def data():
    x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
    return {"x": x, "y": x.sum(1, keepdims=True), "batch_size": 8}


def new_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def weights(model):
    variables = (*model.variables, *model.optimizer.variables)
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


@pytest.fixture
def interruptible():
    """Processes of the background may ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Timed(keras.callbacks.Callback):
    """Ctrl-C some time after the first step."""

    def __init__(self, timer):
        super().__init__()
        self.timer = timer

    def on_train_batch_end(self, batch, logs=None):
        if self.timer is not None:
            self.timer.start()
            self.timer = None


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("same", [True, False])
def test_ctrl_c_at_any_moment_of_a_session_loses_nothing(same, tmp_path):
    """With new objects from the beginning of `fit` on, while old batches are drawn; with the same behind a step.

    Before it TensorFlow traces the step, and makes other errors of Ctrl-C and a model that trains no more.
    """
    whole = new_model()
    whole.fit(**data(), epochs=60, verbose=0)
    moments, interrupted = random.Random(0), 0
    model, resume = new_model(), mtf.training.Resume(tmp_path / "run", save_freq=3)
    for _ in range(20):
        timer = threading.Timer(moments.uniform(0.0, 0.3 if same else 2.0), signal.raise_signal, [signal.SIGINT])
        if not same:
            model, resume = new_model(), mtf.training.Resume(tmp_path / "run", save_freq=3)
            timer.start()
        try:
            model.fit(**data(), epochs=60, verbose=0, callbacks=[resume, *([Timed(timer)] if same else [])])
            timer.cancel()
            break
        except (KeyboardInterrupt, SystemError, ValueError):
            interrupted += 1
    else:
        model = model if same else new_model()
        model.fit(**data(), epochs=60, verbose=0, callbacks=[resume])
    assert interrupted
    for value, expected in zip(weights(model), weights(whole), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert model.history.epoch == list(range(60)) and not (tmp_path / "run").exists()


def test_a_disk_that_fills_at_any_moment_leaves_a_state(tmp_path):
    whole = new_model()
    whole.fit(**data(), epochs=10, verbose=0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 10, 1_000, 5_000, 20_000):
        model = new_model()
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                model.fit(**data(), epochs=10, verbose=0, callbacks=[mtf.training.Resume(tmp_path / "run", 3)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert not list(tmp_path.glob("run/.*")), size
        with pytest.raises(KeyboardInterrupt):
            model = new_model()
            model.fit(**data(), epochs=10, verbose=0, callbacks=[mtf.training.Resume(tmp_path / "run", 3), Stop(4)])
    model = new_model()
    model.fit(**data(), epochs=10, verbose=0, callbacks=[mtf.training.Resume(tmp_path / "run", 3)])
    for value, expected in zip(weights(model), weights(whole), strict=True):
        np.testing.assert_array_equal(value, expected)


class Stop(keras.callbacks.Callback):
    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
