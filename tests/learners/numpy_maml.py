"""A small network and its meta-loss in NumPy in float64, with finite differences, to hold learners against.

The meta-gradient of a learner is read off its public train step: plain gradient descent with rate 1 subtracts it from
the weights.
"""

import keras
import numpy as np

TASKS, SUPPORT, QUERIES, FEATURES, HIDDEN, WAYS = 3, 6, 9, 3, 4, 3


def meta_gradient(learner, x, y):
    learner.compile(optimizer=keras.optimizers.SGD(1.0))
    before = learner.get_weights()
    learner.train_on_batch(x, y)
    return [one.astype("float64") - other for one, other in zip(before, learner.get_weights())]


def random_tasks(regression=False, dtype="float32"):
    random = np.random.default_rng(1)
    support_x, query_x = (random.normal(size=(TASKS, n, FEATURES)).astype(dtype) for n in (SUPPORT, QUERIES))
    if regression:
        support_y, query_y = (random.normal(size=(TASKS, n, WAYS)).astype(dtype) for n in (SUPPORT, QUERIES))
    else:
        support_y, query_y = (np.tile(np.arange(n) % WAYS, (TASKS, 1)).astype("int32") for n in (SUPPORT, QUERIES))
    return (support_x, support_y, query_x), query_y


# === The same network and losses in NumPy ===


def loss_and_gradient(weights, x, y):
    """Mean loss of a tanh layer and a linear head, with its gradient by the chain rule."""
    kernel, bias, head, head_bias = weights
    hidden = np.tanh(x @ kernel + bias)
    outputs = hidden @ head + head_bias
    if y.dtype.kind == "f":
        loss, upstream = np.mean((outputs - y) ** 2), 2 * (outputs - y) / outputs.size
    else:
        exponentials = np.exp(outputs - outputs.max(1, keepdims=True))
        probabilities = exponentials / exponentials.sum(1, keepdims=True)
        loss = -np.mean(np.log(probabilities[np.arange(len(y)), y]))
        upstream = (probabilities - np.eye(outputs.shape[1])[y]) / len(y)
    inner = (upstream @ head.T) * (1 - hidden**2)
    return loss, [x.T @ inner, inner.sum(0), hidden.T @ upstream, upstream.sum(0)]


def adapted(weights, x, y, steps, rate):
    """The weights after some steps; `rate` is one number, or a list with the rates of each weight."""
    rates = rate if isinstance(rate, list) else [rate] * len(weights)
    for _ in range(steps):
        weights = [w - r * g for w, r, g in zip(weights, rates, loss_and_gradient(weights, x, y)[1])]
    return weights


def meta_loss(weights, x, y, steps, rate):
    losses = [
        loss_and_gradient(adapted(weights, support_x, support_y, steps, rate), query_x, query_y)[0]
        for support_x, support_y, query_x, query_y in zip(*x, y)
    ]
    return np.mean(losses)


def finite_differences(weights, x, y, steps, rate, width=1e-5, by=None):
    """The gradient of the meta-loss by each array of `by`, by default the weights, which it changes for a moment."""
    by = weights if by is None else by
    gradients = [np.zeros_like(array) for array in by]
    for weight, gradient in zip(by, gradients):
        for index in np.ndindex(weight.shape):
            center = weight[index]
            weight[index] = center + width
            above = meta_loss(weights, x, y, steps, rate)
            weight[index] = center - width
            below = meta_loss(weights, x, y, steps, rate)
            weight[index] = center
            gradient[index] = (above - below) / (2 * width)
    return gradients


def small_network(dtype="float32"):
    return keras.Sequential(
        [
            keras.Input((FEATURES,), dtype=dtype),
            keras.layers.Dense(HIDDEN, activation="tanh", dtype=dtype),
            keras.layers.Dense(WAYS, dtype=dtype),
        ]
    )


def float64_weights(network):
    return [weight.astype("float64") for weight in network.get_weights()]


def assert_close(actual, expected, rtol=1e-4, atol=1e-6):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)
