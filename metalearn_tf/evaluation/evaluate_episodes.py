"""Accuracy over test episodes, with its interval."""

import time

import numpy as np

from metalearn_tf.data.episodes import episodes as make_episodes
from metalearn_tf.evaluation.report import Report
from metalearn_tf.evaluation.scores import confusion_matrix, macro_recall_and_f1

_TASKS_PER_BATCH = 8


def evaluate_episodes(learner, dataset, ways, shots, queries=15, episodes=600, seed=0, dataset_name=None):
    """Tests a learner on few-shot episodes.

    Episode `i` of a seed is the same for every learner, so that two reports of one seed compare like with like.

    Args:
        learner: a `MetaLearner`, or any model from `(support_x, support_y, query_x)` to logits
            `(tasks, queries, ways)` with `predict_on_batch`.
        dataset: a `ClassDataset` of classes that were not trained on.
        ways: classes in an episode.
        shots: support examples of a class.
        queries: query examples of a class.
        episodes: how many.
        seed: of the episodes.
        dataset_name: what the report calls the dataset; by default its `domain`.

    Returns:
        A `Report`.

    Raises:
        ValueError: if the dataset has too few classes or examples, or the learner's head is not `ways` wide.
    """
    if not isinstance(episodes, int) or episodes < 1:
        raise ValueError(f"`episodes` must be a positive integer. Received: {episodes!r}")
    width = getattr(learner, "max_ways", None)
    if width is not None and width != ways:
        raise ValueError(
            f"`ways` must be the width of the network's head, {width}; build the network with `outputs={ways}`. "
            f"Received: ways={ways}"
        )
    start = time.perf_counter()
    batches = make_episodes(dataset, ways, shots, queries, _TASKS_PER_BATCH, seed)
    confusions = []
    for inputs, labels in batches.take(-(-episodes // _TASKS_PER_BATCH)):
        predictions = np.argmax(learner.predict_on_batch(inputs), axis=-1)
        confusions += [confusion_matrix(*task, ways) for task in zip(labels.numpy(), predictions)]
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
