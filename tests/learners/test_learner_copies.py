"""A learner and all that is made of it compute the same, before and after every kind of change."""

import copy
import gc
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import metalearn_tf as mtf

random = np.random.default_rng(0)
Y = np.arange(9) % 3
X, QUERIES = (np.float32(5 + 3 * np.eye(3, 4)[Y] + random.normal(size=(9, 4))) for _ in range(2))


@keras.saving.register_keras_serializable("tests")
class Scale(keras.layers.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("tests")
class Unit(mtf.learners.PrototypicalNetwork):
    shift = 0.0

    def __init__(self, network, unit=1.0, **kwargs):
        super().__init__(network, **kwargs)
        self.unit = unit

    def classify(self, task_state, query_x):
        return super().classify(task_state, query_x + self.shift) / self.unit

    def get_config(self):
        return {**super().get_config(), "unit": self.unit}


def network():
    keras.utils.set_random_seed(0)
    normalization = keras.layers.Normalization()
    normalization.adapt(X)
    layers = [normalization, Scale(), keras.layers.Dense(5, "tanh"), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((4,)), *layers])


def adapt_normalization(learner):
    learner.network.layers[0].adapt(10 * X)


def train(learner):
    learner.compile(keras.optimizers.SGD(0.1))
    learner.train_on_batch((X[None], Y[None], QUERIES[None]), Y[None])


CHANGES = {
    "an adapted layer": (Unit, adapt_normalization),
    "an attribute of a layer": (Unit, lambda learner: setattr(learner.network.layers[1], "factor", 0.3)),
    "an argument of a class of one's own": (Unit, lambda learner: setattr(learner, "unit", np.float64(7.0))),
    "a training step": (Unit, train),
    "a number of steps": (mtf.learners.MAML, lambda learner: setattr(learner, "test_inner_steps", 9)),
    "a flag": (mtf.learners.MAML, lambda learner: setattr(learner.network.layers[2], "trainable", False)),
}


def answers(learner):
    return learner.adapt(X, Y).predict(QUERIES, verbose=0)


def assert_all_answer(learner, expected, folder):
    learner.save(folder / "learner.keras")
    adapted = learner.adapt(X, Y)
    adapted.save(folder / "adapted.keras")
    learner.save_weights(folder / "learner.weights.h5")
    new = type(learner).from_config(learner.get_config())
    new.load_weights(folder / "learner.weights.h5")
    load = keras.models.load_model
    found = {
        "adapted, called": np.asarray(adapted(QUERIES)),
        "adapted, in batches": adapted.predict(QUERIES, batch_size=4, verbose=0),
        "adapted, from a dataset": adapted.predict(tf.data.Dataset.from_tensor_slices(QUERIES).batch(4), verbose=0),
        "adapted, of one batch": adapted.predict_on_batch(QUERIES),
        "adapted, copied deeply": copy.deepcopy(adapted).predict(QUERIES, verbose=0),
        "adapted, loaded": load(folder / "adapted.keras").predict(QUERIES, verbose=0),
        "learner": np.asarray(tf.nn.softmax(learner((X[None], Y[None], QUERIES[None]))[0])),
        "copy": answers(learner.copy()),
        "deep copy": answers(copy.deepcopy(learner)),
        "loaded": answers(load(folder / "learner.keras")),
        "loaded without `compile`": answers(load(folder / "learner.keras", compile=False)),
        "weights loaded": answers(new),
    }
    for name, values in found.items():
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("change", CHANGES)
def test_all_that_is_made_of_a_learner_follows_its_changes(change, tmp_path):
    build, make_change = CHANGES[change]
    learner = build(network())
    earlier = learner.adapt(X, Y)
    before = earlier.predict(QUERIES, verbose=0)
    make_change(learner)
    after = np.asarray(tf.nn.softmax(learner((X[None], Y[None], QUERIES[None]))[0]))
    assert not np.allclose(before, after, atol=1e-3)
    assert_all_answer(learner, after, tmp_path)
    np.testing.assert_array_equal(earlier.predict(QUERIES, verbose=0), before)


def test_attributes_that_are_no_arguments_go_with_a_copy():
    learner = Unit(network())
    before = answers(learner)
    learner.shift = 2.0
    assert not np.allclose(answers(learner), before, atol=1e-3)
    np.testing.assert_array_equal(answers(learner.copy()), answers(learner))


def test_adapted_models_share_a_learner_until_one_has_other_weights(tmp_path):
    learner = mtf.learners.PrototypicalNetwork(network())
    one, other = (learner.adapt(X, Y) for _ in range(2))
    expected = other.predict(QUERIES, verbose=0)
    assert one.learner is other.learner and learner.adapt(X, Y).learner is one.learner
    with pytest.raises(ValueError, match="learner of adapted models must stay as it is.*Received: "):
        one.learner.train_on_batch((X[None], Y[None], QUERIES[None]), Y[None])
    one.set_weights([0.5 * weight for weight in one.get_weights()])
    assert not np.allclose(one.predict(QUERIES, verbose=0), expected, atol=1e-3)
    np.testing.assert_array_equal(other.predict(QUERIES, verbose=0), expected)
    other.save_weights(tmp_path / "other.weights.h5")
    one.load_weights(tmp_path / "other.weights.h5")
    np.testing.assert_array_equal(one.predict(QUERIES, verbose=0), expected)


@pytest.mark.parametrize("loss", [keras.losses.Huber(delta=0.1), "mean_absolute_error"])
def test_weights_are_loaded_with_the_loss_of_the_inner_loop(loss, tmp_path):
    targets = np.float32(X.sum(axis=1, keepdims=True))

    def new():
        keras.utils.set_random_seed(0)
        return mtf.learners.MAML(mtf.networks.mlp((4,), (5,), outputs=1), inner_steps=2, inner_learning_rate=0.01)

    learner = new()
    learner.compile(loss=loss)
    expected = learner.adapt(X, targets).predict(QUERIES, verbose=0)
    learner.save_weights(tmp_path / "learner.weights.h5")
    learner.save(tmp_path / "learner.keras")
    again = new()
    assert not np.allclose(again.adapt(X, targets).predict(QUERIES, verbose=0), expected, rtol=1e-3)
    again.load_weights(tmp_path / "learner.weights.h5")
    for one in (again, keras.models.load_model(tmp_path / "learner.keras"), copy.deepcopy(learner)):
        np.testing.assert_allclose(one.adapt(X, targets).predict(QUERIES, verbose=0), expected, rtol=1e-5)
    other = new()
    other.compile(loss="mean_squared_error")
    with pytest.raises(ValueError, match="same loss: compile with the loss of the file.*Received: "):
        other.load_weights(tmp_path / "learner.weights.h5")


def tasks(labels=Y, batch_size=2):
    support = np.stack([Y, Y, labels])
    x, y = np.stack([X] * 3), np.stack([Y] * 3)
    return tf.data.Dataset.from_tensor_slices(((x, support, x), y)).batch(batch_size)


def test_predict_refuses_labels_of_no_task_in_a_later_batch():
    learner = mtf.learners.PrototypicalNetwork(network())
    assert learner.predict(tasks(), verbose=0).shape == (3, 9, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`support_y` must hold every label"):
        learner.predict(tasks(np.where(Y == 2, 5, Y)), verbose=0)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_of_unknown_length_count_no_step_too_much():
    learner = mtf.learners.PrototypicalNetwork(network())
    learner.compile("sgd")

    def batches():
        yield from tasks().as_numpy_iterator()

    learner.fit(batches(), verbose=0)
    assert int(learner.optimizer.iterations) == 2


def resident_kilobytes():
    gc.collect()
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="the memory of a process is read on Linux")
@pytest.mark.parametrize("build", [mtf.learners.PrototypicalNetwork, mtf.learners.MAML])
def test_a_loop_of_adapt_and_predict_keeps_no_memory(build):
    learner = build(network())
    for _ in range(150):
        answers(learner)
    before = resident_kilobytes()
    for _ in range(300):
        answers(learner)
    assert resident_kilobytes() - before < 300 * 5  # one new name of a variable takes 35
