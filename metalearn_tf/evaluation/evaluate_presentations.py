"""Accuracy along a sequence: at the first, second, … presentation of a class."""

import dataclasses
import time

import numpy as np
import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.tasks.episodes import episodes as make_episodes
from metalearn_tf.evaluation.scores import confidence_half_width
from metalearn_tf.files.markdown_table import markdown_table

_TASKS_PER_BATCH = 8


@dataclasses.dataclass(frozen=True)
class PresentationReport:
    """Accuracy by presentation: each is a mean over episodes, with the half width of its 95 % interval.

    Attributes:
        learner: name of the learner's class.
        dataset: name of the test dataset.
        ways: classes in an episode.
        seed: of the episodes and of the order of their examples.
        normalization: the statistics of the network's normalisation; `"transductive"` uses the whole sequence.
        episode_accuracies: for each episode, the accuracy in `[0, 1]` over the classes at each presentation.
        seconds: wall time of the evaluation.
    """

    learner: str
    dataset: str
    ways: int
    seed: int
    normalization: str
    episode_accuracies: tuple
    seconds: float

    @property
    def episodes(self):
        return len(self.episode_accuracies)

    @property
    def accuracies(self):
        """Mean accuracies in `[0, 1]`, by presentation. At the first one the learner can only guess."""
        return tuple(np.mean(self.episode_accuracies, axis=0).tolist())

    @property
    def confidence_intervals(self):
        """Half widths of the 95 % intervals: 1.96 standard errors over the episodes; NaN for one episode."""
        return tuple(confidence_half_width(self.episode_accuracies).tolist())

    def to_markdown(self):
        """A Markdown table with a row for each presentation."""
        rows = [
            (str(number), f"{100 * accuracy:.2f} ± {100 * interval:.2f}")
            for number, (accuracy, interval) in enumerate(zip(self.accuracies, self.confidence_intervals), 1)
        ]
        heading = f"{self.learner} on {self.dataset}, {self.ways} classes: accuracy %"
        return markdown_table(("presentation", heading), rows) + "\n"

    def __str__(self):
        values = ", ".join(f"{100 * accuracy:.1f}" for accuracy in self.accuracies)
        return (
            f"{self.learner} on {self.dataset}, {self.ways} classes, % by presentation: {values} "
            f"({self.episodes} episodes, {self.normalization} normalisation, seed {self.seed})"
        )


def evaluate_presentations(learner, dataset, ways=5, presentations=10, episodes=600, seed=0, dataset_name=None):
    """Tests a learner of sequences, such as `MANN`, in the way of Santoro et al.

    All examples of an episode are shown in random order. The learner classifies each one before it sees the label.
    Episode `i` of a seed is the same for every learner.

    Args:
        learner: a model with `present(x, y)`, which returns the logits `(tasks, length, ways)` at each place of
            sequences `(tasks, length, ...)` with labels `(tasks, length)` int32.
        dataset: a `ClassDataset` of classes that were not trained on.
        ways: classes in an episode.
        presentations: examples of each class, at least 2.
        episodes: the number of episodes.
        seed: seed of the episodes.
        dataset_name: the dataset's name in the report; by default its `domain`.

    Returns:
        A `PresentationReport`.

    Raises:
        ValueError: if a number is out of range, if the learner has no `present` or fewer ways, or if the dataset has
            too few classes or examples.

    Reference: [Santoro et al., 2016](https://arxiv.org/abs/1605.06065), table 1.
    """
    _check(learner, ways, presentations, episodes)
    start = time.perf_counter()
    batches = make_episodes(dataset, ways, presentations - 1, 1, _TASKS_PER_BATCH, seed)
    random, present = np.random.default_rng(seed), tf.function(learner.present)
    accuracies = []
    for (support_x, support_y, query_x), query_y in batches.take(-(-episodes // _TASKS_PER_BATCH)):
        order = random.permuted(np.tile(np.arange(ways * presentations), (_TASKS_PER_BATCH, 1)), axis=1)
        x = tf.gather(tf.concat([support_x, query_x], axis=1), order, batch_dims=1)
        y = tf.gather(tf.concat([support_y, query_y], axis=1), order, batch_dims=1)
        predictions = np.argmax(present(x, y), axis=-1)
        accuracies += [by_presentation(*task, presentations) for task in zip(y.numpy(), predictions)]
    return PresentationReport(
        learner=type(learner).__name__,
        dataset=dataset_name or dataset.domain or "dataset",
        ways=ways,
        seed=seed,
        normalization=getattr(learner, "normalization", "none"),
        episode_accuracies=tuple(accuracies[:episodes]),
        seconds=time.perf_counter() - start,
    )


def by_presentation(labels, predictions, presentations):
    """Accuracy at the first, second, … time that a class occurs.

    Args:
        labels: integers `(length,)`, each `presentations` times.
        predictions: integers `(length,)`.
        presentations: how often each class occurs.

    Returns:
        A tuple of `presentations` floats in `[0, 1]`.
    """
    hits = [(labels == predictions)[labels == label] for label in np.unique(labels)]
    return tuple(np.mean(np.reshape(hits, (-1, presentations)), axis=0).tolist())


def _check(learner, ways, presentations, episodes):
    if not callable(getattr(learner, "present", None)):
        raise ValueError(f"`learner` must answer along sequences, as `MANN`. Received: {type(learner).__name__}")
    check_whole(least=2, presentations=presentations)
    check_whole(episodes=episodes)
    most = getattr(learner, "max_ways", None)
    if most is not None and ways > most:
        raise ValueError(f"`ways` must be at most the learner's {most}. Received: {ways}")
