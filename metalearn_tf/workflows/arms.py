"""The arms (compared methods) of a workflow: learners that are trained on tasks and tested, seed by seed."""

import keras
import numpy as np

from metalearn_tf.evaluation.evaluate_episodes import evaluate_episodes
from metalearn_tf.workflows.workflow_report import Arm


class ArmScores:
    """The scores of each arm, stage by stage.

    Args:
        run: the `RunDirectory` that keeps them.
    """

    def __init__(self, run):
        self.run = run
        self._scores, self._kinds = {}, {}

    def add(self, name, seed, measure, generates, seconds=0.0, one_training=False):
        """The scores of one arm for one seed.

        Args:
            name: of the arm.
            seed: its number.
            measure: function without arguments that returns arrays `accuracies` `(tests,)`, `recall` `()` and `f1`
                `()`, and also `seconds` `()` if it trains.
            generates: whether the arm uses a GAN.
            seconds: wall time of an earlier training.
            one_training: whether all seeds test the same trained model.
        """
        scores = self.run.stage(f"scores_{file_name(name)}_{seed}", measure)
        self._scores.setdefault(name, []).append({**scores, "seconds": seconds + float(scores.get("seconds", 0.0))})
        self._kinds[name] = {"generates": generates, "one_training": one_training}

    def arms(self):
        """A dict from the names to `Arm`s, in the order in which they were measured."""
        return {name: self._arm(name, scores) for name, scores in self._scores.items()}

    def _arm(self, name, scores):
        return Arm(
            accuracies=tuple(tuple(map(float, score["accuracies"])) for score in scores),
            recall=float(np.mean([score["recall"] for score in scores])),
            f1=float(np.mean([score["f1"] for score in scores])),
            seconds=float(sum(score["seconds"] for score in scores)),
            **self._kinds[name],
        )


def trained_learner(run, name, build_learner, seed, tasks, steps):
    """A stage of a run: a new learner is trained on tasks.

    Args:
        run: the `RunDirectory`.
        name: of the arm.
        build_learner: function without arguments that returns a compiled `MetaLearner`.
        seed: integer, for the initial weights.
        tasks: function without arguments that returns a `tf.data.Dataset` of tasks.
        steps: outer steps.

    Returns:
        The learner, and the time of its training in seconds.
    """
    keras.utils.set_random_seed(seed)
    stage = f"learner_{file_name(name)}_{seed}"
    return run.trained(stage, build_learner(), lambda learner: learner.fit(tasks(), steps_per_epoch=steps, verbose=0))


def episode_scores(learner, dataset, **episodes):
    """The scores of a learner on test episodes; the arguments are those of `evaluate_episodes`."""
    report = evaluate_episodes(learner, dataset, **episodes)
    return {"accuracies": np.array(report.episode_accuracies), "recall": report.recall, "f1": report.f1}


def file_name(name):
    """The name of an arm in a form for file names."""
    return "".join(letter if letter.isalnum() else "_" for letter in name.replace(", ", "_"))
