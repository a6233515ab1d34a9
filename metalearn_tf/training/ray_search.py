"""The part of a search that runs in Ray. Import it only if Ray is installed."""

import contextlib
import os
import pathlib
import shutil
import sys
import types

import keras
import ray
from ray import tune

from metalearn_tf.training.environment import RAY_PRIORITY, environment
from metalearn_tf.training.report_to_ray import ReportToRay
from metalearn_tf.training.resume import Resume
from metalearn_tf.training.task_parallelism import use_task_parallelism

_METRIC = "val_accuracy"
# The values of each epoch that are saved; Ray adds many of its own.
_KEPT = ("loss", "accuracy", "val_loss", _METRIC, "seconds")


def run_trials(directory, records, build_learner, train, validation, budget, concurrent_trials, verbose):
    """Runs all trials that are not finished.

    Args:
        directory: folder of the search.
        records: its `TrialRecords`.
        build_learner: see `tune`.
        train: a `ClassDataset`.
        validation: a `ClassDataset`.
        budget: a `TrialBudget`.
        concurrent_trials: the number of trials at once, or `None` for one on each core.
        verbose: 0 for no progress bar, 1 for one.

    Raises:
        KeyboardInterrupt: if the search was interrupted; Ray itself does not raise it.
    """
    directory = pathlib.Path(directory).resolve()
    states, attempts = directory / "states", directory / "ray"
    with environment(_variables()), _ray(concurrent_trials):
        trial = tune.with_parameters(
            _train, build_learner=build_learner, data=(train, validation), budget=budget, states=states
        )
        tuner = tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            param_space={"trial": tune.grid_search([_plain(trial) for trial in records.open()])},
            tune_config=tune.TuneConfig(
                scheduler=_scheduler(records, budget),
                max_concurrent_trials=concurrent_trials,
            ),
            run_config=tune.RunConfig(
                storage_path=str(attempts),
                # Each attempt has its own folder. The records, not these folders, hold the results.
                name=f"attempt_{1 + len(list(attempts.glob('attempt_*')))}",
                callbacks=[_Record(records, states, verbose)],
                verbose=0,
            ),
        )
        tuner.fit()
    if any(trial.status == "unfinished" for trial in records.open()):
        raise KeyboardInterrupt("The search was interrupted; the same call goes on with it.")


def _train(config, build_learner, data, budget, states):
    """Runs one trial in its own process."""
    use_task_parallelism(1)
    number = config["trial"]["number"]
    learner = budget.build(build_learner, config["trial"]["parameters"])
    budget.fit(learner, *data, callbacks=[Resume(_state(states, number)), ReportToRay()])


def _state(states, number):
    return states / f"{number:04d}"


def _plain(trial):
    return {"number": trial.number, "parameters": trial.parameters}


@contextlib.contextmanager
def _ray(concurrent_trials):
    """A context with the Ray that is already running, or with a local one for the duration of the search."""
    if ray.is_initialized():
        yield
        return
    # Not on a cluster named in the environment, because all its machines would have to see the folder.
    ray.init(
        address="local", num_cpus=concurrent_trials, include_dashboard=False, log_to_driver=False, logging_level="error"
    )
    try:
        yield
    finally:
        ray.shutdown()


def _variables():
    """The environment variables for Ray and its processes, for the duration of the search."""
    paths = [str(pathlib.Path(path).resolve()) for path in sys.path]
    return {
        **RAY_PRIORITY,
        # The import path of this process, so that `build_learner` may come from any module.
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        # Relative paths are relative to the folder of this process.
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        # Ray's new output prints tables whatever `verbose` is.
        "RAY_AIR_NEW_OUTPUT": "0",
    }


class _Record(tune.Callback):
    """Records what trials report, in the process that runs the search."""

    def __init__(self, records, states, verbose):
        self._records, self._states = records, states
        trials = records.all()
        self._progress = keras.utils.Progbar(len(trials), verbose=verbose, unit_name="trial", interval=0)
        self._progress.update(len(trials) - len(records.open()))

    def on_trial_result(self, iteration, trials, trial, result, **info):
        number, logs = _number(trial), {name: result[name] for name in _KEPT if name in result}
        self._records.add_epoch(number, result["epoch"], logs)

    def on_trial_complete(self, iteration, trials, trial, **info):
        self._records.end(_number(trial))
        # Ray ends a trial's process during its last report, so that `Resume` cannot delete its states.
        shutil.rmtree(_state(self._states, _number(trial)), ignore_errors=True)
        self._progress.add(1)

    def on_trial_error(self, iteration, trials, trial, **info):
        # Ray's own `get_error` reads a copy that does not exist yet.
        self._records.end(_number(trial), error=pathlib.Path(trial.error_file).read_text())
        self._progress.add(1)


def _number(trial):
    return trial.config["trial"]["number"]


class _Halving(tune.schedulers.ASHAScheduler):
    """ASHA that identifies a trial by its number in the search, not by Ray's name, which changes with each attempt."""

    def on_trial_add(self, controller, trial):
        super().on_trial_add(controller, _named(_number(trial)))

    def on_trial_result(self, controller, trial, result):
        return super().on_trial_result(controller, _named(_number(trial)), result)

    def on_trial_complete(self, controller, trial, result):
        super().on_trial_complete(controller, _named(_number(trial)), result)

    def on_trial_remove(self, controller, trial):
        super().on_trial_remove(controller, _named(_number(trial)))


def _named(number):
    return types.SimpleNamespace(trial_id=str(number))


def _scheduler(records, budget):
    """ASHA that already knows what all trials reported before the search was stopped.

    Ray's own way to continue (`Tuner.restore`) starts with an empty scheduler, which would not stop trials that should
    be stopped.
    """
    halving = {"grace_period": budget.grace_period, "reduction_factor": budget.reduction_factor}
    scheduler = _Halving(time_attr="epoch", metric=_METRIC, mode="max", max_t=budget.epochs, **halving)
    for trial in records.all():
        known = types.SimpleNamespace(config={"trial": _plain(trial)})
        if trial.logs and trial.status != "failed":
            scheduler.on_trial_add(None, known)
            for epoch, logs in enumerate(trial.logs, 1):
                scheduler.on_trial_result(None, known, {"epoch": epoch, **logs})
    return scheduler
