"""The training with one choice of parameters, in a trial and at the end of a search."""

import dataclasses

import keras

from metalearn_tf.checks.whole_numbers import check_seed, check_whole
from metalearn_tf.data.tasks.episodes import episodes


@dataclasses.dataclass(frozen=True)
class TrialBudget:
    """The tasks and steps of every trial of a search, and the rule that stops trials.

    Args:
        ways: classes in a task, see `mtf.data.episodes`; also `shots`, `queries` and `tasks_per_batch`.
        shots: support examples of a class.
        queries: query examples of a class.
        tasks_per_batch: tasks in a batch, in training and validation.
        steps_per_epoch: outer steps in an epoch.
        epochs: epochs of a trial that is not stopped, and of the training with the best parameters.
        validation_episodes: tasks after each epoch, the same for all trials; rounded up to whole batches.
        grace_period: epochs before a trial can be stopped.
        reduction_factor: each time, one of this many trials continues.
        seed: seed of the drawn parameters, the initial weights and the tasks; validation tasks use `seed + 1`.

    Raises:
        ValueError: if a number is out of range.
    """

    ways: int | tuple = 5
    shots: int | tuple = 1
    queries: int | tuple = 15
    tasks_per_batch: int = 4
    steps_per_epoch: int = 100
    epochs: int = 9
    validation_episodes: int = 200
    grace_period: int = 1
    reduction_factor: float = 3
    seed: int = 0

    def __post_init__(self):
        names = ("tasks_per_batch", "steps_per_epoch", "epochs", "validation_episodes", "grace_period")
        check_whole(**{name: getattr(self, name) for name in names})
        if self.grace_period > self.epochs:
            raise ValueError(
                f"`grace_period` must be at most the number of epochs, {self.epochs}. "
                f"Received: grace_period={self.grace_period}"
            )
        factor = self.reduction_factor
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or factor <= 1:
            raise ValueError(f"`reduction_factor` must be a number above 1. Received: reduction_factor={factor!r}")
        check_seed(self.seed)

    def train_tasks(self, dataset):
        """The stream of training tasks, the same for each trial."""
        return episodes(dataset, self.ways, self.shots, self.queries, self.tasks_per_batch, self.seed)

    def validation_tasks(self, dataset):
        """The stream of validation tasks, the same for each trial and epoch."""
        return episodes(dataset, self.ways, self.shots, self.queries, self.tasks_per_batch, self.seed + 1)

    @property
    def validation_steps(self):
        return -(-self.validation_episodes // self.tasks_per_batch)

    def build(self, build_learner, parameters):
        """A new learner, whose initial weights depend only on the seed."""
        keras.utils.set_random_seed(self.seed)
        return build_learner(**parameters)

    def fit(self, learner, train, validation, callbacks):
        """Trains a new learner to the end of the budget."""
        return learner.fit(
            self.train_tasks(train),
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
            validation_data=self.validation_tasks(validation),
            validation_steps=self.validation_steps,
            callbacks=callbacks,
            verbose=0,
        )
