"""A process that is bound to one core, as in a small container: all is as with more, and nothing takes more threads."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np, tensorflow as tf
import metalearn_tf as mtf
assert mtf.training.use_task_parallelism() == 1
assert tf.config.threading.get_inter_op_parallelism_threads() == 1
images = np.random.default_rng(0).integers(0, 255, (24, 16, 16, 1)).astype("uint8")
dataset = mtf.data.ClassDataset(images, np.repeat(np.arange(4), 6))
learner = mtf.learners.MAML(mtf.networks.conv4((16, 16, 1), filters=4, outputs=2))
learner.compile("adam", metrics=["accuracy"])
learner.fit(mtf.data.episodes(dataset, 2, 1, 2, tasks_per_batch=3), steps_per_epoch=2, verbose=0)
print(mtf.evaluation.evaluate_episodes(learner, dataset, 2, 1, queries=2, episodes=4).episodes)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone binds processes to cores so")
def test_a_learner_trains_on_one_core():
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.split()[-1] == "4"
