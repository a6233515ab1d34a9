"""What an evaluation found, with all that one needs to read the figures."""

import dataclasses
import json
import math
import pathlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Report:
    """Few-shot results over test episodes, each the mean over episodes with the half width of its 95 % interval.

    Attributes:
        learner: name of the learner's class.
        dataset: name of what was tested on.
        ways: classes in an episode.
        shots: support examples of a class.
        queries: query examples of a class.
        seed: of the episodes.
        normalization: the statistics of the network's normalisation; `"transductive"` sees all queries together.
        episode_accuracies: one accuracy in `[0, 1]` for each episode.
        recall: mean over episodes of the macro-averaged recall, in `[0, 1]`.
        f1: mean over episodes of the macro-averaged F1, in `[0, 1]`.
        seconds: wall time of the evaluation.
    """

    learner: str
    dataset: str
    ways: int
    shots: int
    queries: int
    seed: int
    normalization: str
    episode_accuracies: tuple
    recall: float
    f1: float
    seconds: float

    @property
    def episodes(self):
        return len(self.episode_accuracies)

    @property
    def accuracy(self):
        """Mean accuracy, in `[0, 1]`."""
        return float(np.mean(self.episode_accuracies))

    @property
    def confidence_interval(self):
        """Half width of the 95 % interval of the accuracy: 1.96 standard errors over the episodes; NaN for one."""
        if self.episodes < 2:
            return math.nan
        return float(1.96 * np.std(self.episode_accuracies, ddof=1) / math.sqrt(self.episodes))

    def to_dict(self):
        """All fields, with the accuracy and its interval, as plain Python values."""
        return {
            **dataclasses.asdict(self),
            "episodes": self.episodes,
            "accuracy": self.accuracy,
            "confidence_interval": self.confidence_interval,
        }

    def to_json(self, path=None):
        """The report as JSON text; written to `path` too, if one is given."""
        text = json.dumps(self.to_dict(), indent=2)
        if path is not None:
            pathlib.Path(path).write_text(text + "\n")
        return text

    @classmethod
    def from_json(cls, text):
        """The report that `to_json` wrote."""
        values = json.loads(text)
        fields = {field.name: values[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**fields, "episode_accuracies": tuple(fields["episode_accuracies"])})

    @staticmethod
    def markdown_header():
        """The two lines above the rows of `to_markdown_row`."""
        names = ("learner", "dataset", "setting", "normalisation", "accuracy %", "recall %", "F1 %", "episodes", "seed")
        return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"

    def to_markdown_row(self):
        """One row of a Markdown table."""
        cells = (
            self.learner,
            self.dataset,
            f"{self.ways}-way {self.shots}-shot, {self.queries} queries",
            self.normalization,
            f"{100 * self.accuracy:.2f} ± {100 * self.confidence_interval:.2f}",
            f"{100 * self.recall:.2f}",
            f"{100 * self.f1:.2f}",
            str(self.episodes),
            str(self.seed),
        )
        return f"| {' | '.join(cells)} |"

    def to_markdown(self):
        """A Markdown table of one row."""
        return f"{self.markdown_header()}\n{self.to_markdown_row()}\n"

    def __str__(self):
        return (
            f"{self.learner} on {self.dataset}, {self.ways}-way {self.shots}-shot: "
            f"{100 * self.accuracy:.2f} ± {100 * self.confidence_interval:.2f} % "
            f"({self.episodes} episodes, {self.normalization} normalisation, seed {self.seed})"
        )
