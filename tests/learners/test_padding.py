"""Tasks of different sizes in one batch give what each of them gives alone."""

import metalearn_tf as mtf
from metalearn_tf.learners.padding import pad_ways, real_examples, restore_padding

import keras
import numpy as np
import pytest
import tensorflow as tf

MOST_WAYS, FEATURES = 4, 6
# ways, shots and queries of the tasks
SIZES = [(4, 2, 3), (2, 1, 2), (3, 2, 1)]


def make_task(ways, shots, queries, seed):
    random = np.random.default_rng(seed)
    centers = random.normal(size=(ways, FEATURES))
    labels = [np.repeat(np.arange(ways), count).astype("int32") for count in (shots, queries)]
    examples = [(centers[y] + 0.3 * random.normal(size=(len(y), FEATURES))).astype("float32") for y in labels]
    return examples[0], labels[0], examples[1], labels[1]


def pad(array, length, value):
    return np.concatenate([array, np.full((length - len(array), *array.shape[1:]), value, array.dtype)])


@pytest.fixture(scope="module")
def tasks():
    return [make_task(*size, seed) for seed, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def padded(tasks):
    """All tasks as one batch, and the weights of its queries."""
    lengths = [max(len(task[part]) for task in tasks) for part in range(4)]
    parts = [
        np.stack([pad(task[part], lengths[part], value) for task in tasks]) for part, value in enumerate((0, -1, 0, -1))
    ]
    return tuple(parts[:3]), parts[3], (parts[3] >= 0).astype("float32")


def network(outputs):
    x = inputs = keras.Input((FEATURES,))
    x = mtf.networks.TaskNormalization("transductive")(keras.layers.Dense(8, activation="tanh")(x))
    return keras.Model(inputs, x if outputs is None else keras.layers.Dense(outputs)(x))


LEARNERS = {
    "PrototypicalNetwork": lambda: mtf.learners.PrototypicalNetwork(network(None)),
    "MAML": lambda: mtf.learners.MAML(network(MOST_WAYS), inner_steps=2),
    "Reptile": lambda: mtf.learners.Reptile(
        network(MOST_WAYS), inner_steps=2, inner_batch_size=100, test_inner_steps=2
    ),
}


@pytest.fixture(params=LEARNERS)
def learner(request):
    keras.utils.set_random_seed(0)
    learner = LEARNERS[request.param]()
    learner.compile(optimizer=keras.optimizers.SGD(1.0), metrics=["accuracy"])
    return learner


@pytest.mark.rows(default=["PrototypicalNetwork"])
def test_the_support_sets_padding_and_other_tasks_change_no_logit(learner, tasks, padded):
    (support_x, support_y, _), _, _ = padded
    for index, (own_x, own_y, query_x, _) in enumerate(tasks):
        queries = np.stack([query_x] * len(tasks))
        logits = np.asarray(learner((support_x, support_y, queries)))[index]
        alone = np.asarray(learner((own_x[None], own_y[None], query_x[None])))[0]
        ways = SIZES[index][0]
        np.testing.assert_allclose(logits[:, :ways], alone, rtol=1e-4, atol=1e-5)
        assert np.all(logits[:, ways:] < -1e8)  # no probability for classes that the task does not have


@pytest.mark.full
def test_a_step_on_padded_tasks_is_the_mean_of_the_steps_on_each(learner, tasks, padded):
    start = learner.get_weights()
    learner.train_on_batch(padded[0], padded[1], sample_weight=padded[2])
    step = learner.get_weights()
    steps = []
    for support_x, support_y, query_x, query_y in tasks:
        learner.set_weights(start)
        learner.train_on_batch((support_x[None], support_y[None], query_x[None]), query_y[None])
        steps.append(learner.get_weights())
    for found, values in zip(step, zip(*steps)):
        np.testing.assert_allclose(found, np.mean(values, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_training_metrics_count_real_queries_alone(learner, tasks, padded):
    start = learner.get_weights()
    found = learner.train_on_batch(padded[0], padded[1], sample_weight=padded[2], return_dict=True)
    learner.reset_metrics()
    losses, correct = [], 0
    for support_x, support_y, query_x, query_y in tasks:
        learner.set_weights(start)
        logs = learner.train_on_batch(
            (support_x[None], support_y[None], query_x[None]), query_y[None], return_dict=True
        )
        learner.reset_metrics()
        losses.append(logs["loss"])
        correct += logs["accuracy"] * len(query_y)
    np.testing.assert_allclose(found["loss"], np.mean(losses), rtol=1e-4)
    np.testing.assert_allclose(found["accuracy"], correct / sum(len(task[3]) for task in tasks), rtol=1e-5)


@pytest.mark.rows(default=["PrototypicalNetwork-1"])
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_evaluation_counts_real_queries_alone(batch_size, learner, tasks, padded):
    """The loss is the mean over tasks, as in training, and so the same for all sizes of batches."""
    x, y, weight = padded
    results = learner.evaluate(x, y, batch_size, sample_weight=weight, verbose=0, return_dict=True)
    losses, right = [], []
    for support_x, support_y, query_x, query_y in tasks:
        probabilities = learner.adapt(support_x, support_y).predict(query_x, verbose=0)
        losses.append(np.mean(-np.log(probabilities[np.arange(len(query_y)), query_y])))
        right += list(probabilities.argmax(-1) == query_y)
    np.testing.assert_allclose(results["loss"], np.mean(losses), rtol=1e-4)
    np.testing.assert_allclose(results["accuracy"], np.mean(right), rtol=1e-5)


def test_predictions_of_padded_tasks_are_those_of_each(tasks, padded):
    """`predict` knows no labels of queries: it answers padding too, which a network that sees rows alone allows."""
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp((FEATURES,), (8,)))
    (support_x, support_y, query_x), _, _ = padded
    dataset = tf.data.Dataset.from_tensor_slices(((support_x, support_y, query_x),)).batch(2)
    found = {
        "arrays": learner.predict((support_x, support_y, query_x), batch_size=3, verbose=0),
        "one batch": learner.predict_on_batch((support_x, support_y, query_x)),
        "batches": [logits for (batch,) in dataset for logits in learner.predict_on_batch(batch)],
    }
    for name, logits in found.items():
        for index, (own_x, own_y, own_queries, _) in enumerate(tasks):
            ways = SIZES[index][0]
            expected = learner.adapt(own_x, own_y).predict(own_queries, verbose=0)
            probabilities = tf.nn.softmax(logits[index], axis=-1).numpy()[: len(own_queries)]
            np.testing.assert_allclose(probabilities[:, :ways], expected, rtol=1e-4, atol=1e-6, err_msg=name)
            np.testing.assert_array_equal(probabilities[:, ways:], 0.0)


@pytest.mark.full
@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size"])
def test_the_loss_of_padded_sequences_is_that_of_each(reduction, padded):
    """MANN takes the tasks of a batch together: each by itself, its real examples in the same order, has that loss."""
    learner = mtf.learners.MANN(network(None), MOST_WAYS, 8, 6, 8, 2)
    learner.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction))
    found = learner.train_on_batch(padded[0], padded[1], sample_weight=padded[2])
    x = np.concatenate([padded[0][0], padded[0][2]], axis=1)
    y = np.concatenate([padded[0][1], padded[1]], axis=1)
    places = np.where(y >= 0, tf.random.stateless_uniform(y.shape, tf.constant([0, 0], tf.int64), alg="philox"), 2.0)
    losses = []
    for task, order in enumerate(np.argsort(places, axis=1)):
        order = order[: np.sum(y[task] >= 0)]
        logits = learner.present(x[task, order][None], y[task, order][None])
        values = -tf.nn.log_softmax(logits[0]).numpy()[np.arange(len(order)), y[task, order]]
        losses.append(np.sum(values) if reduction == "sum" else np.mean(values))
    np.testing.assert_allclose(found, np.mean(losses), rtol=1e-4)


@pytest.mark.full
def test_fit_takes_padded_tasks(learner, padded):
    tasks = tf.data.Dataset.from_tensors(padded).repeat()
    history = learner.fit(tasks, steps_per_epoch=2, epochs=3, verbose=0).history
    assert np.all(np.isfinite(history["loss"]))


@pytest.mark.full
@pytest.mark.parametrize("name", ["PrototypicalNetwork", "MAML"])
def test_tasks_of_drawn_ways_and_shots_train_and_test_one_learner(name, toy_dataset):
    tasks = mtf.data.episodes(toy_dataset, (2, MOST_WAYS), (1, 3), (1, 4), tasks_per_batch=4, uneven_shots=True)
    x = inputs = keras.Input((16, 16, 1))
    x = mtf.networks.TaskNormalization("transductive")(keras.layers.Conv2D(4, 3, strides=2, use_bias=False)(x))
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(keras.layers.ReLU()(x)))
    image_network = keras.Model(inputs, keras.layers.Dense(MOST_WAYS)(x) if name == "MAML" else x)
    learner = getattr(mtf.learners, name)(image_network)
    learner.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"])
    history = learner.fit(tasks, steps_per_epoch=30, epochs=2, validation_data=tasks.take(4), verbose=0).history
    assert history["val_accuracy"][-1] > 0.6  # chance: a third
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.rows(default=["PrototypicalNetwork"])
def test_logits_by_step_leave_padding_out(learner, tasks, padded):
    (support_x, support_y, query_x), query_y, _ = padded
    by_step = np.asarray(learner.logits_by_step((support_x, support_y, query_x), query_y))
    assert np.all(by_step[:, query_y < 0] == 0.0)
    for index, (own_x, own_y, own_queries, labels) in enumerate(tasks):
        expected = np.asarray(learner.logits_by_step((own_x[None], own_y[None], own_queries[None])))[:, 0]
        found = by_step[:, index, : len(labels), : SIZES[index][0]]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# === Bad input ===


def test_padding_without_weights_is_refused(learner, padded):
    with pytest.raises(ValueError, match="which needs a `sample_weight`"):
        learner.fit(padded[0], padded[1], verbose=0)


@pytest.mark.rows(default=["PrototypicalNetwork-support"])
@pytest.mark.parametrize("part", ["support", "queries"])
def test_a_task_of_padding_alone_is_refused(learner, padded, part):
    (support_x, support_y, query_x), query_y, weight = padded
    support_y, query_y = support_y.copy(), query_y.copy()
    (support_y if part == "support" else query_y)[1] = -1
    bad = (support_x, support_y, query_x), query_y, weight
    for train in (learner.fit, learner.train_on_batch):
        with pytest.raises(ValueError, match="-1"):
            train(bad[0], query_y, sample_weight=weight)
    # Not the first batch, which alone is looked at before the graph runs.
    tasks = tf.data.Dataset.from_tensors(padded).concatenate(tf.data.Dataset.from_tensors(bad))
    with pytest.raises(tf.errors.InvalidArgumentError, match="not padding"):
        learner.fit(tasks, verbose=0)


def test_vectorized_tasks_must_be_alike(padded):
    learner = mtf.learners.PrototypicalNetwork(network(None), task_mapping="vectorized")
    learner.compile()
    with pytest.raises(ValueError, match='`task_mapping="parallel"`'):
        learner.fit(padded[0], padded[1], sample_weight=padded[2], verbose=0)


# === The functions ===


def test_real_examples_and_back_by_hand():
    labels = tf.constant([0, -1, 2, -1])
    rows = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    kept, kept_labels = real_examples(labels, rows, labels)
    np.testing.assert_array_equal(kept, [[1.0, 2.0], [5.0, 6.0]])
    np.testing.assert_array_equal(kept_labels, [0, 2])
    np.testing.assert_array_equal(restore_padding(kept, labels), [[1.0, 2.0], [0.0, 0.0], [5.0, 6.0], [0.0, 0.0]])


def test_padded_ways_have_no_probability():
    probabilities = tf.nn.softmax(pad_ways(tf.constant([[1.0, 2.0]]), 4)).numpy()
    np.testing.assert_array_equal(probabilities[0, 2:], [0.0, 0.0])
    np.testing.assert_allclose(probabilities[0, :2], tf.nn.softmax([1.0, 2.0]), rtol=1e-6)
