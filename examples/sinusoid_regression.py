"""Learns to fit any sinusoid from ten points: MAML on regression tasks, the first experiment of its paper.

    python examples/sinusoid_regression.py

Amplitudes are in [0.1, 5], phases in [0, π], inputs in [-5, 5]; the network has two layers of 40 units. It prints the
mean squared error before and after adaptation on 600 unseen tasks, and draws one of them.
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

SHOTS, QUERIES, TASKS_PER_BATCH = 10, 10, 25


def sinusoids(seed, tasks=TASKS_PER_BATCH, queries=QUERIES):
    """An endless stream of batches of regression tasks, `((support_x, support_y, query_x), query_y)`."""

    def make_batch(index):
        def uniform(number, shape, low, high):
            return tf.random.stateless_uniform(shape, [seed, 4 * index + number], low, high)

        amplitude, phase = uniform(0, [tasks, 1, 1], 0.1, 5.0), uniform(1, [tasks, 1, 1], 0.0, np.pi)
        x = uniform(2, [tasks, SHOTS + queries, 1], -5.0, 5.0)
        y = amplitude * tf.sin(x - phase)
        return (x[:, :SHOTS], y[:, :SHOTS], x[:, SHOTS:]), y[:, SHOTS:]

    return tf.data.Dataset.counter().map(make_batch).prefetch(2)


def mean_squared_error(learner, steps, batches):
    """Error and half width of its 95 % interval over tasks, after this many inner steps; 0 for no adaptation."""
    errors = []
    if steps:
        learner = mtf.learners.MAML(learner.network, inner_steps=steps, inner_learning_rate=0.01)
    for inputs, targets in batches:
        if steps:
            predictions = learner.predict_on_batch(inputs)
        else:
            predictions = learner.network.predict_on_batch(tf.reshape(inputs[2], [-1, 1])).reshape(targets.shape)
        errors.extend(np.mean((predictions - targets.numpy()) ** 2, axis=(1, 2)))
    return np.mean(errors), mtf.evaluation.confidence_half_width(errors)


def draw(learner, path):
    """One unseen sinusoid, its ten points, and the network before and after adaptation."""
    (support_x, support_y, query_x), query_y = next(iter(sinusoids(seed=3, tasks=1, queries=200)))
    support_x, support_y, query_x, query_y = (tensor[0].numpy() for tensor in (support_x, support_y, query_x, query_y))
    order = np.argsort(query_x[:, 0])
    axes = (figure := Figure(figsize=(6, 3.5), layout="constrained")).subplots()
    axes.plot(query_x[order], query_y[order], color="0.6", label="sinusoid")
    axes.plot(query_x[order], learner.network.predict(query_x[order], verbose=0), ":", label="before adaptation")
    for steps in (1, 10):
        stepper = mtf.learners.MAML(learner.network, inner_steps=steps, inner_learning_rate=0.01)
        adapted = stepper.adapt(support_x, support_y)
        axes.plot(
            query_x[order],
            adapted.predict(query_x[order], verbose=0),
            label="after one step" if steps == 1 else f"after {steps} steps",
        )
    axes.plot(support_x, support_y, "k^", label="support")
    axes.legend()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=15000)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/sinusoid_regression"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    mtf.training.use_task_parallelism()
    keras.utils.set_random_seed(0)
    # The network is tiny: computing all tasks together is faster than one task per core.
    learner = mtf.learners.MAML(
        mtf.networks.mlp(outputs=1), inner_steps=1, inner_learning_rate=0.01, task_mapping="vectorized"
    )
    learner.compile(optimizer=keras.optimizers.Adam(1e-3))
    start = time.perf_counter()
    learner.fit(sinusoids(seed=1), epochs=5, steps_per_epoch=arguments.steps // 5, verbose=2)
    print(f"trained for {time.perf_counter() - start:.0f} s")

    test_tasks = sinusoids(seed=2).take(24)
    for steps in (0, 1, 5, 10):
        mean, interval = mean_squared_error(learner, steps, test_tasks)
        print(f"mean squared error after {steps:2d} inner steps: {mean:.3f} ± {interval:.3f} (600 tasks)")
    draw(learner, arguments.output / "sinusoid.png")
    print(f"figure: {arguments.output / 'sinusoid.png'}")


if __name__ == "__main__":
    main()
