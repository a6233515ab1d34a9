"""Attention over the support set against the paper's formulas in NumPy, and by hand."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

SUPPORT_Y = np.array([1, 0, 1, 2, 1, 0, 1], "int32")  # unequal classes in no order
WAYS = 3


def identity_network(features):
    inputs = keras.Input((features,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def attention(queries, support, scale):
    cosines = queries @ support.T
    cosines /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(support, axis=1)
    exponentials = np.exp(scale * cosines)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_probabilities_are_the_attention_summed_by_class(scale):
    random = np.random.default_rng(0)
    support_x, query_x = (random.normal(size=(n, 5)).astype("float32") for n in (7, 4))
    learner = mtf.learners.MatchingNetwork(identity_network(5), logit_scale=scale)
    expected = attention(query_x.astype("float64"), support_x.astype("float64"), scale) @ np.eye(WAYS)[SUPPORT_Y]
    # The logits are the logarithms of probabilities: they need no softmax to sum to one.
    logits = np.asarray(learner((support_x[None], SUPPORT_Y[None], query_x[None])))[0]
    np.testing.assert_allclose(np.exp(logits), expected, rtol=1e-4)
    np.testing.assert_allclose(learner.adapt(support_x, SUPPORT_Y).predict(query_x, verbose=0), expected, rtol=1e-4)


def test_by_hand():
    """Two support examples at right angles, a query along the first: e / (e + 1)."""
    learner = mtf.learners.MatchingNetwork(identity_network(2))
    support_x = np.array([[3, 0], [0, 0.5]], "float32")
    probabilities = learner.adapt(support_x, np.arange(2)).predict(np.array([[7, 0]], "float32"), verbose=0)
    np.testing.assert_allclose(probabilities, [[np.e / (np.e + 1), 1 / (np.e + 1)]], rtol=1e-5)


def test_a_class_without_examples_gets_no_probability_and_finite_gradients():
    learner = mtf.learners.MatchingNetwork(mtf.networks.mlp((5,), units=(4,), activation="tanh"))
    learner.compile(optimizer=keras.optimizers.SGD(1.0))
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 4, 5)).astype("float32")
    # The second task has no example of class 1, which the batch has.
    labels = np.array([[0, 1, 0, 1], [0, 0, 0, 0]], "int32")
    logits = np.asarray(learner((x, labels, x)))
    assert (logits[1, :, 1] < -1e8).all()
    learner.train_on_batch((x, labels, x), labels)
    assert all(np.isfinite(weights).all() for weights in learner.get_weights())


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_bad_arguments_are_named(value):
    with pytest.raises(ValueError, match="`logit_scale` must be a positive number.*Received: "):
        mtf.learners.MatchingNetwork(identity_network(2), logit_scale=value)
