"""The meta-gradient of MAML against finite differences and closed forms, computed in NumPy in float64."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy_maml import (
    FEATURES,
    HIDDEN,
    QUERIES,
    SUPPORT,
    TASKS,
    WAYS,
    adapted,
    assert_close,
    finite_differences,
    float64_weights,
    loss_and_gradient,
    meta_gradient,
    random_tasks,
    small_network,
)

# === The meta-gradient ===


@pytest.mark.rows(default=["1-regression"])
@pytest.mark.parametrize("regression", [False, True], ids=["classification", "regression"])
@pytest.mark.parametrize("steps", [1, 3])
def test_meta_gradient_equals_finite_differences(steps, regression):
    x, y = random_tasks(regression)
    network = small_network()
    expected = finite_differences(float64_weights(network), x, y, steps, rate=0.5)
    learner = mtf.learners.MAML(network, inner_steps=steps, inner_learning_rate=0.5)
    assert_close(meta_gradient(learner, x, y), expected, rtol=1e-3, atol=2e-6)


@pytest.mark.rows(default=["1"])
@pytest.mark.parametrize("steps", [1, 3])
def test_meta_gradient_in_float64_equals_finite_differences(steps):
    x, y = random_tasks(dtype="float64")
    network = small_network("float64")
    expected = finite_differences(float64_weights(network), x, y, steps, rate=0.5)
    learner = mtf.learners.MAML(network, inner_steps=steps, inner_learning_rate=0.5)
    # What is left is the rounding of the logits, which are float32 whatever the network computes in.
    assert_close(meta_gradient(learner, x, y), expected, rtol=2e-6, atol=2e-8)


@pytest.mark.parametrize("steps", [1, 3])
def test_first_order_gradient_is_that_at_the_adapted_weights(steps):
    x, y = random_tasks()
    network = small_network()
    weights = float64_weights(network)
    by_task = [
        loss_and_gradient(adapted(weights, support_x, support_y, steps, 0.5), query_x, query_y)[1]
        for support_x, support_y, query_x, query_y in zip(*x, y)
    ]
    learner = mtf.learners.MAML(network, inner_steps=steps, inner_learning_rate=0.5, first_order=True)
    assert_close(meta_gradient(learner, x, y), [np.mean(g, axis=0) for g in zip(*by_task)], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_meta_gradient_of_linear_regression_has_its_closed_form(steps):
    """With the Hessian H of the support loss, the meta-gradient is (1 - rate H)^steps times the query gradient."""
    x, y = random_tasks(regression=True)
    inputs = keras.Input((FEATURES,))
    network = keras.Model(inputs, keras.layers.Dense(WAYS, use_bias=False)(inputs))
    start, rate = float64_weights(network)[0], 0.3
    expected = np.zeros_like(start)
    for support_x, support_y, query_x, query_y in zip(*(array.astype("float64") for array in (*x, y))):
        hessian = 2 * support_x.T @ support_x / support_y.size
        weights = start
        for _ in range(steps):
            weights = weights - rate * (hessian @ weights - 2 * support_x.T @ support_y / support_y.size)
        query_gradient = 2 * query_x.T @ (query_x @ weights - query_y) / query_y.size
        decay = np.linalg.matrix_power(np.eye(FEATURES) - rate * hessian, steps)
        expected += decay @ query_gradient / TASKS
    learner = mtf.learners.MAML(network, inner_steps=steps, inner_learning_rate=rate)
    assert_close(meta_gradient(learner, x, y), [expected], rtol=1e-4, atol=1e-6)


def plain_conv4(weights, support, query, downsampling, normalization):
    """Logits of both sets from plain TensorFlow operations, in their dtype."""
    for _ in range(4):
        kernel, scale, offset, *weights = weights
        support, query = (
            tf.nn.conv2d(x, kernel, 1 if downsampling == "max_pool" else 2, "SAME") for x in (support, query)
        )
        statistics = [(tf.reduce_mean(x, [0, 1, 2]), tf.math.reduce_variance(x, [0, 1, 2])) for x in (support, query)]
        if normalization == "support":
            statistics[1] = statistics[0]
        support, query = (
            tf.nn.relu(scale * (x - mean) / tf.sqrt(variance + 1e-3) + offset)
            for x, (mean, variance) in zip((support, query), statistics)
        )
        if downsampling == "max_pool":
            support, query = (tf.nn.max_pool2d(x, 2, 2, "VALID") for x in (support, query))
    return [tf.reduce_mean(x, [1, 2]) @ weights[0] + weights[1] for x in (support, query)]


@pytest.mark.full
@pytest.mark.parametrize(
    "downsampling, normalization", [("max_pool", "transductive"), ("stride", "transductive"), ("stride", "support")]
)
def test_meta_gradient_of_conv4_equals_that_of_plain_operations(downsampling, normalization, toy_dataset):
    """Against automatic differentiation of plain operations in float64, two inner steps, one task after the other."""
    tasks = mtf.data.episodes(toy_dataset, WAYS, 2, 2, tasks_per_batch=2)
    x, y = next(tasks.as_numpy_iterator())
    network = mtf.networks.conv4(
        (16, 16, 1), filters=4, outputs=WAYS, downsampling=downsampling, normalization=normalization
    )
    # Away from the initial scale of 1 and offset of 0, where errors in their gradients could hide.
    random = np.random.default_rng(0)
    for variable in network.trainable_variables:
        variable.assign(np.asarray(variable) + 0.1 * random.normal(size=variable.shape))
    start = [tf.constant(np.asarray(variable), tf.float64) for variable in network.trainable_variables]

    def loss(logits, labels):
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    with tf.GradientTape() as outer:
        outer.watch(start)
        losses = []
        for support_x, support_y, query_x, query_y in zip(*x, y):
            images = tf.cast(support_x, tf.float64), tf.cast(query_x, tf.float64)
            weights = start
            for _ in range(2):
                with tf.GradientTape() as inner:
                    inner.watch(weights)
                    support_loss = loss(plain_conv4(weights, *images, downsampling, normalization)[0], support_y)
                weights = [w - 0.1 * g for w, g in zip(weights, inner.gradient(support_loss, weights))]
            losses.append(loss(plain_conv4(weights, *images, downsampling, normalization)[1], query_y))
        total = tf.reduce_mean(losses)
    expected = [gradient.numpy() for gradient in outer.gradient(total, start)]

    learner = mtf.learners.MAML(network, inner_steps=2, inner_learning_rate=0.1)
    learner.compile(optimizer=keras.optimizers.SGD(1.0))
    np.testing.assert_allclose(learner.train_on_batch(x, y), total.numpy(), rtol=1e-4)
    for variable, before, gradient in zip(network.trainable_variables, start, expected):
        actual = before.numpy() - np.asarray(variable)
        np.testing.assert_allclose(actual, gradient, rtol=2e-3, atol=2e-4 * np.abs(gradient).max())


# === Options ===


def normalised_network(normalization):
    layers = [keras.Input((FEATURES,)), keras.layers.Dense(HIDDEN, use_bias=False)]
    layers += [mtf.networks.TaskNormalization(normalization), keras.layers.Activation("tanh")]
    return keras.Sequential([*layers, keras.layers.Dense(WAYS)])


@pytest.mark.rows(default=["transductive-parallel"])
@pytest.mark.parametrize(
    "normalization, mapping",
    [("transductive", "parallel"), ("support", "parallel"), ("running", "parallel"), ("running", "vectorized")],
)
def test_rematerializing_changes_neither_gradient_nor_statistics(normalization, mapping):
    x, y = random_tasks()
    network = normalised_network(normalization)
    start, steps = network.get_weights(), []
    for rematerialize in (False, True):
        network.set_weights(start)
        learner = mtf.learners.MAML(
            network, inner_steps=2, inner_learning_rate=0.1, rematerialize=rematerialize, task_mapping=mapping
        )
        steps.append(meta_gradient(learner, x, y))
    assert max(np.abs(gradient).max() for gradient in steps[0]) > 1e-3
    assert_close(steps[1], steps[0], rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_rematerializing_repeats_the_dropout_of_the_first_computation():
    x, y = random_tasks()
    gradients = []
    for rematerialize in (False, True):
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [
                keras.Input((FEATURES,)),
                keras.layers.Dense(HIDDEN, activation="tanh"),
                keras.layers.Dropout(0.5, seed=1),
                keras.layers.Dense(WAYS),
            ]
        )
        learner = mtf.learners.MAML(network, inner_steps=3, inner_learning_rate=0.5, rematerialize=rematerialize)
        gradients.append(meta_gradient(learner, x, y))
    assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_rematerializing_learners_adapt():
    x, _ = random_tasks()
    network = small_network()
    expected = np.asarray(mtf.learners.MAML(network, inner_steps=2)(x))
    actual = np.asarray(mtf.learners.MAML(network, inner_steps=2, rematerialize=True)(x))
    assert_close([actual], [expected], rtol=1e-4, atol=1e-5)


def test_test_time_takes_its_own_number_of_steps():
    x, y = random_tasks()
    network = small_network()
    learner = mtf.learners.MAML(network, inner_steps=1, inner_learning_rate=0.5, test_inner_steps=4)
    weights = adapted(float64_weights(network), x[0][0], x[1][0], 4, 0.5)
    state = learner.adapt(x[0][0], x[1][0]).state
    assert_close([np.asarray(variable) for variable in state[:4]], weights, rtol=1e-4, atol=1e-5)
    expected = finite_differences(float64_weights(network), x, y, steps=1, rate=0.5)
    assert_close(meta_gradient(learner, x, y), expected, rtol=1e-3, atol=2e-6)


def test_frozen_layers_stay_as_they_are():
    x, y = random_tasks()
    network = small_network()
    network.layers[0].trainable = False
    learner = mtf.learners.MAML(network, inner_steps=2)
    kernel, bias, head, _ = network.get_weights()
    learner.compile(optimizer=keras.optimizers.SGD(1.0))
    learner.train_on_batch(x, y)
    np.testing.assert_array_equal(network.get_weights()[0], kernel)
    np.testing.assert_array_equal(network.get_weights()[1], bias)
    assert not np.array_equal(network.get_weights()[2], head)


def test_a_new_loss_reaches_the_adaptation():
    x, _ = random_tasks()
    network = small_network()
    learner = mtf.learners.MAML(network, inner_steps=1, inner_learning_rate=0.5)
    weights = float64_weights(network)
    learner.adapt(x[0][0], x[1][0])
    learner.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"))
    state = learner.adapt(x[0][0], x[1][0]).state
    summed = adapted(weights, x[0][0], x[1][0], 1, 0.5 * SUPPORT)
    assert_close([np.asarray(variable) for variable in state[:4]], summed, rtol=1e-4, atol=1e-5)


def test_fewer_ways_than_the_head_use_its_first_outputs():
    x, _ = random_tasks()
    network = small_network()
    learner = mtf.learners.MAML(network)
    adapted_model = learner.adapt(x[0][0], np.arange(SUPPORT) % 2)
    assert adapted_model.predict(x[2][0], verbose=0).shape == (QUERIES, 2)


@pytest.mark.full
def test_sinusoid_regression_learns_and_adapts():
    random = np.random.default_rng(0)

    def sinusoids(tasks, points=10):
        amplitude, phase = random.uniform(0.1, 5, (tasks, 1, 1)), random.uniform(0, np.pi, (tasks, 1, 1))
        x = random.uniform(-5, 5, (tasks, 2 * points, 1)).astype("float32")
        y = (amplitude * np.sin(x + phase)).astype("float32")
        return (x[:, :points], y[:, :points], x[:, points:]), y[:, points:]

    network = mtf.networks.mlp((1,), (32, 32), outputs=1)
    learner = mtf.learners.MAML(network, inner_steps=1, inner_learning_rate=0.05)
    learner.compile(optimizer=keras.optimizers.Adam(0.01))
    test_x, test_y = sinusoids(100)
    before = learner.evaluate(test_x, test_y, verbose=0)
    learner.fit(tf.data.Dataset.from_tensor_slices(sinusoids(200 * 8)).batch(8), verbose=0)
    after = learner.evaluate(test_x, test_y, verbose=0)
    logits = learner.predict(test_x, verbose=0)
    np.testing.assert_allclose(after, np.mean((logits - test_y) ** 2), rtol=1e-4)
    unadapted = network.predict(test_x[2].reshape(-1, 1), verbose=0).reshape(test_y.shape)
    assert after < 0.6 * before
    assert after < 0.6 * np.mean((unadapted - test_y) ** 2)

    adapted_model = learner.adapt(test_x[0][0], test_x[1][0])
    predictions = adapted_model.predict(test_x[2][0], verbose=0)
    assert predictions.shape == (10, 1)
    np.testing.assert_allclose(predictions, logits[0], rtol=1e-4, atol=1e-5)
