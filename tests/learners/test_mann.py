"""The memory's addressing by hand, and whole sequences against the paper's equations in NumPy."""

import metalearn_tf as mtf
from metalearn_tf.learners import memory
from metalearn_tf.learners.mann import _shuffled

import keras
import numpy as np
import pytest
import tensorflow as tf

WAYS, FEATURES, LENGTH = 3, 4, 9
SIZES = {"memory_slots": 6, "memory_width": 5, "controller_units": 7, "read_heads": 2}


@pytest.fixture
def learner():
    inputs = keras.Input((FEATURES,))
    learner = mtf.learners.MANN(keras.Model(inputs, keras.layers.Identity()(inputs)), ways=WAYS, **SIZES)
    random = np.random.default_rng(0)
    for variable in learner.trainable_variables:
        variable.assign(random.normal(0.0, 0.7, variable.shape))
    return learner


@pytest.fixture
def sequence():
    random = np.random.default_rng(1)
    return random.normal(size=(LENGTH, FEATURES)).astype("float32"), random.permutation(np.arange(LENGTH) % WAYS)


# === Addressing by hand ===


def test_reading_is_a_softmax_over_cosines():
    contents = tf.constant([[[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]]])
    keys = tf.constant([[[5.0, 0.0], [1.0, 1.0]]])
    weights = memory.read_weights(keys, tf.constant([[2.0, 1.0]]), contents).numpy()[0]
    # Cosines of the first key: 1, 0 and, for an empty slot, 0; of the second 1/√2, 1/√2 and 0.
    np.testing.assert_allclose(weights[0], np.array([np.e**2, 1, 1]) / (np.e**2 + 2), rtol=1e-5)
    high = np.exp(np.sqrt(0.5))
    np.testing.assert_allclose(weights[1], np.array([high, high, 1]) / (2 * high + 1), rtol=1e-5)


def test_the_least_used_slots_come_first_and_of_equals_the_first():
    weights = memory.least_used(tf.constant([[0.5, 0.1, 0.9, 0.0], [0.0, 0.0, 0.0, 0.0]]), 2).numpy()
    np.testing.assert_array_equal(weights.argmax(axis=-1), [[3, 1], [0, 1]])
    np.testing.assert_array_equal(weights.sum(axis=-1), 1.0)


def test_writing_clears_the_least_used_slot_and_adds_the_key():
    contents = tf.constant([[[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]])
    key, gate = tf.constant([[[10.0, 20.0]]]), tf.constant([[0.25]])
    previous, unused = tf.constant([[[0.0, 0.6, 0.4]]]), tf.constant([[[1.0, 0.0, 0.0]]])
    written, weights = memory.write(contents, key, gate, previous, unused)
    np.testing.assert_allclose(weights, [[[0.75, 0.15, 0.1]]])
    np.testing.assert_allclose(written, [[[7.5, 15.0], [3.5, 5.0], [5.0, 6.0]]])


# === Whole sequences ===


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


class Transcription:
    """The paper's equations, one example and one head at a time, in float64."""

    def __init__(self, learner):
        self.weights = [np.asarray(variable, "float64") for variable in learner.trainable_variables]
        slots, width, units, heads = SIZES.values()
        self.memory, self.usage, self.reads = np.zeros((slots, width)), np.zeros(slots), np.zeros((heads, slots))
        self.read = np.zeros(heads * width)
        self.hidden, self.cell, self.label = np.zeros(units), np.zeros(units), np.zeros(WAYS)

    def show(self, x):
        kernel, recurrent, bias, interface, interface_bias, head, head_bias = self.weights
        width, heads = SIZES["memory_width"], SIZES["read_heads"]
        gates = np.concatenate([x, self.label, self.read]) @ kernel + self.hidden @ recurrent + bias
        into, forget, candidate, out = np.split(gates, 4)
        self.cell = sigmoid(forget) * self.cell + sigmoid(into) * np.tanh(candidate)
        self.hidden = sigmoid(out) * np.tanh(self.cell)
        parameters = (self.hidden @ interface + interface_bias).reshape(heads, width + 2)
        least = np.argsort(self.usage, kind="stable")[:heads]
        writes = []
        for head_index, row in enumerate(parameters):
            alpha = sigmoid(row[width] - 2.0)
            unused = np.eye(len(self.usage))[least[head_index]]
            writes.append(alpha * self.reads[head_index] + (1.0 - alpha) * unused)
        self.memory[least] = 0.0
        for written, row in zip(writes, parameters):
            self.memory += np.outer(written, np.tanh(row[:width]))
        reads = []
        for row in parameters:
            key, strength = np.tanh(row[:width]), np.log1p(np.exp(row[width + 1] + 5.0))
            norms = np.sqrt((self.memory**2).sum(axis=1) + 1e-8) * np.sqrt((key**2).sum() + 1e-8)
            reads.append(softmax(strength * (self.memory @ key) / norms))
        self.reads = np.stack(reads)
        self.usage = 0.99 * self.usage + self.reads.sum(axis=0) + np.sum(writes, axis=0)
        self.read = (self.reads @ self.memory).ravel()
        return np.concatenate([self.hidden, self.read]) @ head + head_bias

    def present(self, x, y):
        answers = []
        for example, label in zip(x, y):
            answers.append(self.show(example))
            self.label = np.eye(WAYS)[label]
        return np.stack(answers)


def test_a_sequence_follows_the_equations(learner, sequence):
    x, y = sequence
    expected = Transcription(learner).present(x, y)
    np.testing.assert_allclose(learner.present(x[None], y[None])[0], expected, rtol=1e-3, atol=1e-4)
    assert expected.std(axis=0).min() > 0.01


def test_a_query_is_the_next_presentation_after_the_support_set(learner, sequence):
    x, y = sequence
    order = _shuffled(len(y), 0).numpy()
    assert sorted(order) == list(range(len(y))) and list(order) != sorted(order)
    queries = np.random.default_rng(2).normal(size=(4, FEATURES)).astype("float32")
    logits = np.asarray(learner((x[None], y[None], queries[None])))[0]
    for query, actual in zip(queries, logits):
        shown = Transcription(learner)
        shown.present(x[order], y[order])
        np.testing.assert_allclose(actual, shown.show(query), rtol=1e-3, atol=1e-4)


@pytest.mark.full
def test_training_counts_every_presentation(learner, sequence):
    x, y = (array[None] for array in sequence)
    learner.compile(optimizer=keras.optimizers.SGD(0.0))
    for step in range(2):
        order = _shuffled(LENGTH, step).numpy()
        logits = Transcription(learner).present(x[0, order], y[0, order])
        expected = np.mean([-np.log(softmax(row)[label]) for row, label in zip(logits, y[0, order])])
        learner.reset_metrics()
        np.testing.assert_allclose(
            learner.train_on_batch((x[:, :6], y[:, :6], x[:, 6:]), y[:, 6:]), expected, rtol=1e-4
        )


@pytest.mark.full
def test_each_sequence_of_a_batch_has_an_order_of_its_own(learner, sequence):
    x, y = sequence
    batch_x, batch_y = np.stack([x, x[::-1]]), np.stack([y, y[::-1]])
    places = tf.random.stateless_uniform([2, LENGTH], tf.constant([0, 0], tf.int64), alg="philox")
    losses = []
    for task_x, task_y, order in zip(batch_x, batch_y, np.argsort(places, axis=1)):
        logits = Transcription(learner).present(task_x[order], task_y[order])
        losses += [-np.log(softmax(row)[label]) for row, label in zip(logits, task_y[order])]
    learner.compile(optimizer=keras.optimizers.SGD(0.0))
    loss = learner.train_on_batch((batch_x[:, :6], batch_y[:, :6], batch_x[:, 6:]), batch_y[:, 6:])
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-4)


@pytest.mark.full
def test_queries_of_no_weight_are_shown_and_not_counted(learner, sequence):
    x, y = (array[None] for array in sequence)
    learner.compile(optimizer=keras.optimizers.SGD(0.0))
    order = _shuffled(LENGTH, 0).numpy()
    logits = Transcription(learner).present(x[0, order], y[0, order])
    losses = np.array([-np.log(softmax(row)[label]) for row, label in zip(logits, y[0, order])])
    weights = np.array([[1.0, 0.0, 0.0]], "float32")
    counted = np.concatenate([np.ones(6), weights[0]])[order]
    loss = learner.train_on_batch((x[:, :6], y[:, :6], x[:, 6:]), y[:, 6:], sample_weight=weights)
    np.testing.assert_allclose(loss, (losses * counted).mean(), rtol=1e-4)


@pytest.mark.full
def test_it_learns_to_remember():
    """Two classes of noisy points, three of each."""
    random = np.random.default_rng(0)
    means = random.normal(0.0, 2.0, (600, 2, 1, FEATURES))
    x = (means + random.normal(0.0, 0.1, (600, 2, 3, FEATURES))).astype("float32").reshape(-1, 6, FEATURES)
    y = np.tile(np.repeat(np.arange(2, dtype="int32"), 3), (600, 1))
    inputs = keras.Input((FEATURES,))
    network = keras.Model(inputs, keras.layers.Identity()(inputs))
    learner = mtf.learners.MANN(network, ways=2, memory_slots=8, memory_width=8, controller_units=32, read_heads=1)
    learner.compile(optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
    tasks = (x[:480, :-1], y[:480, :-1], x[:480, -1:]), y[:480, -1:]
    learner.fit(*tasks, batch_size=8, epochs=5, verbose=0)
    order = random.permuted(np.tile(np.arange(6), (120, 1)), axis=1)
    x, y = np.take_along_axis(x[480:], order[..., None], axis=1), np.take_along_axis(y[480:], order, axis=1)
    right = learner.present(x, y).numpy().argmax(axis=-1) == y
    seen_before = np.cumsum(np.eye(2)[y], axis=1)[np.arange(120)[:, None], np.arange(6), y] > 1
    assert right[seen_before].mean() > 0.8


def test_fewer_ways_than_it_has(learner, sequence):
    x, y = sequence
    adapted = learner.adapt(x[y < 2], y[y < 2])
    assert adapted.predict(x, verbose=0).shape == (LENGTH, 2)


@pytest.mark.parametrize(
    "argument, value",
    [
        ("ways", 0),
        ("memory_slots", 1.0),
        ("memory_width", 0),
        ("controller_units", -1),
        ("read_heads", 0),
        ("read_heads", 129),
        ("usage_decay", 1.0),
        ("usage_decay", -0.1),
    ],
)
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be .*Received: "):
        mtf.learners.MANN(mtf.networks.mlp((4,)), **{argument: value})


def test_feature_maps_are_refused():
    with pytest.raises(ValueError, match="`network` must put out vectors.*Received: output_shape="):
        mtf.learners.MANN(mtf.networks.conv4((16, 16, 1), filters=2, feature_map=True))
