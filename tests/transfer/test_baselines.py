"""The baselines against the paper's training in NumPy, and what is theirs alone as learners."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf

FEATURES, WAYS = 4, 3
SUPPORT_Y = np.array([0, 2, 1, 2, 1, 0, 2], "int32")
BASELINES = [mtf.transfer.Baseline, mtf.transfer.BaselinePlusPlus]


@pytest.fixture(params=BASELINES, ids=lambda baseline: baseline.__name__)
def baseline(request):
    return request.param


def identity():
    inputs = keras.Input((FEATURES,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


@pytest.fixture
def vectors():
    random = np.random.default_rng(0)
    return [random.normal(size=(n, FEATURES)).astype("float32") for n in (len(SUPPORT_Y), 5)]


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def linear(x, head):
    return x @ head[0].T + head[1]


def linear_gradients(x, head, errors):
    return [errors.T @ x, errors.sum(axis=0)]


def cosines(x, head, scale=2.0):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return scale * head[1] * (x @ (head[0] / np.linalg.norm(head[0], axis=1, keepdims=True)).T)


def cosine_gradients(x, head, errors, scale=2.0):
    """Of `scale · g · cos(x, v)`, by hand: along `v` itself the cosine does not change."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    norms = np.linalg.norm(head[0], axis=1, keepdims=True)
    directions = head[0] / norms
    by_direction = scale * head[1][:, None] * (errors.T @ x)
    by_direction -= np.sum(by_direction * directions, axis=1, keepdims=True) * directions
    return [by_direction / norms, scale * np.sum(errors * (x @ directions.T), axis=0)]


def train(x, labels, head, logits, gradients, epochs, batch_size, rate, decay, seed):
    """The paper's loop: PyTorch's SGD with momentum and dampening of 0.9."""
    head, sums = [part.astype("float64") for part in head], None
    for epoch in range(epochs):
        order = np.arange(len(x))
        if batch_size is not None:
            order = np.argsort(tf.random.stateless_uniform((len(x),), seed=(seed, epoch)))
        for start in range(0, len(x), batch_size or len(x)):
            rows = order[start : start + (batch_size or len(x))]
            errors = (softmax(logits(x[rows], head)) - np.eye(WAYS)[labels[rows]]) / len(rows)
            steps = [g + decay * part for g, part in zip(gradients(x[rows], head, errors), head)]
            sums = steps if sums is None else [0.9 * s + 0.1 * g for s, g in zip(sums, steps)]
            head = [part - rate * s for part, s in zip(head, sums)]
    return head


@pytest.mark.rows(default=["Baseline-None", "Baseline-3"])
@pytest.mark.parametrize("batch_size", [3, None])
def test_the_head_is_that_of_the_papers_loop(baseline, vectors, batch_size):
    support_x, query_x = vectors
    learner = baseline(identity(), epochs=6, batch_size=batch_size, learning_rate=0.3, weight_decay=0.02, seed=5)
    functions = (linear, linear_gradients) if baseline is mtf.transfer.Baseline else (cosines, cosine_gradients)
    first = [np.asarray(tensor) for tensor in learner.first_head(WAYS)]
    head = train(support_x, SUPPORT_Y, first, *functions, 6, batch_size, 0.3, 0.02, seed=5)
    state = [np.asarray(tensor) for tensor in learner.adapt_task(*map(tf.constant, (support_x, SUPPORT_Y)))]
    for actual, expected in zip(state, head, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    probabilities = learner.adapt(support_x, SUPPORT_Y).predict(query_x, verbose=0)
    np.testing.assert_allclose(probabilities, softmax(functions[0](query_x, head)), rtol=1e-4, atol=1e-5)


def test_one_step_by_hand():
    """From zeros all probabilities are ½: the step is half the rate times the example, for it and against the other."""
    learner = mtf.transfer.Baseline(identity(), epochs=1, batch_size=None, learning_rate=0.4, weight_decay=0.0)
    support_x = np.eye(FEATURES, dtype="float32")[:2]
    weights, biases = learner.adapt_task(tf.constant(support_x), tf.constant([0, 1]))
    expected = 0.4 / 2 / 2 * np.array([[1.0, -1.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(weights, expected, atol=1e-7)
    np.testing.assert_allclose(biases, 0.0, atol=1e-7)


def test_the_first_vectors_are_those_of_a_random_layer_with_their_lengths():
    learner = mtf.transfer.BaselinePlusPlus(identity(), seed=1)
    directions, lengths = (np.asarray(tensor) for tensor in learner.first_head(200))
    assert 0.48 < np.abs(directions).max() <= 0.5 and abs(directions.mean()) < 0.05
    np.testing.assert_allclose(lengths, np.linalg.norm(directions, axis=1), rtol=1e-6)
    other = mtf.transfer.BaselinePlusPlus(identity(), seed=2).first_head(200)[0]
    assert not np.array_equal(directions, other)


def test_one_learner_takes_any_ways_and_adapts_alike_each_time(baseline, vectors):
    learner = baseline(identity(), epochs=3)
    for ways in (2, 3, 5):
        support_y = np.arange(len(SUPPORT_Y)) % ways
        adapted = [learner.adapt(vectors[0], support_y).predict(vectors[1], verbose=0) for _ in range(2)]
        assert adapted[0].shape == (5, ways)
        np.testing.assert_array_equal(*adapted)


@pytest.mark.rows(default=["Baseline"])
def test_the_defaults_are_the_papers_and_learn(baseline, toy_dataset):
    inputs = keras.Input((16, 16, 1))
    learner = baseline(keras.Model(inputs, keras.layers.Flatten()(inputs)))
    config = learner.get_config()
    assert [config[key] for key in ("epochs", "batch_size", "learning_rate", "weight_decay")] == [100, 4, 0.01, 0.001]
    report = mtf.evaluation.evaluate_episodes(learner, toy_dataset, ways=5, shots=1, queries=3, episodes=4)
    assert report.accuracy > 0.9


def test_a_baseline_is_not_meta_trained(baseline, toy_dataset):
    learner = baseline(identity())
    learner.compile()
    task = (np.zeros((1, 2, FEATURES), "float32"), np.array([[0, 1]]), np.zeros((1, 1, FEATURES), "float32"))
    for train in (learner.fit, learner.train_on_batch):
        with pytest.raises(NotImplementedError, match="train its network with `mtf.transfer.pretrain`"):
            train(task, np.zeros((1, 1), "int32"))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"epochs": 0}, "`epochs` must be a positive integer"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"learning_rate": 0.0}, "`learning_rate` must be a positive number"),
        ({"weight_decay": -0.1}, "`weight_decay` must be a number of at least 0"),
        ({"network": mtf.networks.conv4((16, 16, 1), filters=2, feature_map=True)}, r"`network`.*shape \(batch, d\)"),
    ],
)
def test_options_out_of_range_are_refused(baseline, options, message):
    with pytest.raises(ValueError, match=message):
        baseline(**{"network": identity(), **options})


def test_the_scale_of_cosines_is_positive():
    with pytest.raises(ValueError, match="`scale` must be a positive number"):
        mtf.transfer.BaselinePlusPlus(identity(), scale=0)
