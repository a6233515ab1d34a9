"""What each normalisation means for a learner: which statistics act on which examples."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

TASKS, SUPPORT, QUERIES, FEATURES, WIDTH, WAYS = 3, 6, 5, 4, 3, 2
EPSILON = 1e-3


def network(normalization, outputs=None):
    return mtf.networks.mlp((FEATURES,), units=(WIDTH,), outputs=outputs, normalization=normalization)


def random_batch():
    random = np.random.default_rng(0)
    support_x = random.normal(1.0, 2.0, (TASKS, SUPPORT, FEATURES)).astype("float32")
    query_x = random.normal(-1.0, 3.0, (TASKS, QUERIES, FEATURES)).astype("float32")
    labels = [np.tile(np.arange(n) % WAYS, (TASKS, 1)).astype("int32") for n in (SUPPORT, QUERIES)]
    return (support_x, labels[0], query_x), labels[1]


def prototypical_logits(kernel, task, support_statistics, query_statistics):
    """Logits of a prototypical network with one normalised ReLU layer; scale and offset are 1 and 0."""
    support_x, support_y, query_x = task

    def embed(x, statistics):
        mean, variance = statistics
        return np.maximum((x @ kernel - mean) / np.sqrt(variance + EPSILON), 0.0)

    support = embed(support_x, support_statistics)
    prototypes = np.stack([support[support_y == label].mean(axis=0) for label in range(WAYS)])
    return -((embed(query_x, query_statistics)[:, None] - prototypes) ** 2).sum(axis=-1)


def moments(values):
    return values.mean(axis=0), values.var(axis=0)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("normalization", ["transductive", "support", "running"])
def test_logits_use_the_declared_statistics(normalization, training):
    x, _ = random_batch()
    learner = mtf.learners.PrototypicalNetwork(network(normalization))
    kernel = learner.network.get_weights()[0].astype("float64")
    logits = np.asarray(learner(x, training=training))
    for task, actual in zip(zip(*x), logits):
        of_support, of_queries = moments(task[0] @ kernel), moments(task[2] @ kernel)
        initial = np.zeros(WIDTH), np.ones(WIDTH)
        statistics = {
            "transductive": (of_support, of_queries),
            "support": (of_support, of_support),
            # Batch statistics in training, as in every batch normalisation.
            "running": (of_support, of_queries) if training else (initial, initial),
        }[normalization]
        expected = prototypical_logits(kernel, task, *statistics)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


LEARNERS = {
    "MAML": lambda normalization: mtf.learners.MAML(
        network(normalization, WAYS), inner_steps=1, inner_learning_rate=0.1
    ),
    "PrototypicalNetwork": lambda normalization: mtf.learners.PrototypicalNetwork(network(normalization)),
}


@pytest.mark.rows(default=["running-False-PrototypicalNetwork", "support-False-PrototypicalNetwork"])
@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("normalization, depends", [("transductive", True), ("support", False), ("running", False)])
def test_whether_a_prediction_depends_on_the_other_queries(name, normalization, depends):
    (support_x, support_y, query_x), _ = random_batch()
    learner = LEARNERS[name](normalization)
    adapted = learner.adapt(support_x[0], support_y[0])
    together = adapted.predict(query_x[0], verbose=0)[:2]
    apart = adapted.predict(query_x[0][:2], verbose=0)
    assert np.allclose(together, apart, rtol=1e-4, atol=1e-5) is not depends
    logits = np.asarray(learner((support_x, support_y, query_x)))[:, :2]
    logits_apart = np.asarray(learner((support_x, support_y, query_x[:, :2])))
    assert np.allclose(logits, logits_apart, rtol=1e-4, atol=1e-5) is not depends


@pytest.mark.rows(
    default=["running-PrototypicalNetwork", "support-PrototypicalNetwork", "transductive-PrototypicalNetwork"]
)
@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("normalization", ["transductive", "support", "running"])
def test_tasks_of_a_batch_do_not_touch_each_other(name, normalization):
    x, _ = random_batch()
    learner = LEARNERS[name](normalization)
    together = np.asarray(learner(x))
    for task in range(TASKS):
        alone = np.asarray(learner(tuple(array[task : task + 1] for array in x)))[0]
        np.testing.assert_allclose(together[task], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.rows(default=["parallel"])
@pytest.mark.parametrize("mapping", ["parallel", "vectorized"])
def test_running_averages_move_to_the_mean_over_tasks(mapping):
    """Each task averages its support set and its queries alike; the batch takes the mean of the results.

    The variance is the unbiased one, as in Keras's fused batch normalisation.
    """
    (support_x, support_y, query_x), query_y = random_batch()
    learner = mtf.learners.PrototypicalNetwork(network("running"), task_mapping=mapping)
    kernel = learner.network.get_weights()[0].astype("float64")
    # A rate of zero leaves the weights as they are; what moves is the averages.
    learner.compile(optimizer=keras.optimizers.SGD(0.0))
    learner.train_on_batch((support_x, support_y, query_x), query_y)
    averages = []
    for task in range(TASKS):
        sets = [x @ kernel for x in (support_x[task], query_x[task])]
        averages.append((np.mean([x.mean(axis=0) for x in sets], axis=0), np.mean([x.var(0, ddof=1) for x in sets], 0)))
    layer = next(layer for layer in learner.network.layers if isinstance(layer, mtf.networks.TaskNormalization))
    for actual, expected in zip((layer.mean, layer.variance), np.mean(averages, axis=0)):
        np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-4, atol=1e-5)
    assert int(layer.batches) == 2


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("name", LEARNERS)
def test_only_training_moves_the_running_averages(name):
    x, y = random_batch()
    learner = LEARNERS[name]("running")
    learner.compile(optimizer=keras.optimizers.SGD(0.0))
    before = learner.get_weights()
    learner.evaluate(x, y, verbose=0)
    learner.predict(x, verbose=0)
    learner.adapt(x[0][0], x[1][0])
    for one, other in zip(learner.get_weights(), before):
        np.testing.assert_array_equal(one, other)
    learner.train_on_batch(x, y)
    assert any(not np.array_equal(one, other) for one, other in zip(learner.get_weights(), before))


@pytest.mark.parametrize("normalization", ["transductive", "support", "running"])
def test_learners_say_their_normalization(normalization):
    assert LEARNERS["MAML"](normalization).normalization == normalization


def test_keras_batch_normalization_trains_and_counts_as_running():
    inputs = keras.Input((FEATURES,))
    outputs = keras.layers.BatchNormalization()(keras.layers.Dense(WIDTH)(inputs))
    learner = mtf.learners.PrototypicalNetwork(keras.Model(inputs, outputs))
    learner.compile()
    batch = random_batch()
    assert np.isfinite(learner.train_on_batch(*batch))
    assert learner.normalization == "running"
    assert np.abs(np.asarray(learner.network.layers[-1].moving_mean)).max() > 0


def test_dropout_acts_in_training_alone():
    inputs = keras.Input((FEATURES,))
    learner = mtf.learners.PrototypicalNetwork(keras.Model(inputs, keras.layers.Dropout(0.5, seed=1)(inputs)))
    x, _ = random_batch()
    evaluations = [np.asarray(learner(x)) for _ in range(2)]
    np.testing.assert_array_equal(*evaluations)
    assert not np.allclose(np.asarray(learner(x, training=True)), evaluations[0])


def test_each_training_step_drops_other_units():
    inputs = keras.Input((FEATURES,))
    outputs = keras.layers.Dropout(0.5, seed=1)(keras.layers.Dense(WIDTH)(inputs))
    learner = mtf.learners.PrototypicalNetwork(keras.Model(inputs, outputs))
    learner.compile(optimizer=keras.optimizers.SGD(0.0))
    losses = set()
    for _ in range(4):
        losses.add(float(learner.train_on_batch(*random_batch())))
        learner.reset_metrics()
    assert len(losses) == 4
