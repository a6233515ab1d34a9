"""A search of two trials; as a script, one that is killed in the middle of the second."""

import os
import signal
import sys

import metalearn_tf as mtf
from metalearn_tf.training.trial_records import TrialRecords

import keras
import numpy as np

# The second has one number of an image to go by, so that ASHA stops it after its third epoch.
FIRST = [{"learning_rate": 3e-3, "width": 16}, {"learning_rate": 1e-3, "width": 1}]
BUDGET = mtf.training.TrialBudget(
    ways=3,
    shots=1,
    queries=3,
    tasks_per_batch=2,
    steps_per_epoch=3,
    epochs=4,
    validation_episodes=20,
    grace_period=3,
    seed=1,
)
SETTING = {"budget": BUDGET, "verbose": 0}


def build_learner(learning_rate, width=16):
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp((8, 8, 1), (width,)))
    learner.compile(keras.optimizers.Adam(learning_rate), metrics=["accuracy"])
    return learner


def make_space():
    from ray import tune

    return {"learning_rate": tune.loguniform(1e-3, 1e-2), "width": [12, 20]}


def make_parts():
    random = np.random.default_rng(0)
    images = random.integers(0, 120, (12, 1, 8, 8, 1)) + random.integers(0, 136, (12, 16, 8, 8, 1))
    dataset = mtf.data.ClassDataset(images.reshape(-1, 8, 8, 1).astype("uint8"), np.repeat(np.arange(12), 16))
    return dataset.split([0.5, 0.5], seed=0)


def search(folder, **options):
    """The search, one trial after another, so that ASHA decides alike each time."""
    setting = {**SETTING, "trials": 2, "first_trials": FIRST, "concurrent_trials": 1, **options}
    return mtf.training.tune(build_learner, make_space(), *make_parts(), folder, **setting)


def main(folder):
    add_epoch = TrialRecords.add_epoch

    def add_epoch_and_die(self, number, epoch, logs):
        add_epoch(self, number, epoch, logs)
        if (number, epoch) == (1, 2):
            os.kill(os.getpid(), signal.SIGKILL)

    TrialRecords.add_epoch = add_epoch_and_die
    search(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
