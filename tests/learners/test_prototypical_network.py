"""Prototypes and logits against the paper's formulas in NumPy."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

FEATURES, WAYS, SUPPORT, QUERIES = 5, 3, 7, 4


@pytest.fixture
def network():
    return mtf.networks.mlp((FEATURES,), units=(6, 4), activation="tanh")


@pytest.fixture
def task():
    """Unequal classes in no order: 2, 4 and 1 support examples."""
    random = np.random.default_rng(0)
    support_x, query_x = (random.normal(size=(n, FEATURES)).astype("float32") for n in (SUPPORT, QUERIES))
    return support_x, np.array([1, 0, 1, 2, 1, 0, 1], "int32"), query_x


def embed(network, x):
    for kernel, bias in zip(*[iter(weight.astype("float64") for weight in network.get_weights())] * 2):
        x = np.tanh(x @ kernel + bias)
    return x


def class_means(embeddings, labels):
    return np.stack([embeddings[labels == label].mean(axis=0) for label in range(WAYS)])


def squared_euclidean(queries, prototypes):
    return -((queries[:, None] - prototypes[None]) ** 2).sum(axis=-1)


def cosine(queries, prototypes):
    products = queries @ prototypes.T
    return products / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(prototypes, axis=1)


SIMILARITIES = {"squared_euclidean": squared_euclidean, "cosine": cosine}


def logits_of(learner, task):
    return np.asarray(learner(tuple(array[None] for array in task)))[0]


def test_prototypes_are_the_mean_embeddings(network, task):
    support_x, support_y, _ = task
    state = mtf.learners.PrototypicalNetwork(network).adapt(support_x, support_y).state
    assert len(state) == 1
    expected = class_means(embed(network, support_x), support_y)
    np.testing.assert_allclose(np.asarray(state[0]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "distance, logit_scale, factor",
    [("squared_euclidean", None, 1.0), ("squared_euclidean", 0.5, 0.5), ("cosine", None, 10.0), ("cosine", 3.0, 3.0)],
)
def test_logits_follow_the_distance(network, task, distance, logit_scale, factor):
    support_x, support_y, query_x = task
    learner = mtf.learners.PrototypicalNetwork(network, distance=distance, logit_scale=logit_scale)
    prototypes = class_means(embed(network, support_x), support_y)
    expected = factor * SIMILARITIES[distance](embed(network, query_x), prototypes)
    np.testing.assert_allclose(logits_of(learner, task), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distance", SIMILARITIES)
def test_a_query_at_a_prototype_belongs_to_it(network, task, distance):
    learner = mtf.learners.PrototypicalNetwork(network, distance=distance)
    support_x = task[0][:WAYS]
    logits = logits_of(learner, (support_x, np.arange(WAYS, dtype="int32"), support_x))
    best = 0.0 if distance == "squared_euclidean" else 10.0
    np.testing.assert_allclose(np.diagonal(logits), best, atol=1e-4)
    assert (logits.argmax(axis=1) == np.arange(WAYS)).all()


def test_far_embeddings_keep_their_precision(task):
    """|q - p|² from |q|² + |p|² - 2qp loses digits to the size of the embeddings; how many is bounded here."""
    inputs = keras.Input((FEATURES,))
    learner = mtf.learners.PrototypicalNetwork(keras.Model(inputs, keras.layers.Identity()(inputs)))
    support_x, support_y, query_x = task
    far = 20.0
    expected = squared_euclidean(query_x.astype("float64"), class_means(support_x.astype("float64"), support_y))
    logits = logits_of(learner, (support_x + far, support_y, query_x + far))
    np.testing.assert_allclose(logits, expected, atol=0.01)


def test_training_follows_the_gradient_of_the_formula(task):
    """One linear layer: the gradient of the query loss, through prototypes and queries, against finite differences."""
    inputs = keras.Input((FEATURES,))
    network = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(inputs))
    support_x, support_y, query_x = task
    query_y = np.array([0, 1, 2, 0], "int32")

    def loss(kernel):
        logits = squared_euclidean(query_x @ kernel, class_means(support_x @ kernel, support_y))
        return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(QUERIES), query_y])

    start = network.get_weights()[0].astype("float64")
    expected = np.zeros_like(start)
    for index in np.ndindex(start.shape):
        step = np.zeros_like(start)
        step[index] = 1e-5
        expected[index] = (loss(start + step) - loss(start - step)) / 2e-5
    learner = mtf.learners.PrototypicalNetwork(network)
    learner.compile(optimizer=keras.optimizers.SGD(1.0))
    result = learner.train_on_batch(tuple(array[None] for array in task), query_y[None])
    np.testing.assert_allclose(result, loss(start), rtol=1e-5)
    np.testing.assert_allclose(start - network.get_weights()[0], expected, rtol=1e-3, atol=1e-5)


def test_any_number_of_ways(network):
    random = np.random.default_rng(0)
    learner = mtf.learners.PrototypicalNetwork(network)
    for ways in (1, 2, 7):
        support_x = random.normal(size=(ways, FEATURES)).astype("float32")
        adapted = learner.adapt(support_x, np.arange(ways))
        assert adapted.predict(support_x, verbose=0).shape == (ways, ways)


@pytest.mark.parametrize("argument, value", [("distance", "manhattan"), ("logit_scale", 0.0), ("logit_scale", -1.0)])
def test_bad_arguments_are_named(network, argument, value):
    with pytest.raises(ValueError, match=f"`{argument}`.*Received: "):
        mtf.learners.PrototypicalNetwork(network, **{argument: value})
