"""Accuracy over test episodes, with its interval."""

import time

import numpy as np

from metalearn_tf.checks.arrays import check_finite_weights
from metalearn_tf.checks.domain_names import domain_names
from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.class_index import ClassIndex
from metalearn_tf.data.tasks.episodes import episodes as make_episodes
from metalearn_tf.evaluation.report import Report, combine_reports
from metalearn_tf.evaluation.scores import confusion_matrix, macro_recall_and_f1

_TASKS_PER_BATCH = 8


def evaluate_episodes(learner, dataset, ways, shots, queries=15, episodes=600, seed=0, dataset_name=None, **options):
    """Tests a learner on few-shot episodes.

    Episode `i` of a seed is the same for every learner, so two reports with the same seed can be compared fairly.

    Args:
        learner: a `MetaLearner`, or any model from `(support_x, support_y, query_x)` to logits
            `(tasks, queries, ways)` with `predict_on_batch`.
        dataset: a `ClassDataset` of classes that were not trained on, or a list of them, each with a different
            `domain`.
        ways: classes in an episode, an integer or a pair, as for `mtf.data.episodes`.
        shots: support examples of a class, an integer or a pair.
        queries: query examples of a class, an integer or a pair.
        episodes: the number of episodes; if there are several domains, of each one.
        seed: seed of the episodes.
        dataset_name: the dataset's name in the report; by default its `domain`, or the names of all domains.
        **options: further arguments of `mtf.data.episodes`, such as `within_parent` and `query_dataset`.

    Returns:
        A `Report`. For several domains, it is over all their episodes. Its `by_domain` has a report for each domain,
        the same as if the domain had been evaluated alone.

    Raises:
        ValueError: if `learner` is not a model of tasks, or does regression; if a dataset has too few classes or
            examples; if the learner's head is not `ways` wide, or its answers are NaN; or if a domain has no name or
            the name of another one.
    """
    _check_learner(learner, ways)
    check_whole(episodes=episodes)
    if isinstance(dataset, (tuple, list)):
        settings = (ways, shots, queries, episodes, seed)
        _check_datasets(dataset)
        domains = domain_names("dataset", dataset)
        reports = {name: evaluate_episodes(learner, d, *settings, **options) for name, d in zip(domains, dataset)}
        return combine_reports(reports, dataset_name)
    start = time.perf_counter()
    batches = make_episodes(dataset, ways, shots, queries, _TASKS_PER_BATCH, seed, **options)
    confusions = []
    for inputs, labels, *_ in batches.take(-(-episodes // _TASKS_PER_BATCH)):
        labels = labels.numpy()
        confusions += map(_confusion, labels, _checked(_logits(learner, inputs, labels)))
    confusions = confusions[:episodes]
    recalls, f1s = zip(*map(macro_recall_and_f1, confusions))
    return Report(
        learner=type(learner).__name__,
        dataset=dataset_name or dataset.domain or "dataset",
        ways=ways,
        shots=shots,
        queries=queries,
        seed=seed,
        normalization=getattr(learner, "normalization", "none"),
        episode_accuracies=tuple(float(np.trace(confusion) / confusion.sum()) for confusion in confusions),
        recall=float(np.mean(recalls)),
        f1=float(np.mean(f1s)),
        seconds=time.perf_counter() - start,
    )


def _check_learner(learner, ways):
    """Refuses a model that is not a learner for this number of ways, or that has diverged."""
    if not hasattr(learner, "predict_on_batch"):
        raise ValueError(
            "`learner` must be a `MetaLearner`, or a model of tasks with `predict_on_batch`. "
            f"Received: {type(learner).__name__}"
        )
    inputs = getattr(learner, "inputs", None)
    is_adapted = hasattr(learner, "learner") and not hasattr(learner, "adapt")
    if is_adapted or (inputs and len(inputs) != 3):
        raise ValueError(
            "`learner` must adapt to each episode, as a `MetaLearner` does; a classifier of fixed classes has "
            f"`evaluate`, and an adapted model its `learner`. Received: {type(learner).__name__}"
        )
    width = getattr(learner, "max_ways", None)
    most_ways = max(ways) if isinstance(ways, (tuple, list)) else ways
    if width is not None and width != most_ways:
        raise ValueError(
            f"`ways` must be the width of the network's head, {width}; {learner.how_to_get_ways(most_ways)}. "
            f"Received: ways={ways}"
        )
    check_finite_weights("learner", getattr(learner, "variables", ()))


def _logits(learner, inputs, labels):
    """The logits of each task of a batch, for its queries but not for padding."""
    if labels.min() >= 0:
        return np.asarray(learner.predict_on_batch(inputs))
    # One task at a time: with "transductive" normalisation, padded queries would change the answers.
    tasks = zip(*(tensor.numpy() for tensor in inputs), labels)
    return [
        np.asarray(learner.predict_on_batch((support_x[None], support_y[None], query_x[None, query_y >= 0])))[0]
        for support_x, support_y, query_x, query_y in tasks
    ]


def _checked(logits):
    """Logits of the tasks of a batch, after a check for NaN, which would count as an answer of the first class."""
    if any(np.isnan(of_task).any() for of_task in logits):
        raise ValueError(
            "`learner` must give logits that are numbers; train it again, at a smaller learning rate. Received: NaN"
        )
    return logits


def _confusion(labels, logits):
    """The confusion matrix of one episode, for its own ways and without padding."""
    labels = labels[labels >= 0]
    ways = labels.max() + 1
    return confusion_matrix(labels, np.argmax(logits[:, :ways], axis=-1), ways)


def _check_datasets(datasets):
    for dataset in datasets:
        if not isinstance(dataset, ClassIndex):
            raise TypeError(
                "`dataset` must be a ClassDataset, or a list of them; `mtf.data.ClassDataset(examples, labels)` makes "
                f"one of arrays. Received: a list with {type(dataset).__name__}"
            )
