"""How one choice of parameters is trained, in a trial and at the end of a search."""

import dataclasses

import keras

from metalearn_tf.data.tasks.episodes import episodes


@dataclasses.dataclass(frozen=True)
class Budget:
    """The tasks and steps that every trial of a search has.

    Attributes:
        ways, shots, queries, tasks_per_batch: as for `mtf.data.episodes`.
        steps_per_epoch, epochs: as for `fit`.
        validation_episodes: how many, in whole batches.
        seed: of the first weights and of the tasks; validation tasks have the next.
    """

    ways: int | tuple
    shots: int | tuple
    queries: int | tuple
    tasks_per_batch: int
    steps_per_epoch: int
    epochs: int
    validation_episodes: int
    seed: int

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
        """A fresh learner, whose first weights depend on the seed alone."""
        keras.utils.set_random_seed(self.seed)
        return build_learner(**parameters)

    def fit(self, learner, train, validation, callbacks):
        """Trains a fresh learner to the end of the budget."""
        return learner.fit(
            self.train_tasks(train),
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
            validation_data=self.validation_tasks(validation),
            validation_steps=self.validation_steps,
            callbacks=callbacks,
            verbose=0,
        )
