"""What tells whether a folder belongs to a model."""

import functools
import json
import subprocess
import sys

import metalearn_tf as mtf
from metalearn_tf.engine.describe import describe
from metalearn_tf.training.descriptions import check_same, describe_dataset, describe_model

import keras
import numpy as np
import pytest
import tensorflow as tf


def prototypes(rate=1e-2):
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp((3,), (4,)))
    learner.compile(keras.optimizers.Adam(rate))
    return learner


def test_a_description_says_what_a_model_is_but_not_its_name():
    one, other = prototypes(), prototypes()
    assert one.name != other.name and describe_model(one) == describe_model(other)
    assert describe_model(one)["class"] == "PrototypicalNetwork"
    assert describe_model(one)["distance"] == "squared_euclidean"
    assert describe_model(one)["optimizer"]["learning_rate"] == pytest.approx(1e-2)
    assert describe_model(one) != describe_model(prototypes(1e-3))


def test_a_gan_has_two_optimizers():
    gan = mtf.gan.GAN(*mtf.networks.dcgan((16, 16, 1), 4, filters=2))
    gan.compile()
    assert {"generator_optimizer", "discriminator_optimizer", "loss"} <= set(describe_model(gan))
    json.dumps(describe_model(gan))


def test_what_differs_is_named(tmp_path):
    path = tmp_path / "new" / "description.json"
    check_same("folder", path, {"a": 1, "b": {"c": (1, 2)}}, "run")
    check_same("folder", path, {"a": 1, "b": {"c": (1, 2)}}, "run")
    with pytest.raises(ValueError, match=r"`folder` holds a run of another.*b.c=\[1, 3\] where the run has \[1, 2\]$"):
        check_same("folder", path, {"a": 1, "b": {"c": (1, 3)}}, "run")
    with pytest.raises(ValueError, match="a=None where the run has 1.* and 1 more$"):
        check_same("folder", path, {f"new_{number}": number for number in range(4)}, "run")


def test_a_damaged_description_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "description.json"
    check_same("folder", path, {"a": 1}, "run")
    path.write_text(path.read_text()[:5])
    with pytest.raises(ValueError, match="`folder` must not hold a damaged file.*Received: .*description.json"):
        check_same("folder", path, {"a": 1}, "run")


# === One thing at a time ===


class Scale(keras.layers.Layer):
    """A layer as people write it: what it was given is not in `get_config`."""

    def __init__(self, factor=2.0, function=tf.abs, **kwargs):
        super().__init__(**kwargs)
        self._factor, self.function = factor, function

    def call(self, x):
        return self._factor * self.function(x)

    def get_config(self):
        return keras.layers.Layer.get_config(self)


class Margin(keras.losses.Loss):
    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin

    def call(self, y_true, y_pred):
        return tf.nn.relu(self.margin - y_true * y_pred)


class Sharp(mtf.learners.PrototypicalNetwork):
    unit = 1.0

    def classify(self, task_state, query_x):
        return super().classify(task_state, query_x) / self.unit


class Largest(keras.regularizers.Regularizer):
    def __init__(self, weight):
        self.weight = weight

    def __call__(self, x):
        return self.weight * tf.reduce_max(tf.abs(x))


def schedule(rate=1e-2, steps=100):
    return keras.optimizers.schedules.CosineDecay(rate, steps)


def hinge(y_true, y_pred):
    return tf.nn.relu(1.0 - y_true * y_pred)


def network_of(
    units=4,
    normalization="support",
    momentum=0.9,
    dropout=None,
    seed=1,
    regularizer=None,
    dtype=None,
    frozen=False,
    initializer="zeros",
    constraint=None,
    trainable=True,
):
    x = inputs = keras.Input((3,))
    options = {"kernel_regularizer": regularizer, "dtype": dtype, "bias_initializer": initializer}
    dense = keras.layers.Dense(units, kernel_constraint=constraint, **options)
    x = mtf.networks.TaskNormalization(normalization, momentum)(dense(x))
    x = keras.layers.Dropout(dropout, seed=seed)(x) if dropout else x
    # A model within a model.
    inner = keras.Sequential([keras.layers.Dense(4), keras.layers.ReLU(negative_slope=0.1 * units)])
    inner.trainable = trainable
    model = keras.Model(inputs, inner(x))
    dense.trainable = not frozen
    return model


def learner_of(optimizer=None, loss=None, metrics=("accuracy",), inner=None, options=None, compile=None, **network):
    keras.utils.set_random_seed(0)
    inner = keras.optimizers.Adam(schedule(1e-3)) if inner is None else inner
    learner = mtf.learners.Reptile(network_of(**network), inner_optimizer=inner, **(options or {}))
    optimizer = keras.optimizers.Adam(schedule()) if optimizer is None else optimizer
    learner.compile(optimizer, loss=loss, metrics=list(metrics), **(compile or {}))
    return learner


def gan_of(penalty=None, decay=0.9, generator_optimizer=None, monitor=None, seed=0, activation="tanh", slope=0.3):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    generator = keras.Sequential([keras.Input((2,)), layers.Dense(4, activation), layers.Reshape((2, 2, 1))])
    inner = [layers.Dense(3), layers.LeakyReLU(slope), layers.Dense(1)]
    discriminator = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), *inner])
    gan = mtf.gan.GAN(generator, discriminator, penalty=penalty, average_decay=decay, seed=seed)
    gan.compile(generator_optimizer, keras.optimizers.Adam(schedule(1e-3)), monitor=monitor)
    return gan


def classifier_of(augmentation=0.1, image_range=(0.0, 1.0), l2=0.0, units=3, activity=None):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.Dense(units, activity_regularizer=activity)]
    backbone = keras.Sequential([keras.Input((4, 4, 1)), *layers])
    augmentation = keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomRotation(augmentation)])
    model = mtf.transfer.TransferClassifier(
        backbone, 2, stages=1, l2_sp=l2, augmentation=augmentation, image_range=image_range
    )
    model.compile("adam")
    return model


def model_of(factor=2.0, function=tf.abs, regularizer=None):
    """A Keras model with parts that Keras could not save."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, kernel_regularizer=regularizer)(Scale(factor, function)(inputs)))
    model.compile("adam", "mse")
    return model


def with_weights(value=0.5):
    """As one that was trained before; all but the weights is the same."""
    learner = learner_of()
    learner.set_weights([np.full_like(weight, value) for weight in learner.get_weights()])
    return learner


SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
CHANGES = {
    learner_of: [
        {"units": 5},
        {"normalization": "running"},
        {"momentum": 0.8},
        {"dropout": 0.1},
        {"dropout": 0.2},
        {"dropout": 0.1, "seed": 2},
        {"regularizer": "l2"},
        {"regularizer": keras.regularizers.L2(0.02)},
        {"dtype": "mixed_bfloat16"},
        {"dtype": "float64"},
        {"frozen": True},
        {"trainable": False},
        {"initializer": keras.initializers.Constant(0.1)},
        {"constraint": keras.constraints.MaxNorm(1.5)},
        {"optimizer": Adam(1e-2)},
        {"optimizer": Adam(schedule(steps=200))},
        {"optimizer": Adam(schedule(), clipnorm=1.0)},
        {"optimizer": Adam(schedule(), use_ema=True)},
        {"optimizer": Adam(schedule(), gradient_accumulation_steps=2)},
        {"optimizer": SGD(schedule(), momentum=0.9)},
        {"inner": Adam(schedule(1e-3, steps=200))},
        {"inner": "sgd"},
        {"options": {"inner_batch_size": 4}},
        {"options": {"test_inner_steps": 3}},
        {"options": {"task_mapping": "vectorized"}},
        {"loss": hinge},
        {"loss": lambda y_true, y_pred: y_pred},
        {"loss": functools.partial(keras.losses.huber, delta=0.5)},
        {"loss": functools.partial(keras.losses.huber, delta=0.6)},
        {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
        {"loss": keras.losses.Huber(0.3)},
        {"loss": keras.losses.Huber(0.4)},
        {"loss": Margin(0.2)},
        {"loss": Margin(0.3)},
        {"metrics": ()},
        {"metrics": (keras.metrics.SparseCategoricalCrossentropy(from_logits=True),)},
        {"metrics": (keras.metrics.SparseCategoricalCrossentropy(from_logits=True, axis=2),)},
    ],
    model_of: [
        {"regularizer": "l2"},
        {"regularizer": Largest(0.1)},
        {"regularizer": Largest(0.2)},
        {"factor": 3.0},
        {"function": tf.square},
        {"function": lambda x: x + 1.0},
        {"function": lambda x: x + 2.0},
    ],
    gan_of: [
        {"penalty": "r1"},
        {"decay": None},
        {"decay": 0.95},
        {"generator_optimizer": Adam(schedule(1e-4))},
        {"monitor": "generator_loss"},
        {"seed": 1},
        {"activation": "sigmoid"},
        {"slope": 0.2},
    ],
    classifier_of: [
        {"augmentation": 0.2},
        {"image_range": (-1.0, 1.0)},
        {"l2": 0.1},
        {"units": 4},
        {"activity": keras.regularizers.L1(0.1)},
    ],
    with_weights: [{"value": -0.5}, {"value": 0.25}],
}


@pytest.mark.rows(default=["model_of", "with_weights"])
@pytest.mark.parametrize("build", CHANGES, ids=lambda build: build.__name__)
def test_every_nested_thing_tells_models_apart_and_a_model_built_again_is_the_same(build, tmp_path):
    found = {}
    for changes in [{}, *CHANGES[build]]:
        # Those whose values have no description of their own in Keras, and the unchanged, are built twice.
        times = 2 if not changes or any(map(callable, changes.values())) else 1
        built = [json.dumps(describe_model(build(**changes), build is with_weights)) for _ in range(times)]
        assert len(set(built)) == 1, changes
        found.setdefault(built[0], []).append(changes)
    assert not [group for group in found.values() if len(group) > 1]


@pytest.mark.parametrize(
    "build, changes, differing",
    [
        (learner_of, {"momentum": 0.8}, r"network.layers\[2\].momentum=0.8 where the run has 0.9$"),
        (
            learner_of,
            {"optimizer": Adam(schedule(steps=200))},
            "optimizer.learning_rate.decay_steps=200 where the run has 100$",
        ),
        (model_of, {"factor": 3.0}, r"own\[0\]._factor=3.0 where the run has 2.0$"),
        (gan_of, {"slope": 0.2}, r"discriminator.layers\[2\].negative_slope=0.2 where the run has 0.3$"),
        (classifier_of, {"augmentation": 0.2}, r"augmentation.layers\[1\].factor=.*0.2.* where the run has .*0.1"),
    ],
)
def test_the_words_name_the_place_and_both_values(build, changes, differing, tmp_path):
    check_same("folder", tmp_path / "file", describe_model(build()), "run")
    check_same("folder", tmp_path / "file", describe_model(build()), "run")
    with pytest.raises(ValueError, match="Received: .*" + differing):
        check_same("folder", tmp_path / "file", describe_model(build(**changes)), "run")


def test_a_learner_of_ones_own_is_told_apart_by_what_get_config_leaves_out():
    described = []
    for unit in (2.0, 3.0):
        learner = Sharp(mtf.networks.mlp((3,), (4,)))
        learner.unit = unit
        described.append(describe_model(learner))
    assert [one["own"][0]["unit"] for one in described] == [2.0, 3.0]


def test_training_and_use_change_no_description():
    classifier = classifier_of()
    before = describe_model(classifier)
    classifier.train_on_batch(np.ones((2, 4, 4, 1), "float32"), np.array([0, 1]))
    assert describe_model(classifier) == before


def test_functions_are_told_apart_by_their_code_and_surroundings_but_not_their_lines():
    def of(number):
        def helper(x):
            return x + number

        return lambda x: helper(x)

    names = {"__name__": __name__}
    exec(compile("\n\n\ndef f(x):\n    'Documented.'\n    return x in ('a', 'b', 1)", "another.py", "exec"), names)
    moved = names["f"]
    exec(compile("def f(x):\n    'In other words.'\n    return x in ('a', 'b', 1)", "one.py", "exec"), names)
    assert describe(moved) == describe(names["f"])
    exec(compile("def f(x):\n    'Documented.'\n    return x in ('a', 'b', 2)", "one.py", "exec"), names)
    assert describe(moved) != describe(names["f"])
    assert describe(of(1)) == describe(of(1)) != describe(of(2))


@pytest.mark.full
def test_another_process_has_the_same_description():
    code = (
        "import json, sys, keras, metalearn_tf as mtf; sys.path.insert(0, sys.argv[1]); import test_descriptions as t;"
        "print(json.dumps(t.describe_model(t.learner_of(dropout=0.1), weights=True)))"
    )
    folder = __file__.rpartition("/")[0]
    printed = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == json.loads(json.dumps(describe_model(learner_of(dropout=0.1), weights=True)))


@pytest.mark.parametrize(
    "changes",
    [
        {"examples": 1},
        {"labels": 1},
        {"class_names": ["a", "c"]},
        {"domain": "other"},
        {"parents": {"a": "x", "b": "x"}},
    ],
    ids=str,
)
def test_datasets_are_told_apart(changes):
    def dataset(examples=0, labels=0, **options):
        x, y = np.arange(8.0).reshape(4, 2), np.array([0, 0, 1, 1])
        x[0, 0], y[1] = examples, labels
        return mtf.data.ClassDataset(x, y, **{"class_names": ["a", "b"], **options})

    assert describe_dataset(dataset()) == describe_dataset(dataset()) != describe_dataset(dataset(**changes))
