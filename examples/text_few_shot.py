"""Classifies postings of newsgroups that it has never seen, from one or five postings of each.

    python examples/text_few_shot.py --data_home DIR

20 Newsgroups with the classes divided as in Bao et al. (2020): 8 groups train (sci, rec), 5 validate (comp), 7 test
(talk, soc, alt, misc). A prototypical network and MAML on a bag of weighted words, against two baselines without
training: the nearest centroid in scikit-learn's TF-IDF, and the prototypical network before training. The weights of
the best epoch on the validation groups are used.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

WAYS = 5


class NearestCentroid:
    """Cosines to the mean TF-IDF vector of each class; `predict_on_batch` as `evaluate_episodes` asks for it."""

    normalization = "none"

    def __init__(self, texts):
        self.vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit(texts)

    def predict_on_batch(self, inputs):
        return np.stack([self._solve(*(tensor.numpy() for tensor in task)) for task in zip(*inputs)])

    def _solve(self, support_x, support_y, query_x):
        support, queries = (self.vectorizer.transform(texts) for texts in (support_x, query_x))
        centroids = np.stack([support[support_y == label].toarray().mean(axis=0) for label in range(WAYS)])
        norms = np.linalg.norm(centroids, axis=1, keepdims=True)
        return np.asarray(queries @ (centroids / np.maximum(norms, 1e-12)).T)


def fit(learner, train, validation, shots, learning_rate, arguments):
    """Trains for five epochs and keeps the best weights on the validation groups, perhaps the initial ones."""
    learner.compile(optimizer=keras.optimizers.Adam(learning_rate), metrics=["accuracy"])
    held_out = mtf.data.episodes(validation, WAYS, shots, 15, tasks_per_batch=4, seed=1)
    path, untrained = arguments.run_dir / f"{type(learner).__name__}_{shots}_shot.weights.h5", learner.get_weights()
    before = learner.evaluate(held_out, steps=20, verbose=0, return_dict=True)["accuracy"]
    best = keras.callbacks.ModelCheckpoint(
        path, "val_accuracy", mode="max", save_best_only=True, save_weights_only=True, initial_value_threshold=before
    )
    start = time.perf_counter()
    learner.fit(
        mtf.data.episodes(train, WAYS, shots, 5, tasks_per_batch=2),
        epochs=5,
        steps_per_epoch=arguments.steps // 5,
        validation_data=held_out,
        validation_steps=20,
        callbacks=[best],
        verbose=2,
    )
    if best.best > before:
        learner.load_weights(path)
    else:
        learner.set_weights(untrained)
    print(
        f"{type(learner).__name__}, {shots}-shot: trained for {time.perf_counter() - start:.0f} s; validation accuracy "
        f"{before:.3f} before, {max(before, best.best):.3f} at best",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="outer steps of two tasks, for each of three trainings")
    parser.add_argument("--vocabulary_size", type=int, default=50_000)
    parser.add_argument("--test_episodes", type=int, default=1000)
    parser.add_argument("--remove", nargs="*", default=(), help="some of headers, footers, quotes; by default none")
    parser.add_argument("--data_home", default=None, help="scikit-learn's folder")
    parser.add_argument("--run_dir", type=pathlib.Path, default=pathlib.Path("runs/text_few_shot"))
    parser.add_argument("--export", type=pathlib.Path, default=None, help="path of the prototypical SavedModel")
    arguments = parser.parse_args()
    arguments.run_dir.mkdir(parents=True, exist_ok=True)

    mtf.training.use_task_parallelism()
    keras.utils.set_random_seed(0)
    train, validation, test = (
        mtf.data.load("20newsgroups", split, data_home=arguments.data_home, remove=arguments.remove)
        for split in ("train", "validation", "test")
    )

    def network(outputs=None):
        return mtf.networks.bag_of_words(train.examples, arguments.vocabulary_size, outputs=outputs)

    def prototypes():
        return mtf.learners.PrototypicalNetwork(network(), distance="cosine", logit_scale=30.0)

    trained = prototypes()
    fit(trained, train, validation, 1, 1e-3, arguments)
    rivals = {
        "nearest TF-IDF centroid": NearestCentroid(train.examples),
        "before training": prototypes(),
        "trained": trained,
    }
    print(mtf.evaluation.Report.markdown_header())
    reports = []
    for shots in (1, 5):
        # One step of this size from a head of zeros gives nearly a classifier by prototypes; training continues from
        # there.
        maml = mtf.learners.MAML(network(outputs=WAYS), inner_steps=1, inner_learning_rate=50.0)
        fit(maml, train, validation, shots, 1e-4, arguments)
        for name, learner in {**rivals, f"{shots}-shot": maml}.items():
            report = mtf.evaluation.evaluate_episodes(
                learner, test, WAYS, shots, queries=15, episodes=arguments.test_episodes, seed=7
            )
            print(f"{report.to_markdown_row()} {name} ({report.seconds:.0f} s)", flush=True)
            if learner is trained:
                reports.append(report)
    if arguments.export:
        description = "Trained by `examples/text_few_shot.py` on 8 groups of 20 Newsgroups (sci and rec)."
        trained.export(arguments.export, report=reports, description=description)


if __name__ == "__main__":
    main()
