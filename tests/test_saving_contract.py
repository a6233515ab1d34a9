"""Every model and layer, with every argument set to something unusual, is saved and is the same again."""

import copy
import inspect
import json
import pickle

import metalearn_tf as mtf
from metalearn_tf.engine.describe import describe
from metalearn_tf.learners.adapted_model import AdaptedModel
from metalearn_tf.networks.bag_of_words import WordWeights
from metalearn_tf.networks.text_encoder import WordAttention
from metalearn_tf.training.descriptions import describe_model, optimizers_of
from metalearn_tf.workflows.classical_augmentation import RandomAffine

import keras
import numpy as np
import pytest
import tensorflow as tf

L, optimizers = keras.layers, keras.optimizers
learners, networks, transfer = mtf.learners, mtf.networks, mtf.transfer
WAYS = 3


# === What models are made of ===


@keras.saving.register_keras_serializable("test_saving_contract")
class Scale(L.Layer):
    """A layer of the user's own."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.slope = self.add_weight(shape=(input_shape[-1],), initializer="ones")

    def call(self, x):
        return self.factor * self.slope * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("test_saving_contract")
def smooth_loss(y_true, y_pred):
    """A loss of the user's own, on logits."""
    return 0.5 * keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


@keras.saving.register_keras_serializable("test_saving_contract")
class Powered(keras.losses.Loss):
    def __init__(self, power=1.0, name="powered", **kwargs):
        super().__init__(name=name, **kwargs)
        self.power = power

    def call(self, y_true, y_pred):
        losses = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        return keras.ops.power(losses + 1e-3, self.power)

    def get_config(self):
        return {**super().get_config(), "power": self.power}


@keras.saving.register_keras_serializable("test_saving_contract")
class Highest(keras.metrics.Mean):
    """A metric of the user's own: the mean of the largest logits, times a factor."""

    def __init__(self, factor=1.0, name="highest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.factor = factor

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(self.factor * tf.reduce_max(y_pred, axis=-1))

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def network(outputs=WAYS, normalization="support", frozen=True):
    """Of five numbers, with a layer of ours, a layer of one's own, a frozen layer and a model within."""
    x = inputs = keras.Input((5,), name="numbers")
    x = L.Dense(4, bias_initializer=keras.initializers.Constant(0.1))(x)
    if normalization:
        x = networks.TaskNormalization(normalization, momentum=0.7, epsilon=0.01)(x)
    x = keras.Sequential([keras.Input((4,)), Scale(1.5), L.Activation("tanh")], name="inner")(x)
    x = L.Dense(4, trainable=not frozen, bias_initializer="ones")(x)
    return keras.Model(inputs, x if outputs is None else L.Dense(outputs)(x), name="network")


def schedule(rate=0.01):
    return optimizers.schedules.ExponentialDecay(rate, 2, 0.5)


def backbone():
    x = inputs = keras.Input((8, 8, 1))
    x = L.Conv2D(3, 3, strides=3, activation="relu")(x)
    x = networks.TaskNormalization("running")(x)
    return keras.Model(inputs, L.Dense(4)(L.Flatten()(x)), name="backbone")


def generator(labels=False, name="generator"):
    noise = keras.Input((3,))
    inputs, x = noise, noise
    if labels:
        inputs = [noise, keras.Input((), dtype="int32")]
        one_hot = keras.ops.one_hot(inputs[1], 2)
        x = L.Concatenate()([noise, L.Dense(2, use_bias=False, name="label_embedding")(one_hot)])
    x = L.Reshape((8, 8, 1))(L.Dense(64, "tanh")(x))
    return keras.Model(inputs, x, name=name)


def discriminator():
    inputs = keras.Input((8, 8, 1))
    x = L.Dense(4, name="features")(L.Flatten()(inputs))
    return keras.Model(inputs, L.Dense(1)(L.LeakyReLU(0.3)(x)), name="discriminator")


def encoder():
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, L.Dense(3)(L.Flatten()(inputs)), name="encoder")


def augmentation():
    return keras.Sequential([L.GaussianNoise(0.1, seed=3), RandomAffine(0.1, seed=4)], name="augmentation")


# === Data ===

random = np.random.default_rng(0)
support_y = query_y = np.tile(np.repeat(np.arange(WAYS), 2), (2, 1)).astype("int32")
support_x, query_x = (random.normal(size=(2, 6, 5)).astype("float32") for _ in range(2))
TASKS = (support_x, support_y, query_x), query_y
IMAGES = random.uniform(0, 1, (4, 8, 8, 1)).astype("float32")
LABELS = np.array([0, 1, 1, 0], "int32")


# === The table ===

# NumPy's numbers stand where one would write Python's: what `np.linspace`, a search or a file gives.
number = np.float32
of_learner = {"name": "mine", "trainable": True, "task_mapping": "parallel"}
of_steps = {**of_learner, "inner_steps": 2, "test_inner_steps": 3, "rematerialize": True}
of_backbone = {"name": "mine", "trainable": True, "image_range": (-1.0, number(2.0))}
of_layer = {"name": "mine", "trainable": False, "dtype": "mixed_bfloat16"}


def maml(**options):
    return learners.MAML, network(), {**of_steps, "inner_learning_rate": number(0.3), **options}


def gan(**options):
    networks_of_gan = {"generator": generator(), "discriminator": discriminator()}
    defaults = {
        "loss": "hinge",
        "penalty": "r1",
        "penalty_weight": number(0.5),
        "discriminator_steps": np.int64(2),
        "augmentation": "color,cutout",
        "average_decay": number(0.5),
        "feature_matching_weight": number(0.1),
        "encoder": encoder(),
        "reconstruction_weight": number(0.2),
        "seed": np.int64(3),
        "image_range": (-1.0, 1.0),
        "name": "mine",
        "trainable": True,
    }
    return mtf.gan.GAN, None, {**networks_of_gan, **defaults, **options}


def plain_gan():
    return mtf.gan.GAN(generator(), discriminator(), penalty="gradient", average_decay=None)


def meta_gan(**options):
    defaults = {
        "gan": plain_gan(),
        "inner_steps": np.int64(2),
        "inner_batch_size": np.int64(2),
        "test_inner_steps": np.int64(3),
        "seed": np.int64(4),
        "name": "mine",
        "trainable": True,
    }
    return mtf.gan.MetaGAN, None, {**defaults, **options}


def ensemble_of():
    members = [learners.PrototypicalNetwork(network(None)), learners.MAML(network())]
    members[1].compile("adam", loss=Powered(1.5))
    return members


def domain_adaptation(**options):
    defaults = {**of_backbone, "backbone": backbone(), "classes": 2, "class_names": ["cat", "owl"], "seed": np.int64(3)}
    return transfer.DomainAdaptation, None, {**defaults, "augmentation": augmentation(), **options}


def on_images(options):
    return {**of_backbone, "backbone": backbone(), "augmentation": augmentation(), **options}


# From a name that begins with the class's to the class, the network that is its first argument or `None`, and all
# other arguments.
MODELS = {
    "MAML": lambda: maml(
        first_order="annealed",
        learned_rates=True,
        per_step_normalization=True,
        multi_step_loss=True,
        annealing_steps=2,
    ),
    "MAML of first order": lambda: maml(
        first_order=True,
        learned_rates=False,
        per_step_normalization=False,
        multi_step_loss=False,
        annealing_steps=None,
    ),
    "ANIL": lambda: (
        learners.ANIL,
        network(),
        {**of_steps, "first_order": True, "inner_learning_rate": number(0.3)},
    ),
    "MetaSGD": lambda: (
        learners.MetaSGD,
        network(),
        {**of_steps, "first_order": True, "inner_learning_rate": number(0.3)},
    ),
    "MetaLSTM": lambda: (
        learners.MetaLSTM,
        network(),
        {**of_steps, "units": 3, "inner_learning_rate": number(0.02), "forget_rate": number(0.01)},
    ),
    "Reptile": lambda: (
        learners.Reptile,
        network(),
        {
            **of_learner,
            "inner_steps": 2,
            "test_inner_steps": 3,
            "inner_batch_size": 4,
            "inner_optimizer": optimizers.RMSprop(schedule(), rho=0.8, momentum=0.1, centered=True, clipnorm=1.0),
        },
    ),
    "Reptile by name": lambda: (
        learners.Reptile,
        network(),
        {**of_learner, "inner_steps": 1, "test_inner_steps": 1, "inner_batch_size": 4, "inner_optimizer": "adamax"},
    ),
    "MANN": lambda: (
        learners.MANN,
        network(None),
        {
            **of_learner,
            "ways": WAYS,
            "memory_slots": 6,
            "memory_width": 3,
            "controller_units": 4,
            "read_heads": 2,
            "usage_decay": number(0.9),
        },
    ),
    "PrototypicalNetwork": lambda: (
        learners.PrototypicalNetwork,
        network(None),
        {**of_learner, "distance": "cosine", "logit_scale": number(3.0)},
    ),
    "MatchingNetwork": lambda: (
        learners.MatchingNetwork,
        network(None),
        {**of_learner, "logit_scale": number(3.0)},
    ),
    "RelationNetwork": lambda: (learners.RelationNetwork, network(None), of_learner),
    "NearestNeighbor": lambda: (learners.NearestNeighbor, network(None), of_learner),
    "Ensemble": lambda: (learners.Ensemble, None, {**of_learner, "learners": ensemble_of()}),
    "Baseline": lambda: (
        transfer.Baseline,
        network(None),
        {
            **of_learner,
            "epochs": 2,
            "batch_size": 3,
            "learning_rate": number(0.1),
            "weight_decay": number(0.01),
            "seed": np.int64(5),
        },
    ),
    "BaselinePlusPlus": lambda: (
        transfer.BaselinePlusPlus,
        network(None),
        {
            **of_learner,
            "epochs": 2,
            "batch_size": None,
            "learning_rate": number(0.1),
            "weight_decay": number(0.01),
            "seed": np.int64(5),
            "scale": number(1.5),
        },
    ),
    "EnlargedSupport": lambda: (
        mtf.workflows.EnlargedSupport,
        None,
        {
            **of_learner,
            "learner": learners.PrototypicalNetwork(backbone()),
            "enlarger": augmentation(),
            "copies": 2,
            "seed": np.int64(6),
            "image_range": None,
        },
    ),
    "AdaptedModel": lambda: (
        AdaptedModel,
        None,
        {
            "learner": learners.MAML(network()),
            "state": adapted_state(),
            "regression": True,
            "name": "mine",
        },
    ),
    "GAN": gan,
    "GAN with labels": lambda: gan(
        generator=generator(labels=True), discriminator=labelled_discriminator(), encoder=None, reconstruction_weight=0
    ),
    "MetaGAN": lambda: meta_gan(
        algorithm="reptile",
        inner_optimizer=optimizers.RMSprop(0.01, rho=number(0.8)),
        inner_learning_rate=None,
        learned_rates=False,
    ),
    "MetaGAN by MAML": lambda: meta_gan(
        algorithm="maml", inner_optimizer=None, inner_learning_rate=number(0.02), learned_rates=True
    ),
    "TransferClassifier": lambda: (
        transfer.TransferClassifier,
        None,
        on_images(
            {
                "classes": 2,
                "class_names": ["cat", "owl"],
                "head_epochs": np.int64(1),
                "stages": np.int64(2),
                "stage_epochs": np.int64(2),
                "layer_decay": number(0.5),
                "l2_sp": number(0.1),
                "train_normalization": True,
            }
        ),
    ),
    "TransferClassifier by names": lambda: (
        transfer.TransferClassifier,
        None,
        on_images(
            {
                "classes": 2,
                "class_names": None,
                "head_epochs": 0,
                "stages": ("top",),
                "stage_epochs": 1,
                "layer_decay": 1.0,
                "l2_sp": 0.0,
                "train_normalization": False,
                "backbone": named_backbone(),
            }
        ),
    ),
    "DomainAdaptation": lambda: domain_adaptation(
        method="dann", weight=0.5, bandwidths=None, discriminator=keras.Sequential([keras.Input((4,)), L.Dense(1)])
    ),
    "DomainAdaptation by MMD": lambda: domain_adaptation(
        method="mmd", weight=2.0, bandwidths=(number(0.5), 2.0), discriminator=None
    ),
    "ContrastiveModel": lambda: (
        transfer.ContrastiveModel,
        None,
        on_images({"temperature": number(0.3), "projection": 3}),
    ),
    "DenoisingAutoencoder": lambda: (
        transfer.DenoisingAutoencoder,
        None,
        on_images({"noise": number(0.2), "filters": 2}),
    ),
}


def labelled_discriminator():
    images, labels = keras.Input((8, 8, 1)), keras.Input((), dtype="int32")
    x = L.Dense(4, name="features")(L.Flatten()(images))
    x = L.Concatenate()([x, keras.ops.one_hot(labels, 2)])
    return keras.Model([images, labels], L.Dense(1)(x), name="discriminator")


def named_backbone():
    inputs = keras.Input((8, 8, 1))
    x = L.Dense(4, name="top")(L.Dense(3, name="bottom")(L.Flatten()(inputs)))
    return keras.Model(inputs, x, name="backbone")


def adapted_state():
    adapted = learners.MAML(network()).adapt(support_x[0], support_y[0])
    return [np.asarray(tensor) for tensor in adapted.state]


# From a name to a class, its arguments, and what it is called on.
LAYERS = {
    "TaskNormalization": (
        networks.TaskNormalization,
        {"normalization": "running", "momentum": number(0.7), "epsilon": number(0.01), "scale": False, "center": True},
        IMAGES,
    ),
    "ExampleNormalization": (networks.ExampleNormalization, {"epsilon": number(0.01)}, IMAGES),
    "MaxPooling": (networks.MaxPooling, {}, IMAGES),
    "Deformation": (
        networks.deformation.Deformation,
        {"largest_move": number(0.4), "dtype": "float32"},
        [2 * IMAGES - 1, random.normal(size=(4, 2, 2, 2)), random.normal(size=(4, 7))],
    ),
    "MultiTaskHead": (
        networks.MultiTaskHead,
        {"task_of_class": (np.int64(0), 1, 1)},
        [support_x[0], np.array([0, 1, 0, 1, 0, 1])],
    ),
    "WordWeights": (WordWeights, {}, np.array([[1, 2, 0, 1]], "float32")),
    "WordAttention": (
        WordAttention,
        {},
        [random.normal(size=(1, 3, 2)), random.normal(size=(1, 3, 1)), np.array([[2, 1, 0]])],
    ),
    "GradientReversal": (transfer.GradientReversal, {"strength": number(0.3)}, support_x[0]),
    "NeighborVotes": (
        transfer.NeighborVotes,
        {
            "examples": np.int64(4),
            "features": np.int64(5),
            "classes": np.int64(2),
            "neighbors": np.int64(3),
            "distance": "squared_euclidean",
            "temperature": number(0.7),
        },
        support_x[0],
    ),
    "RandomAffine": (
        RandomAffine,
        {"turn": number(0.1), "move": 0.2, "zoom": 0.1, "shear": 0.2, "seed": np.int64(5)},
        IMAGES,
    ),
}
# Not made without an extra, and tested with it.
ELSEWHERE = {"HubTokens"}


def build(name):
    cls, first, options = MODELS[name]()
    model = cls(**options) if first is None else cls(first, **options)
    return vary(model)


def vary(model):
    """Weights other than the first, so that a weight that is lost is seen."""
    generator = np.random.default_rng(1)
    for variable in model.weights:
        if variable.dtype in ("float32", "bfloat16"):
            variable.assign(generator.uniform(0.1, 0.6, variable.shape))
    return model


# Arguments of a base that the class itself sets.
FIXED = {
    "MetaLSTM": {"first_order"},
    "Reptile": {"first_order", "rematerialize"},
    "Ensemble": {"network"},
    "EnlargedSupport": {"network"},
    "GAN": {"losses", "network_dtype"},
    "MetaGAN": {"losses", "network_dtype"},
}


def arguments_of(cls):
    """All arguments of a constructor, along its `**kwargs`."""
    names = []
    for base in cls.__mro__:
        if base.__module__.startswith("keras"):
            return {*names, "name", "trainable"} - FIXED.get(cls.__name__, set())
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            names += [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return {*names} - FIXED.get(cls.__name__, set())


def compiled(model):
    """With what people compile: schedules, losses and metrics of their own."""
    if isinstance(model, mtf.gan.GAN):
        model.compile(
            optimizers.RMSprop(schedule()),
            optimizers.Adam(0.01, beta_1=0.3, clipvalue=0.5),
            monitor="penalty",
            mode="max",
        )
    elif isinstance(model, mtf.gan.MetaGAN):
        model.compile(optimizers.Adam(schedule()))
    elif isinstance(model, (transfer.DomainAdaptation, transfer.ContrastiveModel, transfer.DenoisingAutoencoder)):
        model.compile(optimizers.SGD(schedule(), momentum=0.5))
    elif isinstance(model, transfer.TransferClassifier):
        metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(1)]
        model.compile(optimizers.AdamW(schedule(), weight_decay=0.01), metrics=metrics)
    elif isinstance(model, mtf.learners.MetaLearner):
        model.compile(optimizers.Adam(schedule(), clipnorm=0.5), loss=Powered(1.5), metrics=["accuracy", Highest(2.0)])
    return model


def in_training(model):
    """As after some steps: the optimizers have a state."""
    generator = np.random.default_rng(2)
    for optimizer in optimizers_of(model).values():
        for variable in optimizer.variables:
            if variable.dtype == "float32" and variable.shape:
                variable.assign(generator.uniform(0.1, 0.6, variable.shape))
        optimizer.iterations.assign(3)
    return model


def step(model):
    """One step of training on a batch that is always the same; the logs."""
    model.reset_metrics()
    for variable in model.variables:
        if variable.name == "seed_generator_state":  # which Keras does not save
            variable.assign([3, 3])
    if isinstance(model, mtf.gan.GAN):
        return model.train_on_batch(2 * IMAGES - 1, *([LABELS] if model.conditional else []), return_dict=True)
    if isinstance(model, mtf.gan.MetaGAN):
        return model.train_on_batch(np.stack([IMAGES, IMAGES[::-1]]), return_dict=True)
    if isinstance(model, transfer.DomainAdaptation):
        model.training_steps.assign(4)
        return tf.function(model.train_step)(((tf.constant(IMAGES), tf.constant(1 - IMAGES)), tf.constant(LABELS)))
    if isinstance(model, transfer.TransferClassifier):
        return model.train_on_batch(IMAGES, LABELS, return_dict=True)
    if isinstance(model, (transfer.ContrastiveModel, transfer.DenoisingAutoencoder)):
        return tf.function(model.train_step)(tf.constant(IMAGES))
    return model.train_on_batch(*TASKS, return_dict=True)


def answer(model):
    """What it makes of a batch."""
    if isinstance(model, mtf.gan.GAN):
        noise = random_noise(4)
        return model.sampler([noise, LABELS] if model.conditional else noise)
    if isinstance(model, mtf.gan.MetaGAN):
        return model.adapt(2 * IMAGES - 1, seed=2).generator(random_noise(4))
    if isinstance(model, AdaptedModel):
        return model(query_x[0])
    if isinstance(model, mtf.workflows.EnlargedSupport):
        return model.adapt(IMAGES, LABELS)(IMAGES)
    if isinstance(model, mtf.learners.MetaLearner):
        return tf.function(model)([tf.constant(part) for part in TASKS[0]])
    return model(IMAGES)


def assert_same_answers(model, expected):
    np.testing.assert_allclose(np.asarray(answer(model)), expected, rtol=1e-5, atol=1e-6)


def random_noise(count):
    return np.random.default_rng(2).normal(size=(count, 3)).astype("float32")


UNTRAINED = (learners.Ensemble, transfer.Baseline, mtf.workflows.EnlargedSupport, AdaptedModel)


def assert_same_model(one, other):
    assert type(one) is type(other)
    assert describe_model(one) == describe_model(other)
    for value, expected in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert optimizers_of(one).keys() == optimizers_of(other).keys()
    for name, optimizer in optimizers_of(one).items():
        for value, expected in zip(optimizer.variables, optimizers_of(other)[name].variables, strict=True):
            np.testing.assert_array_equal(np.asarray(value), np.asarray(expected))


# === The table is whole ===


def test_every_class_is_in_the_table():
    registered = {
        name.rpartition(">")[2]
        for name, value in keras.saving.get_custom_objects().items()
        if name.startswith("metalearn_tf>") and inspect.isclass(value) and value.__module__.startswith("metalearn_tf.")
    }
    named = {name.partition(" ")[0] for name in MODELS} | {cls.__name__ for cls, *_ in LAYERS.values()} | ELSEWHERE
    assert registered == named


@pytest.mark.rows(default=["ContrastiveModel", "DenoisingAutoencoder", "MetaGAN", "TransferClassifier by names"])
@pytest.mark.parametrize("name", MODELS)
def test_every_argument_is_set_and_in_the_configuration(name):
    cls, first, options = MODELS[name]()
    assert cls.__name__ == name.partition(" ")[0]
    arguments = arguments_of(cls) - {"self", "dtype"}
    given = {*options, *([] if first is None else ["network"])}
    if cls is AdaptedModel:
        arguments -= {"trainable"}  # it is not trained, and says so
    assert given == arguments, "the table must have each argument of the constructor"
    config = build(name).get_config()
    assert given <= config.keys()
    assert json.loads(json.dumps(config)) == config
    for key, value in options.items():
        if isinstance(value, (bool, int, float, str, np.generic, type(None))) and key != "inner_optimizer":
            assert config[key] == (value.item() if isinstance(value, np.generic) else value), key


@pytest.mark.parametrize("name", LAYERS)
def test_every_argument_of_a_layer_is_set_and_in_the_configuration(name):
    cls, options, _ = LAYERS[name]
    assert options.keys() | of_layer.keys() >= arguments_of(cls) - {"self"}
    config = cls(**{**of_layer, **options}).get_config()
    assert options.keys() | of_layer.keys() <= config.keys()
    assert json.loads(json.dumps(config)) == config


# === Saved and loaded ===

# Those whose steps compile fast; `tests/learners/test_contract.py` trains all learners.
FAST = ("PrototypicalNetwork", "GAN", "TransferClassifier", "DomainAdaptation")


# What the others answer by takes seconds to compile; their files are tested by the copies below all the same.
QUICK = (*FAST, "MAML of first order", "MatchingNetwork", "AdaptedModel", "DenoisingAutoencoder", "ContrastiveModel")


@pytest.mark.rows(default=["ContrastiveModel"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in MODELS])
def test_a_model_is_the_same_after_every_way_of_keeping_it(name, tmp_path):
    model = build(name)
    rebuilt = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert describe(rebuilt) == describe(model)
    in_training(compiled(model))
    model.save(tmp_path / "model.keras")
    loaded, expected = keras.models.load_model(tmp_path / "model.keras"), np.asarray(answer(model))
    assert_same_model(loaded, model)
    assert_same_answers(loaded, expected)
    if isinstance(model, mtf.learners.MetaLearner):  # whose loss is a part of the adaptation
        assert_same_answers(keras.models.load_model(tmp_path / "model.keras", compile=False), expected)

    model.save_weights(tmp_path / "model.weights.h5")
    compiled(rebuilt).load_weights(tmp_path / "model.weights.h5")
    assert_same_answers(rebuilt, expected)
    for path in ("model.h5", "model.hdf5"):
        with pytest.raises(ValueError, match="`filepath` must end with `.keras`"):
            model.save(tmp_path / path)


@pytest.mark.full
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FAST else pytest.mark.slow) for n in MODELS])
def test_a_loaded_model_trains_on_the_same(name, tmp_path):
    model = in_training(compiled(build(name)))
    if isinstance(model, UNTRAINED):
        pytest.skip("it is not trained")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for _ in range(2):
        logs, expected = ({key: float(value) for key, value in step(one).items()} for one in (loaded, model))
        assert logs == pytest.approx(expected, rel=1e-4)
    for value, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.rows(default=["TransferClassifier by names", "MetaGAN by MAML", "ContrastiveModel"])
@pytest.mark.parametrize("name", MODELS)
def test_a_copy_is_the_same_and_shares_no_weight(name):
    model = compiled(build(name))
    for made in (pickle.loads(pickle.dumps(model)), *([copy.deepcopy(model)] if name in FAST else [])):
        assert_same_model(made, model)
        assert not {id(v) for v in made.variables} & {id(v) for v in model.variables}
    cloned = keras.models.clone_model(model)
    assert describe(cloned) == describe(model)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_the_same_in_a_loaded_model(name, tmp_path):
    cls, options, x = LAYERS[name]
    x = x if isinstance(x, list) else [x]
    x = [np.asarray(part, "int32" if np.asarray(part).dtype.kind == "i" else "float32") for part in x]
    inputs = [keras.Input(part.shape[1:], dtype=part.dtype.name) for part in x]
    layer = cls(**{**of_layer, **options})
    model = vary(keras.Model(inputs, layer(inputs[0] if len(x) == 1 else inputs)))
    model.save(tmp_path / "model.keras")
    for made in (keras.models.load_model(tmp_path / "model.keras"), copy.deepcopy(model)):
        assert describe(made) == describe(model)
        assert made.layers[-1].dtype_policy == layer.dtype_policy and made.layers[-1].trainable is layer.trainable
        for value, expected in zip(made.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)
        np.testing.assert_array_equal(np.asarray(made(x), "float32"), np.asarray(model(x), "float32"))
    rebuilt = cls.from_config(json.loads(json.dumps(layer.get_config())))
    assert describe(rebuilt.get_config()) == describe(layer.get_config())
