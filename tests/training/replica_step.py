"""One step of every learner by one and by two replicas of a process: `python replica_step.py FILE`.

It writes the names of the learners whose weights change otherwise with two replicas to `FILE`, and how much.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "learners"))

import contextlib

import metalearn_tf as mtf

import keras
import numpy as np
import tensorflow as tf
from mirrored import mirrored
from test_gradients import TRAINED, build, tasks


def change(name, strategy):
    """The changes of the weights by one step of rate 1 on a batch of four tasks."""
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        learner = build(name)
        learner.compile(keras.optimizers.SGD(1.0))
    before = [np.asarray(variable) for variable in learner.trainable_variables]
    learner.fit(tf.data.Dataset.from_tensor_slices(tasks()).batch(4), steps_per_epoch=1, verbose=0)
    return [np.asarray(v) - start for v, start in zip(learner.trainable_variables, before)]


def main():
    mtf.training.use_task_parallelism(1)
    strategy, differences = mirrored(2), {}
    for name in TRAINED:
        by_two, by_one = change(name, strategy), change(name, None)
        largest = max(np.abs(one).max() for one in by_one)
        differences[name] = max(float(np.abs(two - one).max() / largest) for two, one in zip(by_two, by_one))
    pathlib.Path(sys.argv[1]).write_text(json.dumps(differences))


if __name__ == "__main__":
    main()
