"""A learner and all that is made of it compute the same, before and after every kind of change."""

import copy
import gc
import pathlib

import metalearn_tf as mtf
from metalearn_tf.engine.text_inputs import takes_texts

import keras
import numpy as np
import pytest
import tensorflow as tf

random = np.random.default_rng(0)
Y = np.arange(9) % 3
# The layer that turns words into numbers is adapted to words, and later to the same words by another frequency.
WORDS = np.array(["red", "green", "blue"])[Y]
OTHER_WORDS = np.array(["blue"] * 3 + ["red"] * 2 + ["green"])
X, QUERIES = (np.float32(5 + 3 * np.eye(3, 4)[Y] + random.normal(size=(9, 4))) for _ in range(2))


@keras.saving.register_keras_serializable("test_learner_copies")
class Scale(keras.layers.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("test_learner_copies")
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


def texts_network(layer):
    """A network of words, the layer of which is adapted when the network has been built."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            layer,
            keras.layers.Embedding(6, 4),
            *([keras.layers.GlobalAveragePooling1D()] if isinstance(layer, keras.layers.TextVectorization) else []),
            keras.layers.Dense(3),
        ]
    )
    layer.adapt(WORDS)
    return network


def adapt_words(learner):
    learner.network.layers[0].adapt(OTHER_WORDS)


def adapt_normalization(learner):
    learner.network.layers[0].adapt(10 * X)


def train(learner):
    learner.compile(keras.optimizers.SGD(0.1))
    learner.train_on_batch((X[None], Y[None], QUERIES[None]), Y[None])


# How a learner is built, what is changed in it, and whether its examples are words.
CHANGES = {
    "an adapted layer": (lambda: Unit(network()), adapt_normalization),
    "an attribute of a layer": (
        lambda: Unit(network()),
        lambda learner: setattr(learner.network.layers[1], "factor", 0.3),
    ),
    "an argument of a class of one's own": (
        lambda: Unit(network()),
        lambda learner: setattr(learner, "unit", np.float64(7.0)),
    ),
    "a training step": (lambda: Unit(network()), train),
    "a number of steps": (
        lambda: mtf.learners.MAML(network()),
        lambda learner: setattr(learner, "test_inner_steps", 9),
    ),
    "a flag": (
        lambda: mtf.learners.MAML(network()),
        lambda learner: setattr(learner.network.layers[2], "trainable", False),
    ),
    "a vocabulary": (lambda: mtf.learners.PrototypicalNetwork(texts_network(keras.layers.StringLookup())), adapt_words),
    "a vocabulary of texts": (
        lambda: mtf.learners.MAML(texts_network(keras.layers.TextVectorization(output_sequence_length=2))),
        adapt_words,
    ),
}


def examples(learner):
    """A support set and queries."""
    if takes_texts(learner.network):
        return WORDS, np.array(["green", "blue", "red", "unknown"])
    return X, QUERIES


def answers(learner):
    x, queries = examples(learner)
    return learner.adapt(x, Y).predict(queries, verbose=0)


def called(learner):
    """The probabilities that the learner itself has for the queries of the task."""
    x, queries = examples(learner)
    inputs = tf.constant(x[None]), Y[None], tf.constant(queries[None])
    return np.asarray(tf.nn.softmax(learner(inputs)[0]))


def assert_all_answer(learner, expected, folder):
    x, queries = examples(learner)
    kind = "texts" if takes_texts(learner.network) else "inputs"
    learner.save(folder / "learner.keras")
    adapted = learner.adapt(x, Y)
    adapted.save(folder / "adapted.keras")
    adapted.export(folder / "adapted", verbose=False)
    learner.export(folder / "served", warm_up=False)
    exported, served = (tf.saved_model.load(str(folder / name)) for name in ("adapted", "served"))
    learner.save_weights(folder / "learner.weights.h5")
    new = type(learner).from_config(learner.get_config())
    new.load_weights(folder / "learner.weights.h5")
    if takes_texts(learner.network):
        with pytest.raises(ValueError, match="`network` must know its words.*load_model.*Received: the"):
            answers(new)
        adapt_words(new)
    load = keras.models.load_model
    found = {
        "adapted, called": np.asarray(adapted(tf.constant(queries))),
        "adapted, in batches": adapted.predict(queries, batch_size=4, verbose=0),
        "adapted, from a dataset": adapted.predict(tf.data.Dataset.from_tensor_slices(queries).batch(4), verbose=0),
        "adapted, of one batch": adapted.predict_on_batch(queries),
        "adapted, copied deeply": copy.deepcopy(adapted).predict(queries, verbose=0),
        "adapted, loaded": load(folder / "adapted.keras").predict(queries, verbose=0),
        "adapted, exported": exported.serve(tf.constant(queries)),
        "learner": called(learner),
        "copy": answers(learner.copy()),
        "deep copy": answers(copy.deepcopy(learner)),
        "loaded": answers(load(folder / "learner.keras")),
        "loaded without `compile`": answers(load(folder / "learner.keras", compile=False)),
        "weights loaded": answers(new),
        "exported": served.signatures["adapt_and_predict"](
            support_labels=tf.constant(Y, "int32"),
            **{f"{name}_{kind}": tf.constant(part) for name, part in (("support", x), ("query", queries))},
        )["probabilities"],
    }
    for name, values in found.items():
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.rows(default=["an attribute of a layer"])
@pytest.mark.parametrize("change", CHANGES)
def test_all_that_is_made_of_a_learner_follows_its_changes(change, tmp_path):
    build, make_change = CHANGES[change]
    learner = build()
    _, queries = examples(learner)
    earlier = learner.adapt(examples(learner)[0], Y)
    before = earlier.predict(queries, verbose=0)
    make_change(learner)
    after = called(learner)
    assert not np.allclose(before, after, atol=1e-3)
    assert_all_answer(learner, after, tmp_path)
    np.testing.assert_array_equal(earlier.predict(queries, verbose=0), before)


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


@pytest.mark.rows(default=["loss0"])
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
