"""Options that must not change the mathematics: every gradient of every learner with and without each of them."""

import functools

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_contract import LEARNERS

WAYS, SHOTS, QUERIES, TASKS = 3, 2, 2, 4
TRAINED = {name: build for name, build in LEARNERS.items() if name not in ("Ensemble", "Baseline", "BaselinePlusPlus")}
# These run by default: of each way to take a step. The others share their code, and run with `-m slow`.
OF_EACH_KIND = ("MAML", "Reptile", "PrototypicalNetwork", "MANN")
UNROLLED = ("MAML", "MAML++", "ANIL", "MetaSGD", "MetaLSTM")  # those that keep the activations of inner steps


def each(names, by_default=OF_EACH_KIND):
    """The names as parameters, those beyond `by_default` as long gates."""
    return [pytest.param(name, marks=[] if name in by_default else [pytest.mark.slow]) for name in names]


def network(outputs, dtype=None):
    """A body with statistics of the support set, whose gradients go through them, and a head."""
    layers = [keras.Input((5,)), keras.layers.Dense(6, activation="tanh", dtype=dtype)]
    layers += [mtf.networks.TaskNormalization("support", dtype=dtype)]
    layers += [] if outputs is None else [keras.layers.Dense(outputs, dtype=dtype)]
    return keras.Sequential(layers)


def tasks():
    random = np.random.default_rng(0)
    y = np.tile(np.repeat(np.arange(WAYS), SHOTS), (TASKS, 1)).astype("int32")
    query_y = np.tile(np.repeat(np.arange(WAYS), QUERIES), (TASKS, 1)).astype("int32")
    means = random.normal(size=(TASKS, WAYS, 5))
    draw = lambda labels: (  # noqa: E731
        np.stack([means[task][labels[task]] for task in range(TASKS)]) + 0.5 * random.normal(size=(*labels.shape, 5))
    ).astype("float32")
    return (draw(y), y, draw(query_y)), query_y


def step(learner, x, y, sample_weight=None):
    """The change of each weight by one step of rate 1, and the loss: what a user sees of the gradient."""
    learner.compile(keras.optimizers.SGD(1.0))
    before = [np.asarray(variable) for variable in learner.trainable_variables]
    loss = learner.train_on_batch(x, y, sample_weight)
    return [np.asarray(v) - start for v, start in zip(learner.trainable_variables, before)], float(loss)


def build(name, **options):
    """The learner of a name, with the same weights each time, and none of zero."""
    learner, random = TRAINED[name](network, **options), np.random.default_rng(2)
    for variable in learner.trainable_variables:
        variable.assign(_START.get(variable.name, 0.0) + 0.4 * random.normal(size=variable.shape))
    return learner


# Scales of normalisation and learned rates are positive; MetaLSTM's gates are nearly closed and open.
_START = {"scale": 1.0, "inner_rates": 0.5, "input_gate": -0.5, "forget_gate": 0.5}


@functools.cache
def plain(name):
    return step(build(name), *tasks())


def assert_same_step(actual, expected, rtol=2e-3):
    """Equal in each weight, to a part of the largest change in it."""
    assert np.isclose(actual[1], expected[1], rtol=1e-4)
    for one, other in zip(actual[0], expected[0], strict=True):
        assert np.abs(one - other).max() <= rtol * np.abs(other).max() + 1e-6


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("name", TRAINED)
def test_a_gradient_reaches_every_variable(name):
    changes, _ = plain(name)
    # The last bias of a relation network is the same for all classes: their softmax does not know it.
    changes = changes[:-1] if name == "RelationNetwork" else changes
    assert all(np.abs(change).max() > 0 for change in changes)


@pytest.mark.rows(default=["ANIL"])
@pytest.mark.parametrize("name", UNROLLED)
def test_rematerializing_changes_no_gradient(name):
    assert_same_step(step(build(name, rematerialize=True), *tasks()), plain(name))


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("name", each(TRAINED))
def test_vectorized_tasks_change_no_gradient(name):
    assert_same_step(step(build(name, task_mapping="vectorized"), *tasks()), plain(name))


@pytest.mark.rows(default=["MANN", "PrototypicalNetwork"])
@pytest.mark.parametrize("name", each(TRAINED))
def test_padding_changes_no_gradient(name):
    (support_x, support_y, query_x), query_y = tasks()
    if name == "MANN":  # its sequences are in random order, drawn for as many examples as there are with padding
        pytest.skip("a sequence's order depends on its length: see test_padding.py")
    pad = lambda array, value: np.pad(  # noqa: E731
        array, [(0, 0), (0, 3), *[(0, 0)] * (array.ndim - 2)], constant_values=value
    )
    x = (pad(support_x, 9.0), pad(support_y, -1), pad(query_x, 9.0))
    padded = step(build(name), x, pad(query_y, -1), pad(np.ones(query_y.shape, "float32"), 0.0))
    assert_same_step(padded, plain(name))


@pytest.mark.rows(default=["MANN"])
@pytest.mark.parametrize("name", each(TRAINED))
def test_a_batch_is_the_mean_of_its_tasks(name):
    if name == "MANN":
        pytest.skip("the orders of its sequences are drawn for a batch: see test_mann.py")
    x, y = tasks()
    parts = [step(build(name), [t[i : i + 1] for t in x], y[i : i + 1]) for i in range(TASKS)]
    changes = [np.mean(change, axis=0) for change in zip(*(part[0] for part in parts))]
    assert_same_step((changes, np.mean([part[1] for part in parts])), plain(name))


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("name", each(TRAINED))
def test_float64_changes_no_gradient(name):
    expected = plain(name)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        learner = build(name)
        assert {variable.dtype for variable in learner.trainable_variables} == {"float64"}
        actual = step(learner, *tasks())
        assert learner(tasks()[0]).dtype == tf.float64
    finally:
        keras.config.set_floatx("float32")
    assert_same_step(actual, expected)


@pytest.mark.rows(default=["Reptile", "MANN"])
@pytest.mark.parametrize("name", each(TRAINED))
def test_accumulated_steps_are_their_mean(name):
    if name in ("MANN", "Reptile"):
        pytest.skip("a step's order of examples, or the moments of its inner optimizer, depend on the steps before")
    learner = build(name)
    learner.compile(keras.optimizers.SGD(1.0, gradient_accumulation_steps=2))
    before = [np.asarray(variable) for variable in learner.trainable_variables]
    x, y = tasks()
    for part in (slice(0, 2), slice(2, 4)):
        learner.train_on_batch([tensor[part] for tensor in x], y[part])
    changes = [np.asarray(v) - start for v, start in zip(learner.trainable_variables, before)]
    assert_same_step((changes, plain(name)[1]), plain(name))


def network_with_a_loose_end(outputs):
    """A layer of whose output nothing comes: times zero by way of the batch's size."""

    @keras.saving.register_keras_serializable("test_gradients")
    class Unused(keras.layers.Layer):
        def build(self, shape):
            self.unused = self.add_weight(name="unused", shape=(3,))

        def call(self, x):
            return x

    layers = [keras.Input((5,)), keras.layers.Dense(6, activation="tanh"), Unused(name="loose")]
    return keras.Sequential([*layers, *([] if outputs is None else [keras.layers.Dense(outputs)])])


@pytest.mark.rows(default=["MAML", "MAML++", "MetaSGD"])
@pytest.mark.parametrize("name", TRAINED)
def test_a_variable_that_no_gradient_reaches_is_named(name):
    learner = TRAINED[name](network_with_a_loose_end)
    learner.compile()
    with pytest.raises(ValueError, match=r"No gradient reaches the trainable variables .*loose/unused"):
        learner.train_on_batch(*tasks())


def test_a_frozen_variable_needs_no_gradient():
    network = network_with_a_loose_end(None)
    network.get_layer("loose").trainable = False
    learner = mtf.learners.PrototypicalNetwork(network)
    learner.compile()
    assert np.isfinite(learner.train_on_batch(*tasks()))
