"""What a workflow found: every arm, on the same tests."""

import dataclasses
import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from metalearn_tf.data.whole_files import write_whole
from metalearn_tf.evaluation.scores import confidence_half_width


@dataclasses.dataclass(frozen=True)
class Arm:
    """The results of one way to do it.

    Attributes:
        accuracies: in `[0, 1]`, a tuple for each seed of one accuracy for each test episode.
        recall: mean over seeds and episodes of the macro-averaged recall, in `[0, 1]`.
        f1: the same of the macro-averaged F1.
        generates: whether a GAN has a part in it.
        seconds: wall time of its training, of all seeds together, without that of the GAN.
    """

    accuracies: tuple
    recall: float
    f1: float
    generates: bool
    seconds: float

    @property
    def accuracy(self):
        """Mean over all episodes of all seeds, in `[0, 1]`."""
        return float(np.mean(self.accuracies))

    @property
    def confidence_interval(self):
        """Half width of the 95 % interval of the accuracy: 1.96 standard errors over all episodes of all seeds."""
        return float(confidence_half_width(np.ravel(self.accuracies)))

    @property
    def seed_accuracies(self):
        """The mean accuracy of each seed, a tuple."""
        return tuple(float(np.mean(accuracies)) for accuracies in self.accuracies)


@dataclasses.dataclass(frozen=True)
class WorkflowReport:
    """All arms of a workflow, with the same data, budget and test episodes.

    Attributes:
        workflow: its name.
        setting: dict of plain values: what the run was asked for.
        arms: dict from names to `Arm`s.
    """

    workflow: str
    setting: dict
    arms: dict

    @property
    def best_without_gan(self):
        """Name of the arm of highest accuracy among those in which no GAN has a part."""
        return max((name for name, arm in self.arms.items() if not arm.generates), key=self._accuracy)

    @property
    def best_with_gan(self):
        """Name of the arm of highest accuracy among those in which a GAN has a part."""
        return max((name for name, arm in self.arms.items() if arm.generates), key=self._accuracy)

    def _accuracy(self, name):
        return self.arms[name].accuracy

    def gain(self, name, over=None):
        """How much more accurate an arm is than another, episode by episode.

        Args:
            name: of the arm.
            over: name of the other; by default `best_without_gan`.

        Returns:
            Mean and half width of the 95 % interval of the difference, which is narrower than those of both
            accuracies where the same episodes are hard for both.
        """
        ours, theirs = (np.ravel(self.arms[key].accuracies) for key in (name, over or self.best_without_gan))
        return float(np.mean(ours - theirs)), float(confidence_half_width(ours - theirs))

    # === Written down ===

    def to_dict(self):
        """All fields as plain Python values, each arm with its accuracy and interval."""
        values = dataclasses.asdict(self)
        for name, arm in self.arms.items():
            found = {"accuracy": arm.accuracy, "confidence_interval": arm.confidence_interval}
            values["arms"][name] = {**found, **values["arms"][name]}
        return values

    def to_json(self):
        """The report as JSON text."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text):
        """The report that `to_json` wrote."""
        values = json.loads(text)
        fields = [field.name for field in dataclasses.fields(Arm)]
        for name, arm in values["arms"].items():
            accuracies = tuple(map(tuple, arm["accuracies"]))
            values["arms"][name] = Arm(**{**{field: arm[field] for field in fields}, "accuracies": accuracies})
        return cls(**values)

    def to_markdown(self):
        """A Markdown table with one row for each arm."""
        best = self.best_without_gan
        header = ("arm", "accuracy %", "gain over the best without a GAN", "recall %", "F1 %", "of each seed", "s")
        rows = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
        for name, arm in self.arms.items():
            gain, width = self.gain(name)
            cells = (
                name,
                f"{100 * arm.accuracy:.2f} ± {100 * arm.confidence_interval:.2f}",
                "the best" if name == best else f"{100 * gain:+.2f} ± {100 * width:.2f}",
                f"{100 * arm.recall:.2f}",
                f"{100 * arm.f1:.2f}",
                ", ".join(f"{100 * accuracy:.1f}" for accuracy in arm.seed_accuracies),
                f"{arm.seconds:.0f}",
            )
            rows.append(f"| {' | '.join(cells)} |")
        return "\n".join([*rows, ""])

    def figure(self, path):
        """Draws the accuracies with their intervals into a PNG file; arms with a GAN in another colour."""
        figure = Figure(figsize=(8, 1.2 + 0.4 * len(self.arms)), layout="constrained")
        axis, names = figure.subplots(), list(self.arms)[::-1]
        for number, name in enumerate(names):
            arm = self.arms[name]
            axis.errorbar(
                100 * arm.accuracy,
                number,
                xerr=100 * arm.confidence_interval,
                marker="o",
                capsize=3,
                color="C1" if arm.generates else "C0",
            )
        axis.axvline(100 * self.arms[self.best_without_gan].accuracy, color="grey", linestyle=":", linewidth=1)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlabel("test accuracy %, 95 % interval; orange: with a GAN")
        write_whole(path, lambda file: figure.savefig(file, format="png", dpi=120))
        return pathlib.Path(path)


def finish(run, report, name, model):
    """Writes `report.json`, `report.md` and `report.png` into a run's folder, and under `export` the final model.

    Args:
        run: the `RunDirectory`.
        report: a `WorkflowReport`.
        name: of the arm that the model is of.
        model: a model with `export`.

    Returns:
        `report`.
    """
    run.write("report.json", report.to_json())
    run.write("report.md", report.to_markdown())
    report.figure(run.path / "report.png")
    path = run.path / "export" / "1"
    if not path.exists():
        model.export(
            path, description=f"The arm {name!r} of `mtf.workflows.{report.workflow}`.\n\n{report.to_markdown()}"
        )
    return report
