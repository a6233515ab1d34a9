"""The result of a search: every trial, and the best of them."""

import dataclasses
import json
import pathlib

from matplotlib.figure import Figure

from metalearn_tf.engine.saveable_model import plain_values
from metalearn_tf.files.markdown_table import markdown_table
from metalearn_tf.files.whole_files import write_text, write_whole
from metalearn_tf.training.trial_records import FINISHED, Trial


@dataclasses.dataclass(frozen=True)
class TuningReport:
    """All trials of a search, and the learner of the best one.

    Attributes:
        setting: dict of plain values: the arguments of the search.
        trials: a tuple of `Trial`s, with `number`, `parameters`, `status`, `epochs`, `accuracies`, `accuracy`,
            `seconds` and `error`.
        learner: the learner trained with the best parameters; `None` in a report that was read from JSON.
    """

    setting: dict
    trials: tuple
    learner: object = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def best(self):
        """The `Trial` with the highest validation accuracy after all epochs; if there are several, the first.

        A stopped trial is not chosen, because others were better at the same epoch.
        """
        return best_trial(self.trials)

    @property
    def best_parameters(self):
        """Dict of the best trial's parameters."""
        return self.best.parameters

    def ranking(self):
        """The trials, best first: those with more epochs before those that were stopped, then by accuracy."""
        return sorted(self.trials, key=lambda trial: (trial.status != FINISHED, -trial.epochs, -trial.accuracy))

    # === Written down ===

    def to_dict(self):
        """The setting, the best parameters and every trial as plain Python values."""
        return plain_values(
            {
                "best_parameters": self.best_parameters,
                "setting": self.setting,
                "trials": [dataclasses.asdict(trial) for trial in self.trials],
            }
        )

    def to_json(self, path=None):
        """The report as JSON text; also written to `path` if one is given."""
        text = json.dumps(self.to_dict(), indent=1) + "\n"
        if path is not None:
            write_text(path, text)
        return text

    @classmethod
    def from_json(cls, text):
        """The report from the JSON text that `to_json` wrote, without the learner."""
        values = json.loads(text)
        trials = (Trial(**{**trial, "logs": tuple(trial["logs"])}) for trial in values["trials"])
        return cls(values["setting"], tuple(trials))

    def to_markdown(self):
        """A Markdown table with one row for each trial, best first."""
        names = list(dict.fromkeys(name for trial in self.trials for name in trial.parameters))
        header = ("trial", *names, "epochs", "validation accuracy %", "", "s")
        rows = [
            (
                str(trial.number),
                *(_cell(trial.parameters[name]) if name in trial.parameters else "default" for name in names),
                str(trial.epochs),
                f"{100 * trial.accuracy:.2f}" if trial.logs else "-",
                "**best**" if trial is self.best else trial.status,
                f"{trial.seconds:.0f}",
            )
            for trial in self.ranking()
        ]
        return markdown_table(header, rows) + "\n"

    def figure(self, path):
        """Draws the validation accuracy of every trial by epoch into a PNG file. Stopped trials end with a cross."""
        figure = Figure(figsize=(8, 5), layout="constrained")
        axis, labelled = figure.subplots(), set()
        for trial in self.ranking()[::-1]:
            if not trial.logs:
                continue
            kind = "best" if trial is self.best else trial.status
            axis.plot(
                range(1, trial.epochs + 1),
                [100 * accuracy for accuracy in trial.accuracies],
                label=None if kind in labelled else kind,
                **_LINES.get(kind, _LINES["failed"]),
            )
            labelled.add(kind)
        # A cross only at the end.
        for line in axis.lines:
            line.set_markevery([-1])
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_xlabel("epoch")
        axis.set_ylabel("validation accuracy %")
        axis.legend(*_reversed(axis.get_legend_handles_labels()))
        write_whole(path, lambda file: figure.savefig(file, format="png", dpi=120))
        return pathlib.Path(path)


_LINES = {
    "best": {"color": "C1", "linewidth": 2.5, "marker": "o", "zorder": 3},
    "finished": {"color": "C0", "linewidth": 1.2, "marker": "o", "markersize": 4},
    "stopped": {"color": "grey", "linewidth": 1.0, "linestyle": "--", "marker": "x"},
    "failed": {"color": "C3", "linewidth": 1.0, "linestyle": ":", "marker": "x"},
}


def best_trial(trials):
    """The trial with the highest validation accuracy among those that ran all epochs.

    Raises:
        RuntimeError: if none did; the message has the error of the first one that failed.
    """
    finished = [trial for trial in trials if trial.status == FINISHED]
    if not finished:
        errors = [trial.error for trial in trials if trial.error]
        raise RuntimeError(
            f"No trial ran all epochs; {len(errors)} of {len(trials)} failed, the first of them with:\n"
            f"{errors[0] if errors else 'no error'}"
        )
    return max(finished, key=lambda trial: trial.accuracy)


def _cell(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _reversed(handles_and_labels):
    return (values[::-1] for values in handles_and_labels)
