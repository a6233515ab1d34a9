"""The part of a search that runs in Ray; to be imported only where Ray is there."""

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
# What is kept of each epoch; Ray adds much of its own.
_KEPT = ("loss", "accuracy", "val_loss", _METRIC, "seconds")


def run_trials(directory, records, build_learner, train, validation, budget, concurrent_trials, verbose):
    """Runs all trials that still have something to do.

    Args:
        directory: folder of the search.
        records: its `TrialRecords`.
        build_learner: see `tune`.
        train: a `ClassDataset`.
        validation: a `ClassDataset`.
        budget: a `TrialBudget`.
        concurrent_trials: how many at once, or `None` for one on each core.
        verbose: 0 for no progress bar, 1 for one.

    Raises:
        KeyboardInterrupt: if the search was interrupted, which Ray keeps to itself.
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
                # Each attempt has a folder of its own: what counts is in the records.
                name=f"attempt_{1 + len(list(attempts.glob('attempt_*')))}",
                callbacks=[_Record(records, states, verbose)],
                verbose=0,
            ),
        )
        tuner.fit()
    if any(trial.status == "unfinished" for trial in records.open()):
        raise KeyboardInterrupt("The search was interrupted; the same call goes on with it.")


def _train(config, build_learner, data, budget, states):
    """One trial, in a process of its own."""
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
    """The Ray that is running, or one of this machine for as long as the search takes."""
    if ray.is_initialized():
        yield
        return
    # Not on a cluster of the environment's: the folder must be one that all its machines see.
    ray.init(
        address="local", num_cpus=concurrent_trials, include_dashboard=False, log_to_driver=False, logging_level="error"
    )
    try:
        yield
    finally:
        ray.shutdown()


def _variables():
    """What Ray and its processes find in the environment, for as long as the search takes."""
    paths = [str(pathlib.Path(path).resolve()) for path in sys.path]
    return {
        **RAY_PRIORITY,
        # Where this process imports from, so that `build_learner` may be of any module.
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        # Relative paths are those of this process.
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        # The new look prints tables whatever `verbose` is.
        "RAY_AIR_NEW_OUTPUT": "0",
    }


class _Record(tune.Callback):
    """Writes down what trials report, in the process that runs the search."""

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
        # Ray ends its process within its last report, so that `Resume` does not delete it.
        shutil.rmtree(_state(self._states, _number(trial)), ignore_errors=True)
        self._progress.add(1)

    def on_trial_error(self, iteration, trials, trial, **info):
        # Ray's own `get_error` reads a copy that is not there yet.
        self._records.end(_number(trial), error=pathlib.Path(trial.error_file).read_text())
        self._progress.add(1)


def _number(trial):
    return trial.config["trial"]["number"]


class _Halving(tune.schedulers.ASHAScheduler):
    """ASHA, which knows a trial by its number in the search and not by what Ray calls it in one attempt."""

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
    """ASHA that has seen what all trials reported before the search was stopped.

    Ray's own way to go on (`Tuner.restore`) begins with a scheduler that has seen nothing, so that trials which should
    be stopped would go on.
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
