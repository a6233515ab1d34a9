"""The results of a workflow: all arms (compared methods) on the same tests."""

import dataclasses
import json
import logging
import math
import pathlib

import numpy as np
from matplotlib.figure import Figure

from metalearn_tf.engine.saveable_model import plain_values
from metalearn_tf.evaluation.scores import confidence_half_width, student_half_width
from metalearn_tf.files.markdown_table import markdown_table
from metalearn_tf.files.whole_files import write_whole


@dataclasses.dataclass(frozen=True)
class Gain:
    """The difference in accuracy between two arms, on the same tests.

    Attributes:
        mean: mean difference over all episodes of all seeds.
        over_episodes: half width of its 95 % interval for exactly these trainings: 1.96 standard errors over all
            episodes of all seeds. Other trainings, from other initial weights, may differ by more.
        over_seeds: half width of its 95 % interval over trainings: Student's t of the mean differences of the seeds.
            NaN if there is only one training.
    """

    mean: float
    over_episodes: float
    over_seeds: float

    @property
    def holds(self):
        """Whether it is a gain: above 0 by more than the half width over seeds. Always `False` for one training."""
        return self.mean > self.over_seeds

    def __str__(self):
        mean, over_episodes = f"{100 * self.mean:+.2f}", f"± {100 * self.over_episodes:.2f} over episodes"
        if math.isnan(self.over_seeds):
            return f"{mean} points ({over_episodes}; one training, so that it is not known of others)"
        verdict = "a gain" if self.holds else "no gain that holds over seeds"
        return f"{mean} points ± {100 * self.over_seeds:.2f} over seeds ({over_episodes}): {verdict}"


@dataclasses.dataclass(frozen=True)
class Arm:
    """The results of one of the compared methods.

    Attributes:
        accuracies: in `[0, 1]`, a tuple for each seed of one accuracy for each test episode.
        recall: mean over seeds and episodes of the macro-averaged recall, in `[0, 1]`.
        f1: the same for the macro-averaged F1.
        generates: whether it uses a GAN.
        seconds: wall time of its training, all seeds together, without the GAN's training.
        one_training: whether the same trained model was tested in each seed, such as an ensemble of the learners of all
            seeds. Then nothing is known about other trainings.
    """

    accuracies: tuple
    recall: float
    f1: float
    generates: bool
    seconds: float
    one_training: bool = False

    @property
    def accuracy(self):
        """Mean over all episodes of all seeds, in `[0, 1]`."""
        return float(np.mean(self.accuracies))

    @property
    def confidence_interval(self):
        """Half width of the 95 % interval of the accuracy over episodes: 1.96 standard errors, all seeds together.

        It says how well the accuracy of these trainings is known; `interval_over_seeds` says what to expect of other
        trainings.
        """
        return float(confidence_half_width(np.ravel(self.accuracies)))

    @property
    def interval_over_seeds(self):
        """Half width of the 95 % interval of the accuracy over trainings: Student's t of the seeds' means.

        NaN where there is one training only.
        """
        return _over_seeds(self.accuracies, self.one_training)

    @property
    def seed_accuracies(self):
        """The mean accuracy of each seed, a tuple."""
        return tuple(float(np.mean(accuracies)) for accuracies in self.accuracies)


@dataclasses.dataclass(frozen=True)
class WorkflowReport:
    """All arms of a workflow, with the same data, budget and test episodes.

    Attributes:
        workflow: its name.
        setting: dict of plain values: the arguments of the run.
        arms: dict from names to `Arm`s.
    """

    workflow: str
    setting: dict
    arms: dict

    @property
    def best_without_gan(self):
        """Name of the arm with the highest accuracy among those without a GAN."""
        return max((name for name, arm in self.arms.items() if not arm.generates), key=self._accuracy)

    @property
    def best_with_gan(self):
        """Name of the arm with the highest accuracy among those with a GAN."""
        return max((name for name, arm in self.arms.items() if arm.generates), key=self._accuracy)

    def _accuracy(self, name):
        return self.arms[name].accuracy

    def gain(self, name, over=None):
        """The difference in accuracy between two arms, seed by seed and episode by episode.

        Args:
            name: of the arm.
            over: name of the other arm; by default the best arm without a GAN of the same kind. An ensemble of the
                learners of all seeds is compared with the best such ensemble; an arm that each seed trains is compared
                with the best such arm.

        Returns:
            A `Gain`, which has an interval over episodes and one over seeds, and says whether it `holds`. Both
            intervals are narrower than those of the accuracies if the same episodes or seeds are hard for both arms.

        Raises:
            KeyError: if there is no such arm.
        """
        ours, theirs = self.arms[name], self.arms[over or self._rival(name)]
        differences = [np.subtract(*pair) for pair in zip(ours.accuracies, theirs.accuracies, strict=True)]
        return Gain(
            mean=float(np.mean(differences)),
            over_episodes=float(confidence_half_width(np.ravel(differences))),
            over_seeds=_over_seeds(differences, ours.one_training or theirs.one_training),
        )

    def _rival(self, name):
        """The arm without a GAN with which an arm is compared."""
        alike = [
            rival
            for rival, arm in self.arms.items()
            if not arm.generates and arm.one_training == self.arms[name].one_training
        ]
        return max(alike, key=self._accuracy) if alike else self.best_without_gan

    # === Written down ===

    def to_dict(self):
        """All fields as plain Python values, each arm with its accuracy, intervals and gain.

        An interval is `None` if it does not exist: over one seed or one episode.
        """
        values = dataclasses.asdict(self)
        for name, arm in self.arms.items():
            gain = self.gain(name)
            found = {
                "accuracy": arm.accuracy,
                "confidence_interval": _plain(arm.confidence_interval),
                "interval_over_seeds": _plain(arm.interval_over_seeds),
                "gain": {**{key: _plain(value) for key, value in vars(gain).items()}, "holds": gain.holds},
            }
            values["arms"][name] = {**found, **values["arms"][name]}
        return plain_values(values)

    def to_json(self):
        """The report as JSON text."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text):
        """The report from the JSON text that `to_json` wrote."""
        values = json.loads(text)
        fields = [field.name for field in dataclasses.fields(Arm)]
        for name, arm in values["arms"].items():
            accuracies = tuple(map(tuple, arm["accuracies"]))
            values["arms"][name] = Arm(**{**{field: arm[field] for field in fields}, "accuracies": accuracies})
        return cls(**values)

    def to_markdown(self):
        """A Markdown table with one row for each arm, and an explanation of its intervals."""
        both = "± over seeds / over episodes"
        header = (
            "arm",
            f"accuracy %, {both}",
            f"gain over the best without a GAN, {both}",
            "a gain",
            "recall %",
            "F1 %",
        )
        header += ("of each seed", "s")
        rows = [
            (
                name,
                f"{100 * arm.accuracy:.2f} ± {_percent(arm.interval_over_seeds)} / {_percent(arm.confidence_interval)}",
                *self._gain_cells(name),
                f"{100 * arm.recall:.2f}",
                f"{100 * arm.f1:.2f}",
                ", ".join(f"{100 * accuracy:.1f}" for accuracy in arm.seed_accuracies),
                f"{arm.seconds:.0f}",
            )
            for name, arm in self.arms.items()
        ]
        return "\n".join([markdown_table(header, rows), "", self._note(), ""])

    def _gain_cells(self, name):
        if name == self._rival(name):
            return "the best", ""
        gain = self.gain(name)
        holds = "not known" if math.isnan(gain.over_seeds) else "yes" if gain.holds else "no"
        return f"{100 * gain.mean:+.2f} ± {_percent(gain.over_seeds)} / {_percent(gain.over_episodes)}", holds

    def _note(self):
        """An explanation of the intervals."""
        seeds = len(next(iter(self.arms.values())).accuracies)
        if seeds == 1:
            return (
                "The intervals are over the test episodes of one seed: they say nothing about other trainings. Whether "
                "a difference is a gain can be told from several seeds only."
            )
        text = (
            f"95 % intervals: over the {seeds} seeds by Student's t, for what to expect of another training; over all "
            "test episodes, for these trainings alone. A gain is one only if its interval over seeds is above 0."
        )
        if any(arm.one_training for arm in self.arms.values()):
            text += (
                " Arms without an interval over seeds are one training, tested in each seed, and compared with the "
                "best of their kind."
            )
        return text

    def figure(self, path):
        """Draws the accuracies into a PNG file, with thin intervals over seeds and thick intervals over episodes."""
        figure = Figure(figsize=(8, 1.2 + 0.4 * len(self.arms)), layout="constrained")
        axis, names = figure.subplots(), list(self.arms)[::-1]
        for number, name in enumerate(names):
            arm = self.arms[name]
            colour = "C1" if arm.generates else "C0"
            axis.errorbar(100 * arm.accuracy, number, xerr=100 * arm.interval_over_seeds, capsize=4, color=colour)
            axis.errorbar(
                100 * arm.accuracy, number, xerr=100 * arm.confidence_interval, marker="o", elinewidth=4, color=colour
            )
        axis.axvline(100 * self.arms[self.best_without_gan].accuracy, color="grey", linestyle=":", linewidth=1)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlabel(
            "test accuracy %, 95 % intervals: thin over seeds, thick over episodes; orange: with a GAN", fontsize=9
        )
        write_whole(path, lambda file: figure.savefig(file, format="png", dpi=120))
        return pathlib.Path(path)


def _over_seeds(values, one_training):
    """Half width of the 95 % interval over seeds of values `(seeds, episodes)`; NaN for one training."""
    means = [float(np.mean(of_seed)) for of_seed in values]
    return math.nan if one_training else float(student_half_width(means))


def _percent(width):
    return "-" if math.isnan(width) else f"{100 * width:.2f}"


def _plain(width):
    """JSON has no NaN."""
    return None if math.isnan(width) else width


def finish(run, report, name, model):
    """Writes `report.json`, `report.md` and `report.png` into a run's folder, and under `export` the final model.

    Args:
        run: the `RunDirectory`.
        report: a `WorkflowReport`.
        name: name of the arm to which the model belongs.
        model: a model with `export`.

    Returns:
        `report`.
    """
    # The report is returned even if its files cannot be written: it is the result of hours of training.
    try:
        run.write("report.json", report.to_json())
        run.write("report.md", report.to_markdown())
        report.figure(run.path / "report.png")
        path = run.path / "export" / "1"
        if not path.exists():
            model.export(
                path, description=f"The arm {name!r} of `mtf.workflows.{report.workflow}`.\n\n{report.to_markdown()}"
            )
    except OSError as error:
        logging.getLogger(__name__).warning("The report is returned, but not all of it is in %s: %s", run.path, error)
    return report
