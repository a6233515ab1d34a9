"""Searches for the hyper-parameters of a text encoder, and tests how much the search gained.

    python examples/tune_text.py --data_home DIR

20 Newsgroups with the classes divided as in `text_few_shot.py`. The model is a prototypical network on `text_encoder`.
ASHA on Ray Tune compares the library's defaults with other learning rates, widths, vocabularies, distances and scales,
by their accuracy on the validation groups. Then the defaults and the best parameters are each trained from several
seeds and tested on the same episodes of the test groups. A run that was stopped continues with the same command.
"""

import argparse
import functools
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf
from metalearn_tf.files.whole_files import write_text

import keras
import numpy as np
from ray import tune

WAYS = 5
SPACE = {
    "learning_rate": tune.loguniform(1e-4, 1e-2),
    "units": [64, 128, 256, 512, 1024],
    "vocabulary_size": [10_000, 20_000, 40_000],
    "distance": ["squared_euclidean", "cosine"],
    "logit_scale": tune.loguniform(1.0, 100.0),
}


def build_learner(texts, learning_rate=1e-3, units=128, vocabulary_size=20_000, distance="cosine", logit_scale=10.0):
    """The defaults are those of Adam, of `text_encoder` and, except for the cosine, of `PrototypicalNetwork`."""
    network = mtf.networks.text_encoder(texts, vocabulary_size, units, max_words=200)
    learner = mtf.learners.PrototypicalNetwork(network, distance, logit_scale)
    learner.compile(keras.optimizers.Adam(learning_rate), metrics=["accuracy"])
    return learner


def accuracies_of_test(build, parameters, seed, train, test, steps, arguments):
    """The accuracy of each test episode after a training; from the run's folder if it is there."""
    path = arguments.run_dir / "test" / f"{'best' if parameters else 'defaults'}_{seed}_{arguments.test_episodes}.json"
    if not path.exists():
        keras.utils.set_random_seed(seed)
        learner = build(**parameters)
        tasks = mtf.data.episodes(train, WAYS, arguments.shots, 15, tasks_per_batch=2, seed=seed)
        learner.fit(tasks, steps_per_epoch=steps, verbose=0)
        report = evaluate(learner, test, arguments)
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps({"parameters": parameters, "accuracies": report.episode_accuracies}))
    return np.array(json.loads(path.read_text())["accuracies"])


def evaluate(learner, test, arguments):
    return mtf.evaluation.evaluate_episodes(
        learner, test, WAYS, arguments.shots, queries=15, episodes=arguments.test_episodes, seed=7
    )


def spread(values, sign=""):
    """The mean of values `(seeds, episodes)` in percent, with its uncertainty over seeds and over episodes."""
    by_seed = 100 * np.mean(values, axis=1)
    seeds = mtf.evaluation.student_half_width(by_seed)
    episodes = mtf.evaluation.confidence_half_width(100 * np.mean(values, axis=0))
    each = ", ".join(f"{value:{sign}.1f}" for value in by_seed)
    return f"{by_seed.mean():{sign}.2f} ± {episodes:.2f} (episodes) ± {seeds:.2f} (seeds: {each})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--steps_per_epoch", type=int, default=20, help="outer steps of two tasks")
    parser.add_argument("--validation_episodes", type=int, default=60)
    parser.add_argument("--test_episodes", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=5, help="trainings of the defaults and of the best, for the test")
    parser.add_argument("--concurrent_trials", type=int, default=None, help="by default one on each core")
    parser.add_argument("--quick", action="store_true", help="a few steps, to check that everything works")
    parser.add_argument("--data_home", default=None, help="scikit-learn's folder")
    parser.add_argument("--run_dir", type=pathlib.Path, default=pathlib.Path("runs/tune_text"))
    arguments = parser.parse_args()
    if arguments.quick:
        quick = {"trials": 3, "epochs": 2, "steps_per_epoch": 2, "validation_episodes": 8, "test_episodes": 8}
        vars(arguments).update(quick, seeds=2)

    mtf.training.use_task_parallelism()
    train, validation, test = (
        mtf.data.load("20newsgroups", split, data_home=arguments.data_home) for split in ("train", "validation", "test")
    )
    build = functools.partial(build_learner, train.examples)
    start = time.perf_counter()
    report = mtf.training.tune(
        build,
        SPACE,
        train,
        validation,
        arguments.run_dir,
        mtf.training.TrialBudget(
            WAYS,
            arguments.shots,
            tasks_per_batch=2,
            steps_per_epoch=arguments.steps_per_epoch,
            epochs=arguments.epochs,
            validation_episodes=arguments.validation_episodes,
        ),
        trials=arguments.trials,
        first_trials=[{}],
        concurrent_trials=arguments.concurrent_trials,
    )
    print(
        f"\n{report.to_markdown()}\nsearch and training of the best: {(time.perf_counter() - start) / 60:.1f} minutes"
    )

    steps = arguments.epochs * arguments.steps_per_epoch
    tested = {
        name: [
            accuracies_of_test(build, parameters, seed, train, test, steps, arguments)
            for seed in range(arguments.seeds)
        ]
        for name, parameters in (("defaults", {}), ("best", report.best_parameters))
    }
    for name, accuracies in tested.items():
        print(f"{name}: {spread(accuracies)} % of the test")
    print(f"gain of the best over the defaults: {spread(np.subtract(tested['best'], tested['defaults']), sign='+')}")
    bag = mtf.learners.PrototypicalNetwork(mtf.networks.bag_of_words(train.examples), "cosine")
    bag.compile()
    print(f"for comparison, `bag_of_words` without training: {evaluate(bag, test, arguments)}")
    print(f"figure: {arguments.run_dir / 'report.png'}")


if __name__ == "__main__":
    main()
