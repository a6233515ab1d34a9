"""The search for a learner's hyper-parameters."""

import dataclasses

import keras

from metalearn_tf.checks.fields import with_fields
from metalearn_tf.checks.instances import check_instance
from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.engine.describe import describe
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.saveable_model import plain_values
from metalearn_tf.files.folder_lock import FolderLock
from metalearn_tf.files.local_path import local_path
from metalearn_tf.files.whole_files import write_text
from metalearn_tf.serving.export import delete_unfinished_export
from metalearn_tf.training.descriptions import check_same, describe_dataset, describe_model
from metalearn_tf.training.require_ray import require_ray
from metalearn_tf.training.resume import Resume
from metalearn_tf.training.search_space import check_names, check_plain, check_space, describe_space, draw_parameters
from metalearn_tf.training.trial_records import TrialRecords
from metalearn_tf.training.trial_training import TrialBudget
from metalearn_tf.training.tuning_report import TuningReport, best_trial

_DESCRIPTION = "search.json"


@random_state_kept()
def tune(
    build_learner, search_space, train, validation, run_directory, budget=TrialBudget(), trials=20, first_trials=(),
    concurrent_trials=None, verbose=1, **fields,
):  # fmt: skip
    """Searches for the hyper-parameters of a learner, with Ray Tune and ASHA, and trains it with the best.

    Each trial draws its parameters from the space and trains on one core, in its own process. ASHA stops bad trials
    early. It compares after `grace_period` epochs, then after `reduction_factor` times as many, and so on. Each time it
    stops the trials that are not among the best `1 / reduction_factor` of those that have reached this epoch. Among the
    trials that run all epochs, the best is the one with the highest accuracy on the validation tasks after the last
    epoch.

    ```python
    def build_learner(learning_rate=1e-3, filters=64):
        learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(filters=filters))
        learner.compile(keras.optimizers.Adam(learning_rate), metrics=["accuracy"])
        return learner

    space = {"learning_rate": ray.tune.loguniform(1e-4, 1e-2), "filters": [32, 64]}
    report = mtf.training.tune(build_learner, space, train, validation, "runs/search")
    report.best_parameters
    mtf.evaluation.evaluate_episodes(report.learner, test, ways=5, shots=1)
    ```

    If a search was killed, the same call continues it: finished trials are kept, unfinished trials continue from their
    last epoch (see `Resume`), failed trials run again, and ASHA remembers all earlier results. For a finished search,
    the call reads the result from the folder.

    `run_directory` then has `report.json`, `report.md`, `report.png`, the exported model under `export/1`, and under
    `ray` the files that Ray writes in each attempt, such as the errors of trials and TensorBoard's files.

    If Ray is already running, it is used. So call `ray.init(address=...)` before to run the trials on a cluster; all
    its machines must see `run_directory`. Otherwise Ray is started on this machine for the duration of the search.

    Args:
        build_learner: function that takes the parameters as keyword arguments and returns a `MetaLearner` compiled with
            `metrics=["accuracy"]`. It runs in other processes, where TensorFlow has not started. So it must make the
            network itself, and must not use a tensor or Keras model of this process.
        search_space: dict from the names of parameters to distributions, such as `ray.tune.loguniform(1e-4, 1e-1)`, or
            lists of choices: numbers, strings, flags or `None`.
        train: a `ClassDataset` to train on.
        validation: a `ClassDataset` of other classes, on which trials are compared. Do not use these classes for the
            test.
        run_directory: folder for this search only.
        budget: a `TrialBudget`: tasks, steps and epochs of a trial, when ASHA stops it, and the seed. The user's random
            states are restored afterwards.
        trials: the number of choices of parameters; no two are the same.
        first_trials: dicts of parameters to begin with, such as your current ones; `[{}]` for the defaults of
            `build_learner`. They count as trials.
        concurrent_trials: the number of trials at once; by default one on each core.
        verbose: 0 for no progress bar, 1 for one.
        **fields: single fields of `budget`, by their names: `seed=1` is `budget=TrialBudget(seed=1)`.

    Returns:
        A `TuningReport`: `best_parameters`, `trials`, `learner`, `to_markdown()`, `to_json()`, `figure(path)`.

    Raises:
        ImportError: if Ray Tune is not installed.
        ValueError: before any work, if an argument is not accepted, if a parameter is not one of `build_learner`, or if
            `run_directory` belongs to another search; the message names what differs.
        TypeError: if `build_learner` is not a function or does not return a compiled Keras model, if a dataset is not a
            `ClassDataset`, or if `budget` is not a `TrialBudget`.
        RuntimeError: if no trial ran all epochs; the message has the error of the first one that failed. Also if
            another process searches in the folder.

    Reference: [Li et al., 2020](https://arxiv.org/abs/1810.05934)
    """
    check_instance("budget", budget, TrialBudget)
    (budget,) = with_fields(fields, budget=budget)
    check_whole(trials=trials)
    if concurrent_trials is not None:
        check_whole(concurrent_trials=concurrent_trials)
    _check_datasets(train=train, validation=validation)
    first_trials = _check_first(first_trials, build_learner, trials)
    require_ray()
    space = check_space(search_space)
    check_names("search_space", build_learner, list(space))
    parameters = draw_parameters(space, first_trials, trials, budget.seed)

    directory = _check_directory(run_directory)
    first = _first_learner(build_learner, parameters[0], budget)
    if not (directory / _DESCRIPTION).exists():
        _check_batch(first, budget, train, validation)
    setting = {
        "search_space": describe_space(space),
        "budget": plain_values(dataclasses.asdict(budget)),
        "train": describe_dataset(train),
        "validation": describe_dataset(validation),
        "parameters": {str(number): chosen for number, chosen in enumerate(parameters)},
    }
    # The model of the first trial, and the function's code, represent what `build_learner` does apart from its
    # parameters.
    of_learner = {"build_learner": describe(build_learner), "learner": describe_model(first, weights=True)}
    with FolderLock("run_directory", directory, "search"):
        check_same("run_directory", directory / _DESCRIPTION, {**setting, **of_learner}, "search")
        del first
        records = TrialRecords(directory / "trials", parameters, budget.epochs)
        if records.open() and not (directory / "report.json").exists():
            from metalearn_tf.training.ray_search import run_trials

            run_trials(directory, records, build_learner, train, validation, budget, concurrent_trials, verbose)
        best = best_trial(records.all())
        learner = budget.build(build_learner, best.parameters)
        state = Resume(directory / "best", delete_checkpoint=False)
        budget.fit(learner, train, validation, callbacks=[state])
        report = TuningReport(setting, tuple(records.all()), learner)
        _write(directory, report)
        return report


def _write(directory, report):
    """Writes the report's files and the model."""
    write_text(directory / "report.json", report.to_json())
    write_text(directory / "report.md", report.to_markdown())
    report.figure(directory / "report.png")
    path = directory / "export" / "1"
    delete_unfinished_export(path, directory)
    if not path.exists():
        parameters = ", ".join(f"`{name}={value!r}`" for name, value in report.best_parameters.items())
        report.learner.export(
            path,
            description=f"The best of the {len(report.trials)} trials of `mtf.training.tune`: "
            f"{parameters or 'the default parameters'}.\n\n{report.to_markdown()}",
        )


# === Checks ===


def _check_datasets(**datasets):
    for name, dataset in datasets.items():
        if not isinstance(dataset, ClassDataset):
            raise TypeError(f"`{name}` must be a ClassDataset. Received: {type(dataset).__name__}")


def _check_first(first_trials, build_learner, trials):
    first = list(first_trials) if isinstance(first_trials, (list, tuple)) else None
    if first is None or not all(isinstance(parameters, dict) for parameters in first):
        raise ValueError(f"`first_trials` must be a list of dicts of parameters. Received: {first_trials!r}")
    if len(first) > trials:
        raise ValueError(f"`first_trials` must be at most as many as `trials`, {trials}. Received: {len(first)}")
    for parameters in first:
        check_names("first_trials", build_learner, list(parameters))
        for name, value in parameters.items():
            check_plain("first_trials", name, value)
    return first


def _check_directory(run_directory):
    directory = local_path("run_directory", run_directory)
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"`run_directory` must be a folder. Received: the file {str(run_directory)!r}")
    return directory


def _first_learner(build_learner, parameters, budget):
    """The learner of the first trial, built in this process, where errors are easy to read."""
    learner = budget.build(build_learner, parameters)
    if not isinstance(learner, keras.Model) or not learner.compiled:
        found = type(learner).__name__
        raise TypeError(
            "`build_learner` must return a compiled learner. "
            f"Received: {f'a {found} that is not compiled' if isinstance(learner, keras.Model) else found}"
        )
    return learner


def _check_batch(learner, budget, train, validation):
    """Tries the learner on one batch: checks that tasks can be drawn, fit the learner and give an accuracy."""
    budget.train_tasks(train)
    logs = learner.evaluate(budget.validation_tasks(validation), steps=1, verbose=0, return_dict=True)
    if "accuracy" not in logs:
        raise ValueError(
            '`build_learner` must compile the learner with `metrics=["accuracy"]`, by which trials are compared. '
            f"Received: a learner whose logs are {', '.join(sorted(logs))}"
        )
