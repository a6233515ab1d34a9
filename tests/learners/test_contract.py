"""What every learner does as a Keras model: one suite, one line a learner."""

import functools
import importlib.util

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

# These two run all of it by default. The full gate runs all for every learner.
pytestmark = pytest.mark.rows(default=["MAML", "PrototypicalNetwork"])

WAYS, SHOTS, QUERIES, TASKS = 3, 2, 3, 4


IMPROVEMENTS = {
    "inner_steps": 2,
    "inner_learning_rate": 0.1,
    "first_order": "annealed",
    "learned_rates": True,
    "per_step_normalization": True,
    "multi_step_loss": True,
    "annealing_steps": 2,
}
# Few steps, since each of them is compiled.
ONE_STEP = {"inner_steps": 1, "inner_learning_rate": 0.4}
# `network` makes a backbone from its number of outputs; `None` for an embedding.
LEARNERS = {
    "MAML": lambda network, **options: mtf.learners.MAML(network(outputs=WAYS), **ONE_STEP, **options),
    "MAML++": lambda network, **options: mtf.learners.MAML(network(outputs=WAYS), **IMPROVEMENTS, **options),
    "ANIL": lambda network, **options: mtf.learners.ANIL(network(outputs=WAYS), **ONE_STEP, **options),
    "MetaSGD": lambda network, **options: mtf.learners.MetaSGD(network(outputs=WAYS), **ONE_STEP, **options),
    "MetaLSTM": lambda network, **options: mtf.learners.MetaLSTM(network(outputs=WAYS), inner_steps=2, **options),
    "Reptile": lambda network, **options: mtf.learners.Reptile(
        network(outputs=WAYS),
        inner_optimizer=keras.optimizers.Adam(0.01, beta_1=0.0),
        inner_steps=3,
        test_inner_steps=10,
        **options,
    ),
    "PrototypicalNetwork": lambda network, **options: mtf.learners.PrototypicalNetwork(
        network(outputs=None), **options
    ),
    "Ensemble": lambda network, **options: mtf.learners.Ensemble(
        [
            mtf.learners.PrototypicalNetwork(network(outputs=None)),
            mtf.learners.MAML(network(outputs=WAYS), inner_steps=1, inner_learning_rate=0.1),
        ],
        **options,
    ),
    "MANN": lambda network, **options: mtf.learners.MANN(
        network(outputs=None), ways=WAYS, memory_slots=8, memory_width=6, controller_units=16, read_heads=2, **options
    ),
    "MatchingNetwork": lambda network, **options: mtf.learners.MatchingNetwork(network(outputs=None), **options),
    "NearestNeighbor": lambda network, **options: mtf.learners.NearestNeighbor(network(outputs=None), **options),
    "RelationNetwork": lambda network, **options: mtf.learners.RelationNetwork(network(outputs=None), **options),
    # Steps on all of the support set, whose order is of no account then.
    "Baseline": lambda network, **options: mtf.transfer.Baseline(
        network(outputs=None), epochs=5, batch_size=None, learning_rate=0.1, **options
    ),
    "BaselinePlusPlus": lambda network, **options: mtf.transfer.BaselinePlusPlus(
        network(outputs=None), epochs=5, batch_size=None, learning_rate=0.1, **options
    ),
}

# Of learners that are not trained.
TRAINING = [
    "test_fit_learns",
    "test_a_learner_needs_nothing_but_its_network",
    "test_train_on_batch_lowers_the_loss_of_its_batch",
    "test_keras_callbacks_do_what_they_do_for_any_model",
    "test_saving_keeps_predictions_optimizer_and_configuration",
    "test_a_loaded_learner_trains_on_as_if_never_stopped",
    "test_adapting_changes_neither_the_learner_nor_earlier_adapted_models",
    "test_adapting_follows_the_training_between",
    "test_labels_may_be_of_any_integer_type",
    "test_parallel_and_vectorized_tasks_give_the_same_step",
    "test_a_step_on_a_batch_is_the_mean_of_the_steps_on_its_tasks",
    "test_queries_of_no_weight_teach_nothing",
    "test_mixed_precision_trains_and_predicts_closely",
    "test_float16_gradients_are_scaled_whatever_the_policy_of_the_moment",
]
# What does not apply to a learner, and why.
EXCEPTIONS = {
    "Ensemble": ("an ensemble is not trained", TRAINING),
    "Baseline": ("a baseline is not meta-trained", TRAINING),
    "BaselinePlusPlus": ("a baseline is not meta-trained", TRAINING),
    "MANN": (
        "a sequence has an order, its labels are inputs, and it is learned in hundreds of steps: see test_mann.py",
        [
            "test_fit_learns",
            "test_the_order_of_the_support_set_is_of_no_account",
            "test_a_step_on_a_batch_is_the_mean_of_the_steps_on_its_tasks",
            "test_queries_of_no_weight_teach_nothing",
        ],
    ),
}


@pytest.fixture(autouse=True)
def _applies(request):
    reason, tests = EXCEPTIONS.get(request.node.callspec.params.get("build"), ("", []))
    if request.node.originalname in tests:
        pytest.skip(reason)


def conv4():
    return functools.partial(mtf.networks.conv4, (16, 16, 1), filters=4, normalization="transductive")


def one_block(normalization):
    """A network of the user's own with one convolution, which compiles sooner than four."""

    def network(outputs):
        x = inputs = keras.Input((16, 16, 1))
        x = keras.layers.Conv2D(4, 3, strides=2, use_bias=False)(x)
        x = mtf.networks.TaskNormalization(normalization)(x)
        x = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(keras.layers.ReLU()(x)))
        return keras.Model(inputs, x if outputs is None else keras.layers.Dense(outputs)(x))

    return network


def vectors():
    return functools.partial(mtf.networks.mlp, (16, 16, 1), units=(8,), activation="tanh")


NORMALIZATIONS = ("transductive", "support", "running")


@pytest.fixture(params=LEARNERS, scope="module")
def build(request):
    return LEARNERS[request.param]


@pytest.fixture(scope="module")
def tasks(toy_tasks):
    """Batches of tasks of a seed."""
    return functools.partial(toy_tasks, WAYS, SHOTS, QUERIES, TASKS)


@pytest.fixture(scope="module")
def batch(tasks):
    """One batch of tasks, as NumPy arrays, which no test may change."""
    x, query_y = next(tasks(seed=100).as_numpy_iterator())
    for array in (*x, query_y):
        array.setflags(write=False)
    return x, query_y


@pytest.fixture(scope="module")
def trained_file(build, tasks, tmp_path_factory):
    """A file with a learner that four steps have trained, optimizer included, so that tests need not train one."""
    keras.utils.set_random_seed(0)
    learner = build(vectors())
    learner.compile(optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
    if not isinstance(learner, (mtf.learners.Ensemble, mtf.transfer.Baseline)):
        learner.fit(tasks(seed=0), steps_per_epoch=4, verbose=0)
    path = tmp_path_factory.mktemp("learner") / "learner.keras"
    learner.save(path)
    return path


@pytest.fixture
def trained(trained_file):
    return keras.models.load_model(trained_file)


def first_task(batch):
    (support_x, support_y, query_x), query_y = batch
    return support_x[0], support_y[0], query_x[0], query_y[0]


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def assert_same_weights(actual, expected, rtol=1e-5, atol=1e-6):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


# === Training ===


@pytest.mark.parametrize(
    "network",
    [
        one_block("transductive"),
        # What differs by normalisation is in the step, which other tests compare for each.
        *(pytest.param(network, marks=pytest.mark.slow) for network in (conv4(), *map(one_block, NORMALIZATIONS[1:]))),
    ],
    ids=["transductive", "conv4", "support", "running"],
)
def test_fit_learns(build, tasks, network):
    learner = build(network)
    learner.compile(optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
    history = learner.fit(tasks(seed=0), steps_per_epoch=20, epochs=2, verbose=0).history
    assert history["accuracy"][-1] > 0.6  # chance: 0.33
    assert history["loss"][-1] < history["loss"][0]


def test_a_learner_needs_nothing_but_its_network(build, batch):
    learner = build(vectors())
    assert isinstance(learner, mtf.learners.MetaLearner)
    assert learner(batch[0]).shape == (TASKS, WAYS * QUERIES, WAYS)
    learner.compile()
    assert np.isfinite(learner.train_on_batch(*batch))


def test_evaluation_is_the_mean_over_all_queries(trained, tasks):
    batches = list(tasks(seed=7).take(3).as_numpy_iterator())
    logits = np.concatenate([trained.predict_on_batch(x) for x, _ in batches])
    labels = np.concatenate([query_y for _, query_y in batches])
    chosen = np.take_along_axis(softmax(logits), labels[..., None], axis=-1)
    results = trained.evaluate(tasks(seed=7), steps=3, verbose=0, return_dict=True)
    np.testing.assert_allclose(results["loss"], -np.log(chosen).mean(), rtol=1e-4)
    np.testing.assert_allclose(results["accuracy"], (logits.argmax(-1) == labels).mean(), rtol=1e-5)


def test_a_loss_of_sums_is_the_mean_over_tasks_of_the_sum_over_queries(build, batch):
    x, query_y = batch
    learner = build(vectors())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    learner.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss)
    expected = np.mean([loss(labels, logits) for labels, logits in zip(query_y, learner(x))])
    np.testing.assert_allclose(learner.evaluate(x, query_y, verbose=0), expected, rtol=1e-4)


def test_predict_and_call_agree(trained, tasks, batch):
    x, _ = batch
    expected = np.asarray(trained(x))
    np.testing.assert_allclose(trained.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(trained.predict(tasks(seed=100), steps=1, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_evaluation_and_prediction_change_no_weight(trained, tasks, batch):
    before = trained.get_weights()
    trained.evaluate(tasks(seed=3), steps=1, verbose=0)
    trained.predict(batch[0], verbose=0)
    assert_same_weights(trained.get_weights(), before, rtol=0, atol=0)


def test_train_on_batch_lowers_the_loss_of_its_batch(build, batch):
    learner = build(vectors())
    learner.compile(optimizer=keras.optimizers.Adam(0.01))
    losses = [float(learner.train_on_batch(*batch)) for _ in range(10)]
    learner.reset_metrics()
    assert float(learner.evaluate(*batch, verbose=0)) < losses[0]


def test_keras_callbacks_do_what_they_do_for_any_model(build, tasks, tmp_path):
    board = [keras.callbacks.TensorBoard(str(tmp_path))] if importlib.util.find_spec("tensorboard") else []
    learner = build(vectors())
    learner.compile(metrics=["accuracy"])
    checkpoint = tmp_path / "best.keras"
    history = learner.fit(
        tasks(seed=0),
        steps_per_epoch=2,
        epochs=5,
        validation_data=tasks(seed=1),
        validation_steps=2,
        verbose=0,
        callbacks=[
            keras.callbacks.ModelCheckpoint(str(checkpoint), monitor="val_loss"),
            # No epoch improves by so much, so that training stops after the second.
            keras.callbacks.EarlyStopping("val_accuracy", mode="max", min_delta=2.0, patience=1),
            *board,
        ],
    )
    assert len(history.epoch) == 2
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert_same_weights(keras.models.load_model(checkpoint).get_weights(), learner.get_weights(), atol=0, rtol=0)
    for part in ("train", "validation") if board else ():
        assert sum(file.stat().st_size for file in (tmp_path / part).glob("events*")) > 0


# === Saving ===


def test_saving_keeps_predictions_optimizer_and_configuration(trained, batch, tmp_path):
    trained.save(tmp_path / "again.keras")
    loaded = keras.models.load_model(tmp_path / "again.keras")
    assert type(loaded) is type(trained)
    np.testing.assert_array_equal(loaded.predict(batch[0], verbose=0), trained.predict(batch[0], verbose=0))
    assert loaded.get_config().keys() == trained.get_config().keys()
    assert int(loaded.optimizer.iterations) == 4
    assert_same_weights(
        [np.asarray(v) for v in loaded.optimizer.variables], [np.asarray(v) for v in trained.optimizer.variables], 0, 0
    )


def test_a_loaded_learner_trains_on_as_if_never_stopped(build, tasks, tmp_path):
    uninterrupted = build(one_block("running"))
    uninterrupted.compile(optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
    uninterrupted.fit(tasks(seed=5), steps_per_epoch=2, verbose=0)
    uninterrupted.save(tmp_path / "half.keras")
    rest = tasks(seed=5).skip(2)
    expected = uninterrupted.fit(rest, steps_per_epoch=3, verbose=0).history
    resumed = keras.models.load_model(tmp_path / "half.keras")
    history = resumed.fit(rest, steps_per_epoch=3, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-4)
    assert history["accuracy"] == expected["accuracy"]
    assert_same_weights(resumed.get_weights(), uninterrupted.get_weights(), rtol=1e-4, atol=1e-5)


def test_a_learner_is_saved_before_its_first_step(build, tmp_path):
    learner = build(vectors())
    learner.compile(optimizer=keras.optimizers.Adam(0.01))
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert_same_weights(loaded.get_weights(), learner.get_weights(), 0, 0)
    assert len(loaded.optimizer.variables) == len(learner.optimizer.variables)


def test_configuration_makes_an_equal_learner(trained, batch):
    config = trained.get_config()
    rebuilt = type(trained).from_config(config)
    rebuilt.set_weights(trained.get_weights())
    np.testing.assert_array_equal(np.asarray(rebuilt(batch[0])), np.asarray(trained(batch[0])))
    again = rebuilt.get_config()
    nested = ("network", "learners")  # their layers are numbered anew
    assert {k: again[k] for k in again if k not in nested} == {k: config[k] for k in config if k not in nested}


def test_weights_alone_are_saved_and_loaded(build, trained, batch, tmp_path):
    trained.save_weights(tmp_path / "learner.weights.h5")
    other = build(vectors())
    other.load_weights(tmp_path / "learner.weights.h5")
    np.testing.assert_array_equal(np.asarray(other(batch[0])), np.asarray(trained(batch[0])))


# === Adapting ===


def test_adapted_models_give_the_probabilities_of_the_learner(trained, batch):
    support_x, support_y, query_x, _ = first_task(batch)
    adapted = trained.adapt(support_x, support_y)
    probabilities = adapted.predict(query_x, verbose=0)
    assert isinstance(adapted, keras.Model)
    assert probabilities.shape == (WAYS * QUERIES, WAYS) and probabilities.dtype == np.float32
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    logits = np.asarray(trained((support_x[None], support_y[None], query_x[None])))[0]
    np.testing.assert_allclose(probabilities, softmax(logits), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_adapted_models_agree_with_the_learner_for_each_normalization(build, batch, normalization):
    support_x, support_y, query_x, _ = first_task(batch)
    learner = build(one_block(normalization))
    logits = np.asarray(learner((support_x[None], support_y[None], query_x[None])))[0]
    adapted = learner.adapt(support_x, support_y)
    np.testing.assert_allclose(adapted.predict(query_x, verbose=0), softmax(logits), rtol=1e-3, atol=1e-5)


def test_the_order_of_the_support_set_is_of_no_account(trained, batch):
    support_x, support_y, query_x, _ = first_task(batch)
    order = np.random.default_rng(0).permutation(len(support_y))
    shuffled = trained.adapt(support_x[order], support_y[order]).predict(query_x, verbose=0)
    expected = trained.adapt(support_x, support_y).predict(query_x, verbose=0)
    np.testing.assert_allclose(shuffled, expected, rtol=1e-4, atol=1e-5)


def test_adapting_changes_neither_the_learner_nor_earlier_adapted_models(trained, batch):
    support_x, support_y, query_x, _ = first_task(batch)
    before = trained.get_weights()
    adapted = trained.adapt(support_x, support_y)
    expected = adapted.predict(query_x, verbose=0)
    trained.adapt(support_x[::-1], support_y)
    assert_same_weights(trained.get_weights(), before, rtol=0, atol=0)
    trained.train_on_batch(*batch)
    assert any(not np.array_equal(one, other) for one, other in zip(trained.get_weights(), before))
    np.testing.assert_array_equal(adapted.predict(query_x, verbose=0), expected)


def test_adapting_follows_the_training_between(trained, batch):
    support_x, support_y, query_x, _ = first_task(batch)
    trained.adapt(support_x, support_y)
    trained.train_on_batch(*batch)
    after = trained.adapt(support_x, support_y).predict(query_x, verbose=0)
    logits = np.asarray(trained((support_x[None], support_y[None], query_x[None])))[0]
    np.testing.assert_allclose(after, softmax(logits), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_adapted_models_are_saved_and_loaded(build, trained, batch, tmp_path, compiled):
    support_x, support_y, query_x, _ = first_task(batch)
    learner = trained if compiled else build(vectors())
    adapted = learner.adapt(support_x, support_y)
    adapted.save(tmp_path / "adapted.keras")
    loaded = keras.models.load_model(tmp_path / "adapted.keras")
    np.testing.assert_array_equal(loaded.predict(query_x, verbose=0), adapted.predict(query_x, verbose=0))


def test_freezing_an_adapted_model_changes_no_prediction(trained, batch):
    support_x, support_y, query_x, _ = first_task(batch)
    adapted = trained.adapt(support_x, support_y)
    expected = np.asarray(adapted(query_x))
    adapted.trainable = False
    np.testing.assert_allclose(np.asarray(adapted(query_x)), expected, rtol=1e-5, atol=1e-6)


def test_uint8_images_are_scaled_for_support_and_queries_alike(trained, batch):
    support_x, support_y, query_x, _ = first_task(batch)
    as_bytes = [np.round(255 * x).astype("uint8") for x in (support_x, query_x)]
    from_bytes = trained.adapt(as_bytes[0], support_y).predict(as_bytes[1], verbose=0)
    expected = trained.adapt(support_x, support_y).predict(query_x, verbose=0)
    np.testing.assert_allclose(from_bytes, expected, rtol=1e-4, atol=1e-5)


def test_labels_may_be_of_any_integer_type(trained, batch):
    (support_x, support_y, query_x), query_y = batch
    expected = np.asarray(trained(batch[0]))
    logits = trained((support_x, support_y.astype("int64"), query_x))
    np.testing.assert_allclose(np.asarray(logits), expected, rtol=1e-5, atol=1e-6)
    loss = trained.train_on_batch((support_x, support_y.astype("int64"), query_x), query_y.astype("int64"))
    assert np.all(np.isfinite(loss))


# === How the tasks are run ===


@pytest.mark.parametrize("normalization", ["transductive", "running", pytest.param("support", marks=pytest.mark.slow)])
def test_parallel_and_vectorized_tasks_give_the_same_step(build, batch, normalization):
    predictions, weights = [], []
    for mapping in ("parallel", "vectorized"):
        keras.utils.set_random_seed(0)
        learner = build(one_block(normalization), task_mapping=mapping)
        # Plain gradient descent, since Adam makes steps of one size out of rounding errors.
        learner.compile(optimizer=keras.optimizers.SGD(0.1))
        predictions.append(np.asarray(learner(batch[0])))
        learner.train_on_batch(*batch)
        weights.append(learner.get_weights())
    np.testing.assert_allclose(predictions[1], predictions[0], rtol=1e-4, atol=1e-4)
    assert_same_weights(weights[1], weights[0], rtol=1e-4, atol=1e-5)


def test_a_step_on_a_batch_is_the_mean_of_the_steps_on_its_tasks(build, batch):
    (support_x, support_y, query_x), query_y = batch
    start = build(vectors())
    steps = []
    for tasks in (slice(None), *(slice(task, task + 1) for task in range(TASKS))):
        learner = start.copy()
        learner.compile(optimizer=keras.optimizers.SGD(1.0))
        learner.train_on_batch((support_x[tasks], support_y[tasks], query_x[tasks]), query_y[tasks])
        steps.append(learner.get_weights())
    assert_same_weights(steps[0], [np.mean(values, axis=0) for values in zip(*steps[1:])])


def test_queries_of_no_weight_teach_nothing(build, batch):
    x, query_y = batch
    weights = np.ones(query_y.shape, "float32")
    weights[:, ::2] = 0.0
    other_y = np.where(weights == 0.0, (query_y + 1) % WAYS, query_y)
    start, steps = build(vectors()), []
    for labels in (query_y, other_y):
        learner = start.copy()
        learner.compile(optimizer=keras.optimizers.SGD(1.0))
        learner.train_on_batch(x, labels, sample_weight=weights)
        steps.append(learner.get_weights())
    assert_same_weights(*steps)
    assert any(not np.array_equal(one, other) for one, other in zip(steps[0], start.get_weights()))


# === Mixed precision ===


@pytest.mark.parametrize("policy, normalization", [("mixed_bfloat16", "transductive"), ("mixed_float16", "support")])
def test_mixed_precision_trains_and_predicts_closely(build, batch, policy, normalization):
    support_x, support_y, query_x, _ = first_task(batch)
    single = build(one_block(normalization))
    keras.mixed_precision.set_global_policy(policy)
    mixed = build(one_block(normalization))
    keras.mixed_precision.set_global_policy("float32")
    mixed.set_weights(single.get_weights())
    assert {np.dtype(str(v.dtype)) for v in mixed.trainable_variables} == {np.dtype("float32")}

    logits = mixed.predict(batch[0], verbose=0)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(softmax(logits), softmax(single.predict(batch[0], verbose=0)), atol=0.1)
    adapted = mixed.adapt(support_x, support_y).predict(query_x, verbose=0)
    np.testing.assert_allclose(adapted, softmax(logits[0]), atol=0.02)

    mixed.compile(optimizer=keras.optimizers.Adam(0.01))
    assert np.isfinite([float(mixed.train_on_batch(*batch)) for _ in range(8)]).all()
    for trained, before in zip(mixed.trainable_variables, single.trainable_variables):
        assert np.isfinite(np.asarray(trained)).all()
        assert not np.array_equal(np.asarray(trained), np.asarray(before)), trained.path
    mixed.reset_metrics()
    assert float(mixed.evaluate(*batch, verbose=0)) < np.log(WAYS)  # better than chance


def test_float16_gradients_are_scaled_whatever_the_policy_of_the_moment(build):
    keras.mixed_precision.set_global_policy("mixed_float16")
    network = build(vectors()).network
    keras.mixed_precision.set_global_policy("float32")
    learner = build(lambda outputs: network)
    learner.compile(optimizer=keras.optimizers.Adam(0.01))
    assert isinstance(learner.optimizer, keras.optimizers.LossScaleOptimizer)
