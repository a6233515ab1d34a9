"""The results of an evaluation, with everything that is needed to read the figures."""

import dataclasses
import json

import numpy as np

from metalearn_tf.engine.saveable_model import plain_values
from metalearn_tf.evaluation.scores import confidence_half_width
from metalearn_tf.files.markdown_table import markdown_row, markdown_table
from metalearn_tf.files.whole_files import write_text


@dataclasses.dataclass(frozen=True)
class Report:
    """Few-shot results: means over test episodes, with the half width of the accuracy's 95 % interval.

    Attributes:
        learner: name of the learner's class.
        dataset: name of the test dataset.
        ways: classes in an episode. This and the next two are a pair `(smallest, largest)` if each episode draws them.
        shots: support examples of a class.
        queries: query examples of a class.
        seed: seed of the episodes.
        normalization: the statistics of the network's normalisation; `"transductive"` uses all queries together.
        episode_accuracies: one accuracy in `[0, 1]` for each episode.
        recall: mean over episodes of the macro-averaged recall, in `[0, 1]`.
        f1: mean over episodes of the macro-averaged F1, in `[0, 1]`.
        seconds: wall time of the evaluation.
        by_domain: a dict from the name of each domain to its `Report`; empty for a single dataset.
    """

    learner: str
    dataset: str
    ways: int | tuple
    shots: int | tuple
    queries: int | tuple
    seed: int
    normalization: str
    episode_accuracies: tuple
    recall: float
    f1: float
    seconds: float
    by_domain: dict = dataclasses.field(default_factory=dict)

    @property
    def episodes(self):
        return len(self.episode_accuracies)

    @property
    def accuracy(self):
        """Mean accuracy, in `[0, 1]`."""
        return float(np.mean(self.episode_accuracies))

    @property
    def confidence_interval(self):
        """Half width of the accuracy's 95 % interval: 1.96 standard errors over the episodes; NaN for one episode."""
        return float(confidence_half_width(self.episode_accuracies))

    @property
    def _setting(self):
        return f"{_number(self.ways)}-way {_number(self.shots)}-shot"

    def to_dict(self):
        """All fields, with the accuracy and its interval, as plain Python numbers, texts, lists and dicts.

        The interval of one episode is `None`: JSON has no NaN.
        """
        return {
            **plain_values({field.name: getattr(self, field.name) for field in dataclasses.fields(self)}),
            "episodes": self.episodes,
            "accuracy": self.accuracy,
            "confidence_interval": self.confidence_interval if self.episodes > 1 else None,
            "by_domain": {name: report.to_dict() for name, report in self.by_domain.items()},
        }

    def to_json(self, path=None):
        """The report as JSON text; also written to `path` if one is given."""
        text = json.dumps(self.to_dict(), indent=2)
        if path is not None:
            write_text(path, text + "\n")
        return text

    @classmethod
    def from_json(cls, text):
        """The report from the JSON text that `to_json` wrote."""
        return cls._from_dict(json.loads(text))

    @classmethod
    def _from_dict(cls, values):
        domains = values.get("by_domain", {})
        fields = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name != "by_domain"}
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        return cls(**fields, by_domain={name: cls._from_dict(report) for name, report in domains.items()})

    @staticmethod
    def markdown_header():
        """The two lines above the rows of `to_markdown_row`."""
        names = ("learner", "dataset", "setting", "normalisation", "accuracy %", "recall %", "F1 %", "episodes", "seed")
        return markdown_table(names, rows=())

    def to_markdown_row(self):
        """One row of a Markdown table."""
        cells = (
            self.learner,
            self.dataset,
            f"{self._setting}, {_number(self.queries)} queries",
            self.normalization,
            f"{100 * self.accuracy:.2f} ± {100 * self.confidence_interval:.2f}",
            f"{100 * self.recall:.2f}",
            f"{100 * self.f1:.2f}",
            str(self.episodes),
            str(self.seed),
        )
        return markdown_row(cells)

    def to_markdown(self):
        """A Markdown table with one row, and a further row for each domain."""
        rows = [report.to_markdown_row() for report in (self, *self.by_domain.values())]
        return "\n".join([self.markdown_header(), *rows, ""])

    def __str__(self):
        return (
            f"{self.learner} on {self.dataset}, {self._setting}: "
            f"{100 * self.accuracy:.2f} ± {100 * self.confidence_interval:.2f} % "
            f"({self.episodes} episodes, {self.normalization} normalisation, seed {self.seed})"
        )


def combine_reports(reports, dataset=None):
    """One report over the episodes of several reports.

    Args:
        reports: dict from the name of each domain to its `Report`, all of one learner and setting, with equal numbers
            of episodes.
        dataset: the datasets' name in the report; by default the names of the domains.

    Returns:
        A `Report` with `reports` as its `by_domain`.
    """
    parts = list(reports.values())
    return dataclasses.replace(
        parts[0],
        dataset=dataset or " + ".join(reports),
        episode_accuracies=tuple(accuracy for part in parts for accuracy in part.episode_accuracies),
        recall=float(np.mean([part.recall for part in parts])),
        f1=float(np.mean([part.f1 for part in parts])),
        seconds=sum(part.seconds for part in parts),
        by_domain=dict(reports),
    )


def _number(value):
    return f"{value[0]} to {value[1]}" if isinstance(value, (tuple, list)) else str(value)
