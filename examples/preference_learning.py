"""Learns what a new user likes from a few ratings: each user is a task, for the same MAML as any other regression.

    python examples/preference_learning.py

The users are generated. An item has 8 features, uniform in [-1, 1]. It also has 4 hidden attributes, tanh(B f) with a
fixed B of normal numbers; no model sees them. A user's preference is the centre of one of 6 groups of users plus 0.6
times a normal vector of the user. A rating is the product of preference and attributes plus normal noise of 0.3. So
much can be learned from all users together (the attributes and the groups), and something only from a user's own
ratings.

It compares, on 600 unseen users and as ratings come in: MAML; one network trained on the ratings of all users, which
gives all users the same answer; that network fine-tuned to the user; and a network trained for the user from random
weights.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import metalearn_tf as mtf

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

FEATURES, ATTRIBUTES, GROUPS = 8, 4, 6
OWN_TASTE, NOISE = 0.6, 0.3
QUERIES, TASKS_PER_BATCH = 20, 25
RATINGS = (1, 2, 5, 10, 20, 40)
INNER_STEPS, INNER_RATE = 3, 0.05
WORLD = np.random.default_rng(0)
ATTRIBUTES_OF_FEATURES = WORLD.normal(size=(FEATURES, ATTRIBUTES)).astype("float32")
CENTRES = WORLD.normal(size=(GROUPS, ATTRIBUTES)).astype("float32")


def users(seed, ratings=None, tasks=TASKS_PER_BATCH):
    """An endless stream of batches of users, `((rated items, ratings, other items), ratings of those)`.

    Without `ratings`, their number is drawn anew for each batch, so that the learner is trained for all numbers.
    """

    def make_batch(index):
        def normal(number, shape):
            return tf.random.stateless_normal(shape, [seed, 5 * index + number])

        groups = tf.random.stateless_uniform([tasks], [seed, 5 * index], 0, GROUPS, tf.int64)
        preferences = tf.gather(CENTRES, groups) + OWN_TASTE * normal(1, [tasks, ATTRIBUTES])
        items = tf.random.stateless_uniform([tasks, QUERIES + max(RATINGS), FEATURES], [seed, 5 * index + 2], -1.0, 1.0)
        attributes = tf.tanh(tf.tensordot(items, ATTRIBUTES_OF_FEATURES, 1))
        scores = tf.matmul(attributes, preferences[:, :, None]) + NOISE * normal(3, [tasks, items.shape[1], 1])
        # The same queries for any number of ratings.
        count = tf.gather(RATINGS, tf.random.stateless_uniform([], [seed, 5 * index + 4], 0, len(RATINGS), tf.int64))
        rated = slice(QUERIES, QUERIES + (count if ratings is None else ratings))
        return (items[:, rated], scores[:, rated], items[:, :QUERIES]), scores[:, :QUERIES]

    return tf.data.Dataset.counter().map(make_batch).prefetch(2)


def network():
    return mtf.networks.mlp((FEATURES,), units=(64, 64), outputs=1)


def adapted(body, steps, rate):
    """A learner that takes gradient steps on a user's ratings, from the weights of `body`."""
    return mtf.learners.MAML(body, inner_steps=steps, inner_learning_rate=rate, task_mapping="vectorized")


def errors(learner, batches):
    """Each user's mean squared error on the other items. A plain network does not adapt."""
    found = []
    for inputs, scores in batches:
        if isinstance(learner, mtf.learners.MetaLearner):
            predictions = learner.predict_on_batch(inputs)
        else:
            predictions = learner.predict_on_batch(tf.reshape(inputs[2], [-1, FEATURES])).reshape(scores.shape)
        found.extend(np.mean((predictions - scores.numpy().astype("float64")) ** 2, axis=(1, 2)))
    return np.asarray(found)


def interval(values):
    """Mean and half width of its 95 % interval over users."""
    return np.mean(values), mtf.evaluation.confidence_half_width(values)


def best(candidates, ratings):
    """The learner with the smallest error on 100 validation users."""
    validation = list(users(2, ratings).take(4))
    return min(candidates, key=lambda learner: np.mean(errors(learner, validation)))


def draw(curves, path):
    axes = (figure := Figure(figsize=(6, 3.5), layout="constrained")).subplots()
    for name, points in curves.items():
        means, halves = zip(*points)
        axes.errorbar(RATINGS, means, yerr=halves, marker="o", capsize=2, label=name)
    axes.axhline(NOISE**2, color="0.6", linestyle=":", label="noise of the ratings")
    axes.set(xscale="log", yscale="log", xlabel="ratings seen", ylabel="mean squared error", xticks=RATINGS)
    axes.set_xticklabels(RATINGS)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="steps of MAML, and of the network for all")
    parser.add_argument("--test_users", type=int, default=600)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/preference_learning"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()

    mtf.training.use_task_parallelism()
    keras.utils.set_random_seed(0)
    learner = adapted(network(), INNER_STEPS, INNER_RATE)
    learner.compile(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, arguments.steps)))
    learner.fit(users(1), epochs=5, steps_per_epoch=arguments.steps // 5, verbose=2)

    # The same ratings of the same users, but without the information whose they are.
    everybody = users(1).map(
        lambda x, y: (
            tf.reshape(tf.concat([x[0], x[2]], axis=1), [-1, FEATURES]),
            tf.reshape(tf.concat([x[1], y], axis=1), [-1, 1]),
        )
    )
    common = network()
    common.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, arguments.steps)), "mse")
    common.fit(everybody, epochs=5, steps_per_epoch=arguments.steps // 5, shuffle=False, verbose=2)
    print(f"trained both for {time.perf_counter() - start:.0f} s")

    # Each method gets the steps and the rate that suit it best, chosen anew for each number of ratings.
    grid = [(INNER_STEPS, INNER_RATE), (20, 0.01), (20, 0.04)]
    bodies = {"MAML": learner.network, "the same, fine-tuned": common, "from random weights": network()}
    candidates = {name: [adapted(body, *one) for one in grid] for name, body in bodies.items()}
    curves = {name: [] for name in ("MAML", "one network for all", "the same, fine-tuned", "from random weights")}
    for ratings in RATINGS:
        test = list(users(3, ratings).take(-(-arguments.test_users // TASKS_PER_BATCH)))
        for name in curves:
            rival = common if name == "one network for all" else best(candidates[name], ratings)
            mean, half = interval(errors(rival, test)[: arguments.test_users])
            curves[name].append((mean, half))
            print(f"{ratings:2d} ratings, {name}: squared error {mean:.3f} ± {half:.3f}", flush=True)
    draw(curves, arguments.output / "preferences.png")
    print(f"figure: {arguments.output / 'preferences.png'}; {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
