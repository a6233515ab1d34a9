"""Several threads of one process: each model by itself, and one model for all of them."""

import threading

import metalearn_tf as mtf

import keras
import numpy as np
import pytest


def build(name, normalization):
    keras.utils.set_random_seed(0)
    outputs = 3 if name == "MAML" else None
    network = mtf.networks.conv4((16, 16, 1), filters=4, outputs=outputs, normalization=normalization)
    learner = getattr(mtf.learners, name)(network)
    learner.compile(keras.optimizers.Adam(1e-2), metrics=["accuracy"])
    return learner


def at_once(functions):
    """What functions without arguments return that begin at the same moment, each in a thread of its own."""
    start, found = threading.Barrier(len(functions)), {}

    def run(number):
        start.wait()
        try:
            found[number] = functions[number]()
        except Exception as error:  # raised again in the thread of the test
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for value in found.values():
        if isinstance(value, Exception):
            raise value
    return [found[number] for number in range(len(functions))]


KINDS = [("MAML", "support"), ("PrototypicalNetwork", "support"), ("MAML", "transductive")]


def task(toy_tasks, seed):
    (support_x, support_y, query_x), _ = next(iter(toy_tasks(3, 2, 4, 2, seed)))
    return support_x[0].numpy(), support_y[0].numpy(), query_x[0].numpy()


def fit_adapt_and_predict(learner, tasks, one):
    learner.fit(tasks, steps_per_epoch=3, verbose=0)
    return learner.adapt(*one[:2]).predict(one[2], verbose=0)


@pytest.mark.slow
def test_models_of_their_own_learn_and_answer_as_one_after_the_other(toy_tasks):
    # Of different ways to normalise and kinds of learners: what one traces must not reach the other's graph.
    tasks, one = toy_tasks(3, 2, 4, 2), task(toy_tasks, 5)
    expected = [fit_adapt_and_predict(build(*kind), tasks, one) for kind in KINDS]
    learners = [build(*kind) for kind in KINDS]
    found = at_once([lambda learner=learner: fit_adapt_and_predict(learner, tasks, one) for learner in learners])
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


@pytest.mark.parametrize(
    "kind", [pytest.param(KINDS[0], marks=pytest.mark.slow), KINDS[1]], ids=["MAML", "PrototypicalNetwork"]
)
def test_one_model_answers_all_threads(kind, toy_tasks):
    every = [task(toy_tasks, seed) for seed in range(4)]
    expected = [build(*kind).adapt(x, y).predict(queries, verbose=0) for x, y, queries in every]
    learner = build(*kind)
    # Nothing is traced yet: all threads trace the same functions, or wait for the one that does.
    found = at_once([lambda one=one: learner.adapt(*one[:2]).predict(one[2], verbose=0) for one in every])
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.slow
def test_evaluation_beside_training_of_another(toy_dataset, toy_tasks):
    learner, other = build("PrototypicalNetwork", "support"), build("MAML", "transductive")
    arguments = {"ways": 3, "shots": 1, "queries": 3, "episodes": 16, "seed": 3}
    expected = mtf.evaluation.evaluate_episodes(learner, toy_dataset, **arguments).episode_accuracies
    tasks = toy_tasks(3, 2, 4, 2)
    found, _ = at_once(
        [
            lambda: mtf.evaluation.evaluate_episodes(learner, toy_dataset, **arguments).episode_accuracies,
            lambda: other.fit(tasks, steps_per_epoch=4, verbose=0),
        ]
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
