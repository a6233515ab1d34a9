"""The meta-gradients of MAML's relatives against finite differences in NumPy, and what is their own."""

import functools

import metalearn_tf as mtf
from metalearn_tf.engine.inner_batches import alternating_classes
from metalearn_tf.learners.maml import step_importance

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy_maml import (
    FEATURES,
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

HEAD_ALONE = [0.0, 0.0, 0.5, 0.5]  # the rates of kernel, bias, head and its bias


# === ANIL ===


@pytest.mark.parametrize("steps", [1, 3])
def test_anils_meta_gradient_equals_finite_differences(steps):
    x, y = random_tasks()
    network = small_network()
    expected = finite_differences(float64_weights(network), x, y, steps, HEAD_ALONE)
    learner = mtf.learners.ANIL(network, inner_steps=steps, inner_learning_rate=0.5)
    assert_close(meta_gradient(learner, x, y), expected, rtol=1e-3, atol=2e-6)


def test_anils_task_state_is_the_head_alone():
    (support_x, support_y, _), _ = random_tasks()
    learner = mtf.learners.ANIL(small_network(), inner_steps=2, inner_learning_rate=0.5)
    kernel, bias, head, head_bias = float64_weights(learner.network)
    state = learner.adapt(support_x[0], support_y[0]).state
    expected = adapted([kernel, bias, head, head_bias], support_x[0], support_y[0], 2, HEAD_ALONE)[2:]
    assert [tuple(tensor.shape) for tensor in state] == [head.shape, head_bias.shape, ()]
    assert_close([np.asarray(tensor) for tensor in state[:2]], expected)


def test_anil_needs_a_head_with_weights():
    network = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(WAYS), keras.layers.ReLU(name="last")])
    with pytest.raises(ValueError, match="`network` must end with its head.*'last'"):
        mtf.learners.ANIL(network)


# === MetaSGD ===


@pytest.mark.rows(default=["1"])
@pytest.mark.parametrize("steps", [1, 3])
def test_meta_sgds_gradients_of_weights_and_rates_equal_finite_differences(steps):
    x, y = random_tasks()
    network = small_network()
    weights = float64_weights(network)
    random = np.random.default_rng(0)
    rates = [random.uniform(-0.2, 0.8, weight.shape).astype("float32") for weight in weights]
    learner = mtf.learners.MetaSGD(network, inner_steps=steps)
    for variable, rate in zip(learner.inner_rates, rates):
        variable.assign(rate)
    expected = finite_differences(weights, x, y, steps, [rate.astype("float64") for rate in rates])
    rates = [rate.astype("float64") for rate in rates]
    expected += finite_differences(weights, x, y, steps, rates, by=rates)

    by_variable = dict(zip(map(id, learner.weights), meta_gradient(learner, x, y)))
    found = [by_variable[id(v)] for v in [*network.trainable_variables, *learner.inner_rates]]
    assert_close(found, expected, rtol=1e-3, atol=2e-6)


# === Reptile ===


def reptile(network, **options):
    return mtf.learners.Reptile(
        network, inner_optimizer=keras.optimizers.SGD(0.5), inner_batch_size=1000, test_inner_steps=2, **options
    )


def test_reptiles_outer_step_is_the_mean_weight_difference():
    (support_x, support_y, query_x), query_y = random_tasks()
    network = small_network()
    weights = float64_weights(network)
    learner = reptile(network, inner_steps=3)
    learner.compile(keras.optimizers.SGD(0.25))
    learner.train_on_batch((support_x, support_y, query_x), query_y)
    ends = [
        adapted(weights, np.concatenate(task[:2]), np.concatenate(task[2:]), 3, 0.5)
        for task in zip(support_x, query_x, support_y, query_y)
    ]
    expected = [
        weight + 0.25 * np.mean([end - weight for end in each], axis=0) for weight, *each in zip(weights, *ends)
    ]
    assert_close([np.asarray(variable) for variable in network.trainable_variables], expected, rtol=1e-4, atol=1e-6)


def test_reptiles_default_outer_optimizer_takes_whole_steps():
    learner = reptile(small_network())
    learner.compile()
    assert isinstance(learner.optimizer, keras.optimizers.SGD) and float(learner.optimizer.learning_rate) == 1.0


def test_reptile_leaves_out_queries_of_no_weight():
    (support_x, support_y, query_x), query_y = random_tasks()
    weight = np.ones(query_y.shape, "float32")
    weight[:, 3:] = 0.0
    ends = []
    for queries, weights in ((slice(None), weight), (slice(3), None)):
        keras.utils.set_random_seed(0)
        learner = reptile(small_network(), inner_steps=2)
        learner.compile()
        learner.train_on_batch((support_x, support_y, query_x[:, queries]), query_y[:, queries], sample_weight=weights)
        ends.append(learner.get_weights())
    assert_close(*ends)


@pytest.mark.full
@pytest.mark.parametrize("option, value", [("learning_rate", 0.5), ("momentum", 0.9)])
def test_reptile_follows_the_options_of_its_inner_optimizer(option, value, tmp_path):
    """What was traced before does too; a new `compile` traces a training step anew, as of any Keras model."""
    random = np.random.default_rng(0)
    x, y = np.float32(random.normal(size=(6, 5))), np.arange(6) % 3

    def new(**options):
        keras.utils.set_random_seed(0)
        optimizer = keras.optimizers.SGD(**{"learning_rate": 0.01, "momentum": 0.5, **options})
        learner = mtf.learners.Reptile(
            mtf.networks.mlp((5,), (4,), outputs=3), inner_optimizer=optimizer, test_inner_steps=3
        )
        learner.compile(keras.optimizers.SGD(0.0))
        return learner

    def answers(learner):
        loss = learner.train_on_batch((x[None], y[None], x[None]), y[None])
        for variable in learner.inner_optimizer_state[2:]:
            variable.assign(tf.zeros_like(variable))  # no moments from the step
        return np.append(learner.adapt(x, y).predict(x, verbose=0), loss)

    learner, expected = new(), answers(new(**{option: value}))
    before = answers(learner)
    setattr(learner.inner_optimizer, option, value)
    if option != "learning_rate":
        learner.compile(keras.optimizers.SGD(0.0))
    learner.reset_metrics()
    assert not np.allclose(answers(learner), before, atol=1e-3)
    learner.reset_metrics()
    np.testing.assert_allclose(answers(learner), expected, rtol=1e-4)
    learner.save(tmp_path / "learner.keras")
    for one in (learner.copy(), keras.models.load_model(tmp_path / "learner.keras")):
        np.testing.assert_allclose(one.adapt(x, y).predict(x, verbose=0).ravel(), expected[:-1], rtol=1e-4)
    another = mtf.learners.Reptile(learner.network, inner_optimizer=learner.inner_optimizer)
    assert another.get_config()["inner_optimizer"] == learner.get_config()["inner_optimizer"]
    with pytest.raises(AttributeError, match="`inner_optimizer` must stay.*Received: Adam"):
        learner.inner_optimizer = keras.optimizers.Adam()


@pytest.mark.full
def test_reptile_keeps_the_moments_of_its_inner_optimizer():
    x, y = random_tasks()
    learner = mtf.learners.Reptile(small_network(), inner_steps=3)
    learner.compile()
    learner.train_on_batch(x, y)
    iterations = next(v for v in learner.inner_optimizer_state if "iteration" in v.path)
    assert int(iterations) == 3
    moments = [np.asarray(v) for v in learner.inner_optimizer_state if "velocity" in v.path]
    assert len(moments) == 4 and all(np.all(moment > 0) for moment in moments)


def test_inner_batches_take_the_classes_in_turn():
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2], "int32")
    order = alternating_classes(labels).numpy()
    assert order.tolist() == [0, 3, 5, 1, 4, 6, 2, 7]

    learner = mtf.learners.Reptile(small_network(), inner_batch_size=3)
    batches = [learner.inner_batch(tf.range(8), tf.constant(labels), step)[1].numpy().tolist() for step in range(3)]
    assert batches == [[0, 1, 2], [0, 1, 2], [0, 2, 0]]


# === MAML's improvements ===


def normalized_network():
    x = inputs = keras.Input((FEATURES,))
    x = mtf.networks.TaskNormalization("transductive")(keras.layers.Dense(4)(x))
    return keras.Model(inputs, keras.layers.Dense(WAYS)(keras.layers.ReLU()(x)))


def test_learned_rates_have_the_gradient_of_finite_differences():
    x, y = random_tasks()
    network = small_network()
    weights, rates = float64_weights(network), [np.full((), 0.5) for _ in range(4)]
    learner = mtf.learners.MAML(network, inner_steps=1, inner_learning_rate=0.5, learned_rates=True)
    expected = finite_differences(weights, x, y, 1, rates, by=rates)
    gradients = meta_gradient(learner, x, y)
    by_variable = dict(zip(map(id, learner.weights), gradients))
    np.testing.assert_allclose(by_variable[id(learner.inner_rates)][0], expected, rtol=1e-3, atol=2e-6)


def test_learned_rates_are_those_of_their_step():
    (support_x, support_y, _), _ = random_tasks()
    learner = mtf.learners.MAML(small_network(), inner_steps=2, learned_rates=True, test_inner_steps=3)
    rows = np.array([[0.5, 0.4, 0.3, 0.2], [0.1, 0.2, 0.3, 0.4]], "float32")
    learner.inner_rates.assign(rows)
    weights = float64_weights(learner.network)
    for row in (0, 1, 1):  # the last row serves all later steps
        weights = adapted(weights, support_x[0], support_y[0], 1, [float(rate) for rate in rows[row]])
    state = learner.adapt(support_x[0], support_y[0]).state
    assert_close([np.asarray(tensor) for tensor in state[:4]], weights)


@pytest.mark.full
def test_multi_step_loss_is_the_weighted_sum_of_the_losses_after_each_step():
    x, y = random_tasks()
    learner = mtf.learners.MAML(
        small_network(), inner_steps=2, inner_learning_rate=0.5, multi_step_loss=True, annealing_steps=4
    )
    learner.compile(keras.optimizers.SGD(0.0))
    weights = float64_weights(learner.network)
    losses = [
        np.mean(
            [
                loss_and_gradient(adapted(weights, support_x, support_y, steps, 0.5), query_x, query_y)[0]
                for support_x, support_y, query_x, query_y in zip(*x, y)
            ]
        )
        for steps in (1, 2)
    ]
    for importance in ([0.5, 0.5], [0.375, 0.625], [0.25, 0.75], [0.125, 0.875], [0.0, 1.0], [0.0, 1.0]):
        found = learner.train_on_batch(x, y)
        learner.reset_metrics()
        np.testing.assert_allclose(found, np.dot(importance, losses), rtol=1e-5)


def test_step_importance_by_hand():
    np.testing.assert_allclose(step_importance(4, 5, 10), [0.125, 0.125, 0.125, 0.625], rtol=1e-6)
    np.testing.assert_allclose(step_importance(1, 0, 10), [1.0])


@pytest.mark.full
def test_the_order_of_derivatives_is_annealed():
    x, y = random_tasks()
    options = {"inner_steps": 2, "inner_learning_rate": 0.5}
    gradients = {}
    for name, order in (("first", True), ("second", False), ("annealed", "annealed")):
        keras.utils.set_random_seed(0)
        annealing = {"annealing_steps": 1} if order == "annealed" else {}
        learner = mtf.learners.MAML(small_network(), first_order=order, **options, **annealing)
        start = learner.get_weights()
        learner.compile(keras.optimizers.SGD(1.0))
        for step in range(2):
            learner.set_weights(start)
            learner.train_on_batch(x, y)
            gradients[name, step] = [one - other for one, other in zip(start, learner.get_weights())]
    assert_close(gradients["annealed", 0], gradients["first", 0])
    assert_close(gradients["annealed", 1], gradients["second", 1])
    assert any(not np.allclose(*pair, rtol=1e-2) for pair in zip(gradients["first", 0], gradients["second", 0]))


def test_each_step_has_a_normalization_of_its_own():
    (support_x, support_y, query_x), query_y = random_tasks()
    learner = mtf.learners.MAML(normalized_network(), inner_steps=2, per_step_normalization=True)
    scale, offset = learner.per_step_changes
    assert scale.shape == offset.shape == (2, 4)
    task = (support_x[:1], support_y[:1], query_x[:1])
    before = np.asarray(learner(task))
    for row in (0, 1):
        scale.assign(np.where(np.arange(2)[:, None] == row, 0.5, np.zeros((2, 4))))
        assert not np.allclose(np.asarray(learner(task)), before, rtol=1e-3)
    scale.assign(np.zeros((2, 4)))
    learner.compile(keras.optimizers.SGD(1.0))
    learner.train_on_batch((support_x, support_y, query_x), query_y)
    for changes in (scale, offset):
        assert np.any(np.asarray(changes) != 0.0, axis=1).all()
    # Both steps' changes have what the outer loop does to the network's own scale, divided between them.
    own = learner.network.layers[2].scale
    np.testing.assert_allclose(np.asarray(own) - 1.0, np.sum(scale, axis=0), rtol=1e-4, atol=1e-7)
    assert all(variable is not own for variable in learner.adapted_variables())


def test_per_step_normalization_starts_as_maml():
    x, _ = random_tasks()
    keras.utils.set_random_seed(0)
    plain = mtf.learners.MAML(normalized_network(), inner_steps=1)
    plain.network.layers[2].trainable = False  # per-step normalisation leaves scale and offset to the outer loop
    network = keras.models.clone_model(plain.network)
    network.set_weights(plain.network.get_weights())
    network.layers[2].trainable = True
    improved = mtf.learners.MAML(network, inner_steps=1, per_step_normalization=True)
    np.testing.assert_allclose(np.asarray(improved(x)), np.asarray(plain(x)), rtol=1e-4, atol=1e-5)


# === Layers that are frozen afterwards ===

PAIRED = {
    "MetaSGD": mtf.learners.MetaSGD,
    "Reptile": mtf.learners.Reptile,
    "learned rates": functools.partial(mtf.learners.MAML, learned_rates=True),
    "per-step normalization": functools.partial(mtf.learners.MAML, per_step_normalization=True),
}


@pytest.mark.rows(default=["per-step normalization"], full=["Reptile"])
@pytest.mark.parametrize("build", PAIRED)
def test_layers_are_frozen_and_thawed_after_construction(build, tmp_path):
    x, y = random_tasks()
    learner = PAIRED[build](normalized_network())
    for frozen in (True, False):
        learner.network.layers[2].trainable = not frozen
        learner.compile("sgd" if build != "Reptile" else keras.optimizers.SGD(1.0))
        before = [np.asarray(weight) for weight in learner.network.layers[2].weights]
        learner.train_on_batch(x, y)
        moved = [np.any(old != new) for old, new in zip(before, learner.network.layers[2].weights)]
        assert any(moved) != frozen
        probabilities = learner.adapt(x[0][0], x[1][0]).predict(x[2][0], verbose=0)
        learner.save(tmp_path / "learner.keras")
        for other in (learner.copy(), keras.models.load_model(tmp_path / "learner.keras")):
            again = other.adapt(x[0][0], x[1][0]).predict(x[2][0], verbose=0)
            np.testing.assert_allclose(again, probabilities, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("build", [mtf.learners.MAML, mtf.learners.ANIL, mtf.learners.MetaLSTM])
@pytest.mark.parametrize("freeze", ["learner", "network"])
def test_an_inner_loop_without_anything_to_adapt_is_refused(build, freeze):
    x, y = random_tasks()
    learner = build(small_network())
    learner.compile("sgd")
    (learner if freeze == "learner" else learner.network).trainable = False
    for work in (lambda: learner.train_on_batch(x, y), lambda: learner.adapt(x[0][0], x[1][0])):
        with pytest.raises(ValueError, match="`network` must have trainable weights.*Received: "):
            work()


# === Any outer optimizer ===


@pytest.mark.rows(default=["sgd"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "adamw"])
def test_outer_updates_are_keras_optimizers(optimizer):
    x, y = random_tasks()
    network = small_network()
    gradient = [g.astype("float32") for g in finite_differences(float64_weights(network), x, y, 1, 0.5)]
    reference = [keras.Variable(weight) for weight in network.get_weights()]
    keras.optimizers.get(optimizer).apply(gradient, reference)
    learner = mtf.learners.MAML(network, inner_steps=1, inner_learning_rate=0.5)
    learner.compile(optimizer=optimizer)
    learner.train_on_batch(x, y)
    assert_close(network.get_weights(), [np.asarray(variable) for variable in reference], rtol=1e-3, atol=1e-5)


# === Bad input ===


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda n: mtf.learners.MAML(n, first_order="annealed"), "`annealing_steps` must be given"),
        (lambda n: mtf.learners.MAML(n, multi_step_loss=True), "`annealing_steps` must be given"),
        (lambda n: mtf.learners.MAML(n, annealing_steps=5), "`annealing_steps` is for"),
        (lambda n: mtf.learners.MAML(n, first_order="never"), "`first_order` must be"),
        (lambda n: mtf.learners.MAML(n, inner_steps=True), "`inner_steps` must be a positive integer"),
        (lambda n: mtf.learners.ANIL(n, inner_learning_rate=0.0), "`inner_learning_rate` must be a positive number"),
        (lambda n: mtf.learners.MetaSGD(n, inner_learning_rate=-1), "`inner_learning_rate` must be a positive number"),
        (lambda n: mtf.learners.MetaLSTM(n, forget_rate=0.0), "`forget_rate` must be between 0 and 1"),
        (lambda n: mtf.learners.MetaLSTM(n, units=0), "`units` must be a positive integer"),
        (lambda n: mtf.learners.Reptile(n, inner_batch_size=0), "`inner_batch_size` must be a positive integer"),
        (lambda n: mtf.learners.Reptile(n, test_inner_steps=0), "`test_inner_steps` must be a positive integer"),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=f"{message}.*Received: "):
        build(small_network())


@pytest.mark.parametrize("learner", [mtf.learners.Reptile, mtf.learners.MetaLSTM])
def test_there_is_no_order_where_nothing_is_differentiated(learner):
    with pytest.raises(TypeError, match="first_order"):
        learner(small_network(), first_order=False)
