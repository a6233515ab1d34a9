"""The records of a search's trials, stored as files."""

import dataclasses
import json
import logging
import pathlib

from metalearn_tf.files.whole_files import write_text

FINISHED, STOPPED, FAILED, UNFINISHED = "finished", "stopped", "failed", "unfinished"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One choice of parameters, and the progress of its training.

    Attributes:
        number: counted from 0.
        parameters: dict of plain values.
        status: `"finished"`: it ran all epochs; `"stopped"`: ASHA stopped it because others were better at the same
            epoch; `"failed"`; or `"unfinished"`.
        logs: a tuple with a dict of floats for each epoch, including `val_accuracy` in `[0, 1]` and `seconds`.
        error: the traceback of a failed trial.
    """

    number: int
    parameters: dict
    status: str = UNFINISHED
    logs: tuple = ()
    error: str = ""

    @property
    def epochs(self):
        """The number of epochs that it ran."""
        return len(self.logs)

    @property
    def accuracies(self):
        """Accuracy on the validation tasks after each epoch, in `[0, 1]`."""
        return tuple(log["val_accuracy"] for log in self.logs)

    @property
    def accuracy(self):
        """Accuracy on the validation tasks after its last epoch, in `[0, 1]`; NaN before the first."""
        return self.accuracies[-1] if self.logs else float("nan")

    @property
    def seconds(self):
        """The wall time of all its epochs."""
        return sum(log["seconds"] for log in self.logs)


class TrialRecords:
    """The trials of a search in a folder, with one file for each, which is replaced in one step.

    Args:
        folder: folder of the files.
        parameters: list of dicts with the parameters of each trial.
        epochs: the number of epochs after which a trial is finished.
    """

    def __init__(self, folder, parameters, epochs):
        self._folder = pathlib.Path(folder)
        self._parameters = parameters
        self._epochs = epochs

    def all(self):
        """A list of all `Trial`s."""
        return [self.read(number) for number in range(len(self._parameters))]

    def open(self):
        """The trials that are not finished."""
        return [trial for trial in self.all() if trial.status in (UNFINISHED, FAILED)]

    def read(self, number):
        """A `Trial` by its number; it is unfinished if there is no record of it."""
        trial = Trial(number, self._parameters[number])
        path = self._path(number)
        if path.exists():
            try:
                found = json.loads(path.read_text())
                return dataclasses.replace(
                    trial, status=found["status"], logs=tuple(found["logs"]), error=found["error"]
                )
            except (ValueError, KeyError, TypeError) as error:
                logging.getLogger(__name__).warning("%s cannot be read, its trial runs again: %s", path, error)
        return trial

    def add_epoch(self, number, epoch, logs):
        """Saves the logs of an epoch, counted from 1. Drops logs of later epochs, which will run again."""
        trial = self.read(number)
        self._write(dataclasses.replace(trial, status=UNFINISHED, logs=(*trial.logs[: epoch - 1], logs), error=""))

    def end(self, number, error=""):
        """Saves that a trial has ended: after all epochs, earlier, or by an error."""
        trial = self.read(number)
        status = FAILED if error else FINISHED if trial.epochs >= self._epochs else STOPPED
        self._write(dataclasses.replace(trial, status=status, error=error))

    def _write(self, trial):
        write_text(self._path(trial.number), json.dumps(dataclasses.asdict(trial), indent=1) + "\n")

    def _path(self, number):
        return self._folder / f"{number:04d}.json"
