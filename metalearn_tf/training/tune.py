"""The search for a learner's hyper-parameters."""

import keras

from metalearn_tf.checks.whole_numbers import check_seed, check_whole
from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.engine.describe import describe
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.files.folder_lock import FolderLock
from metalearn_tf.files.local_path import local_path
from metalearn_tf.files.whole_files import write_text
from metalearn_tf.serving.export import delete_unfinished_export
from metalearn_tf.training.descriptions import check_same, describe_dataset, describe_model
from metalearn_tf.training.require_ray import require_ray
from metalearn_tf.training.resume import Resume
from metalearn_tf.training.search_space import check_names, check_plain, check_space, describe_space, draw_parameters
from metalearn_tf.training.trial_records import TrialRecords
from metalearn_tf.training.trial_training import Budget
from metalearn_tf.training.tuning_report import TuningReport, best_trial

_DESCRIPTION = "search.json"


@random_state_kept()
def tune(
    build_learner,
    search_space,
    train,
    validation,
    run_directory,
    ways=5,
    shots=1,
    queries=15,
    tasks_per_batch=4,
    steps_per_epoch=100,
    epochs=9,
    validation_episodes=200,
    trials=20,
    first_trials=(),
    grace_period=1,
    reduction_factor=3,
    concurrent_trials=None,
    seed=0,
    verbose=1,
):
    """Searches for the hyper-parameters of a learner, with Ray Tune and ASHA, and trains it with the best.

    Each trial draws its parameters from the space and trains on one core, in a process of its own. After
    `grace_period` epochs, and after each `reduction_factor` times as many, ASHA stops the trials that are not among the
    best `1 / reduction_factor` of those that came so far. Of those that run all epochs, the one of the highest accuracy
    on the validation tasks after the last epoch is the best.

    ```python
    def build_learner(learning_rate=1e-3, filters=64):
        learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(filters=filters))
        learner.compile(keras.optimizers.Adam(learning_rate), metrics=["accuracy"])
        return learner

    space = {"learning_rate": ray.tune.loguniform(1e-4, 1e-2), "filters": [32, 64]}
    report = mtf.training.tune(build_learner, space, train, validation, "runs/search", ways=5, shots=1)
    report.best_parameters
    mtf.evaluation.evaluate_episodes(report.learner, test, ways=5, shots=1)
    ```

    A search that was killed goes on with the same call: trials that came to their end are kept, those in the middle go
    on from their last epoch (see `Resume`), those that failed run again, and ASHA knows what it had seen. A search that
    is finished reads its end from the folder.

    `run_directory` then has `report.json`, `report.md`, `report.png`, the exported model under `export/1`, and under
    `ray` what Ray writes of each attempt, such as the errors of trials and what TensorBoard reads.

    A Ray that is running is used, so that `ray.init(address=...)` before the call brings the trials to a cluster,
    whose machines must all see `run_directory`. Without one, there is one of this machine for as long as the search
    takes.

    Args:
        build_learner: function from the parameters, as keyword arguments, to a `MetaLearner` compiled with
            `metrics=["accuracy"]`. It runs in other processes, where TensorFlow has not started: it must make the
            network itself, and hold no tensor or Keras model of this one.
        search_space: dict from the names of parameters to distributions, such as `ray.tune.loguniform(1e-4, 1e-1)`, or
            lists of choices: numbers, strings, flags or `None`.
        train: a `ClassDataset` to train on.
        validation: a `ClassDataset` of other classes, by which trials are compared. Test on none of them.
        run_directory: folder of this search, for it alone.
        ways: classes in a task, see `mtf.data.episodes`; also `shots`, `queries` and `tasks_per_batch`.
        shots: support examples of a class.
        queries: query examples of a class.
        tasks_per_batch: tasks in a batch, in training and validation.
        steps_per_epoch: outer steps in an epoch.
        epochs: of a trial that is not stopped, and of the training with the best parameters.
        validation_episodes: tasks after each epoch, the same for all trials; rounded up to whole batches.
        trials: how many choices of parameters, no two of them the same.
        first_trials: dicts of parameters to begin with, such as those that one has now: `[{}]` for the defaults of
            `build_learner`. They count among the trials.
        grace_period: epochs before a trial can be stopped.
        reduction_factor: one of so many trials goes on, each time.
        concurrent_trials: how many at once; by default one on each core.
        seed: of the parameters that are drawn, the first weights and the tasks. The user's random states are afterwards
            what they were.
        verbose: 0 for no progress bar, 1 for one.

    Returns:
        A `TuningReport`: `best_parameters`, `trials`, `learner`, `to_markdown()`, `to_json()`, `figure(path)`.

    Raises:
        ImportError: if Ray Tune is not installed.
        ValueError: before any work, if an argument is not accepted, a parameter is not one of `build_learner`, or
            `run_directory` is that of another search; names what differs.
        TypeError: if `build_learner` is no function, does not return a compiled Keras model, or a dataset is not a
            `ClassDataset`.
        RuntimeError: if no trial ran all epochs; has the error of the first that failed. Or if another process searches
            in the folder.

    Reference: [Li et al., 2020](https://arxiv.org/abs/1810.05934)
    """
    numbers = {"steps_per_epoch": steps_per_epoch, "epochs": epochs, "validation_episodes": validation_episodes}
    check_whole(**numbers, trials=trials, grace_period=grace_period)
    check_seed(seed)
    if concurrent_trials is not None:
        check_whole(concurrent_trials=concurrent_trials)
    _check_halving(grace_period, reduction_factor, epochs)
    _check_datasets(train=train, validation=validation)
    first_trials = _check_first(first_trials, build_learner, trials)
    require_ray()
    space = check_space(search_space)
    check_names("search_space", build_learner, list(space))
    parameters = draw_parameters(space, first_trials, trials, seed)
    budget = Budget(ways, shots, queries, tasks_per_batch, seed=int(seed), **{k: int(v) for k, v in numbers.items()})

    directory = _check_directory(run_directory)
    first = _first_learner(build_learner, parameters[0], budget)
    if not (directory / _DESCRIPTION).exists():
        _check_batch(first, budget, train, validation)
    setting = {
        "search_space": describe_space(space),
        "budget": vars(budget),
        "grace_period": int(grace_period),
        "reduction_factor": reduction_factor,
        "train": describe_dataset(train),
        "validation": describe_dataset(validation),
        "parameters": {str(number): chosen for number, chosen in enumerate(parameters)},
    }
    # The model of the first trial, and its code, stand for what `build_learner` does beside its parameters.
    of_learner = {"build_learner": describe(build_learner), "learner": describe_model(first, weights=True)}
    with FolderLock("run_directory", directory, "search"):
        check_same("run_directory", directory / _DESCRIPTION, {**setting, **of_learner}, "search")
        del first
        records = TrialRecords(directory / "trials", parameters, epochs)
        if records.open() and not (directory / "report.json").exists():
            from metalearn_tf.training.ray_search import run_trials

            halving = {"grace_period": grace_period, "reduction_factor": reduction_factor}
            run_trials(
                directory, records, build_learner, train, validation, budget, halving, concurrent_trials, verbose
            )
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


def _check_halving(grace_period, reduction_factor, epochs):
    if grace_period > epochs:
        raise ValueError(
            f"`grace_period` must be at most the number of epochs, {epochs}. Received: grace_period={grace_period}"
        )
    if isinstance(reduction_factor, bool) or not isinstance(reduction_factor, (int, float)) or reduction_factor <= 1:
        raise ValueError(
            f"`reduction_factor` must be a number above 1. Received: reduction_factor={reduction_factor!r}"
        )


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
    """The learner of the first trial: here an error is plain."""
    learner = budget.build(build_learner, parameters)
    if not isinstance(learner, keras.Model) or not learner.compiled:
        found = type(learner).__name__
        raise TypeError(
            "`build_learner` must return a compiled learner. "
            f"Received: {f'a {found} that is not compiled' if isinstance(learner, keras.Model) else found}"
        )
    return learner


def _check_batch(learner, budget, train, validation):
    """Looks at what the learner makes of one batch: whether tasks can be drawn, suit it and are measured."""
    budget.train_tasks(train)
    logs = learner.evaluate(budget.validation_tasks(validation), steps=1, verbose=0, return_dict=True)
    if "accuracy" not in logs:
        raise ValueError(
            '`build_learner` must compile the learner with `metrics=["accuracy"]`, by which trials are compared. '
            f"Received: a learner whose logs are {', '.join(sorted(logs))}"
        )
