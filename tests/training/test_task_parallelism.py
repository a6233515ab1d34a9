"""Tasks on all cores: set before TensorFlow starts, too late, or not at all."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np, tensorflow as tf
import metalearn_tf as mtf
from metalearn_tf.engine import task_threads
task_threads.usable_cores = lambda: 2
{first}
images = np.random.default_rng(0).integers(0, 255, (24, 4, 4, 1)).astype("uint8")
dataset = mtf.data.ClassDataset(images, np.repeat(np.arange(4), 6))
learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp((4, 4, 1), (3,)))
learner.compile("adam", jit_compile=False)
learner.fit(mtf.data.episodes(dataset, 2, 1, 2, tasks_per_batch=3), steps_per_epoch=2, verbose=0)
learner.evaluate(mtf.data.episodes(dataset, 2, 1, 2, tasks_per_batch=3), steps=1, verbose=0)
print("trained", tf.config.threading.get_intra_op_parallelism_threads())
"""
SAID = "One task on each is about a fifth faster: call `mtf.training.use_task_parallelism()`"
CALL = "assert mtf.training.use_task_parallelism(2) == 2"


@pytest.mark.parametrize(
    "first, threads, times",
    [
        (CALL, 1, 0),
        (f"{CALL}\n{CALL}", 1, 0),
        ("", 0, 1),
        (f"tf.zeros(3) + 1\n{CALL}\n{CALL}", 0, 1),
    ],
    ids=["first", "twice", "never", "too late"],
)
def test_a_learner_trains_and_what_is_slower_is_said_once(first, threads, times):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(first=first)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.split() == ["trained", str(threads)]
    assert result.stderr.count(SAID) == times
