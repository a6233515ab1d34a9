"""What a workflow's folder is told apart by: one argument changed at a time, and nothing trained."""

import dataclasses
import functools
import json

import metalearn_tf as mtf
from metalearn_tf.workflows import (
    DAMLBudget,
    DAMLTasks,
    GANAugmentedBudget,
    GANAugmentedTasks,
    MetaGANTransferBudget,
    daml,
    gan_augmented,
    meta_gan_transfer,
)
from metalearn_tf.workflows.built_models import built_model

import keras
import numpy as np
import pytest

SHAPE = (16, 16, 1)


class Stop(Exception):
    pass


built_once = functools.cache(built_model)


def domain(name, classes=6, seed=0, domain=None):
    images = np.random.default_rng(seed).integers(0, 255, (12 * classes, *SHAPE)).astype("uint8")
    names = [f"{name} {number}" for number in range(classes)]
    return mtf.data.ClassDataset(images, np.repeat(np.arange(classes), 12), names, domain=domain or name)


def learner(momentum=0.9, steps=100, weights=None, dropout=0.0):
    x = inputs = keras.Input(SHAPE)
    x = keras.layers.Dense(4)(keras.layers.Flatten()(x))
    x = keras.layers.Dropout(dropout)(mtf.networks.TaskNormalization("running", momentum)(x))
    learner = mtf.learners.PrototypicalNetwork(keras.Model(inputs, x))
    if weights is not None:
        learner.set_weights([np.full_like(weight, weights) for weight in learner.get_weights()])
    learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)), metrics=["accuracy"])
    return learner


def gan(penalty="r1", rate=2e-4):
    """Of pairs: from source images to others."""
    layers = keras.layers
    noise, sources, images = keras.Input((2,)), keras.Input(SHAPE), keras.Input(SHAPE)
    x = layers.Concatenate()([noise, layers.Flatten()(sources)])
    generator = keras.Model([noise, sources], layers.Reshape(SHAPE)(layers.Dense(256, "tanh")(x)))
    pairs = layers.Flatten()(layers.Concatenate()([images, sources]))
    gan = mtf.gan.GAN(generator, keras.Model([images, sources], layers.Dense(1)(pairs)), penalty=penalty)
    gan.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, 100)))
    return gan


def meta_gan(beta=0.5, slope=0.2):
    layers = keras.layers
    generator = keras.Sequential([keras.Input((2,)), layers.Dense(256, "tanh"), layers.Reshape(SHAPE)])
    inner = [layers.Dense(2), layers.LeakyReLU(slope), layers.Dense(1)]
    discriminator = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), *inner])
    meta_gan = mtf.gan.MetaGAN(
        mtf.gan.GAN(generator, discriminator, average_decay=None), inner_optimizer=keras.optimizers.Adam(beta_1=beta)
    )
    meta_gan.compile()
    return meta_gan


def classifier(classes=3, slope=0.1):
    layers = [keras.layers.Flatten(), keras.layers.LeakyReLU(slope), keras.layers.Dense(classes, "softmax")]
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def backbone(units=4):
    return mtf.networks.mlp(SHAPE, (units,))


partial = functools.partial
AUGMENTATION = keras.Sequential([keras.layers.RandomRotation(0.2)])
CALLS = {
    daml: {
        "sources": [domain("a"), domain("b", seed=1)],
        "target": domain("target", classes=3, seed=2),
        "build_learners": {"prototypes": learner},
        "build_gan": gan,
        "build_backbone": backbone,
        "tasks": DAMLTasks(shots=2, target_images=4, queries=4, train_queries=2),
        "budget": DAMLBudget(seeds=1),
    },
    gan_augmented: {
        "sources": domain("a"),
        "target": domain("target", classes=3, seed=2),
        "build_learner": learner,
        "build_gan": gan,
        "tasks": GANAugmentedTasks(ways=2, queries=4, train_queries=2),
        "budget": GANAugmentedBudget(seeds=1),
    },
    meta_gan_transfer: {
        "sources": [domain("a"), domain("b", seed=1)],
        "target": domain("target", classes=3, seed=2),
        "build_meta_gan": meta_gan,
        "build_classifier": classifier,
        "shots": 2,
        "gan_shots": 4,
        "budget": MetaGANTransferBudget(seeds=1),
    },
}
CHANGES = [
    (daml, {"build_learners": {"prototypes": partial(learner, momentum=0.8)}}),
    (daml, {"build_learners": {"prototypes": partial(learner, steps=200)}}),
    (daml, {"build_learners": {"prototypes": partial(learner, weights=0.5)}}),
    (daml, {"build_learners": {"prototypes": partial(learner, dropout=0.1)}}),
    (daml, {"build_gan": partial(gan, rate=1e-4)}),
    (daml, {"build_gan": partial(gan, penalty=None)}),
    (daml, {"build_backbone": partial(backbone, 3)}),
    (daml, {"target": domain("target", classes=3, seed=3)}),
    (daml, {"sources": [domain("a"), domain("b", seed=4)]}),
    (daml, {"sources": [domain("a"), domain("c", seed=1, domain="b")]}),
    (daml, {"ratio": 0.5}),
    (gan_augmented, {"build_learner": partial(learner, momentum=0.8)}),
    (gan_augmented, {"build_gan": partial(gan, rate=1e-4)}),
    (gan_augmented, {"augmentation": mtf.workflows.classical_augmentation(flip=True)}),
    (gan_augmented, {"augmentation": keras.Sequential([keras.layers.RandomRotation(0.2)])}),
    (gan_augmented, {"augmentation": keras.Sequential([keras.layers.RandomRotation(0.3)])}),
    (gan_augmented, {"keep": 0.4}),
    (meta_gan_transfer, {"build_meta_gan": partial(meta_gan, beta=0.6)}),
    (meta_gan_transfer, {"build_meta_gan": partial(meta_gan, slope=0.3)}),
    (meta_gan_transfer, {"build_classifier": partial(classifier, slope=0.2)}),
    (meta_gan_transfer, {"augmentation": keras.Sequential([keras.layers.RandomRotation(0.2)])}),
]
# Every field of a grouped argument, each changed alone; one that the folder did not know would be an old result.
CHANGES += [
    (workflow, {argument: dataclasses.replace(arguments[argument], **{field.name: value})})
    for workflow, arguments in CALLS.items()
    for argument in ("tasks", "budget")
    if argument in arguments
    for field in dataclasses.fields(arguments[argument])
    for value in [(getattr(arguments[argument], field.name) or 2) + 1]
]


@pytest.fixture
def configurations(monkeypatch, tmp_path):
    """A function from a workflow and changes to the configurations of its folders."""

    def of(workflow, **changes):
        found = []

        def directory(path, configuration, *_):
            found.append(json.dumps(configuration))
            if "target" in configuration:
                raise Stop

        module = __import__(workflow.__module__, fromlist=["RunDirectory"])
        monkeypatch.setattr(module, "RunDirectory", directory)
        if {"tasks", "budget"} & set(changes):  # models that are those of before, and take the most of the time
            monkeypatch.setattr(module, "built_model", built_once)
        with pytest.raises(Stop):
            workflow(run_directory=tmp_path, **{**CALLS[workflow], **changes})
        return found

    return of


@pytest.mark.parametrize("workflow", CALLS, ids=lambda workflow: workflow.__name__)
def test_a_change_of_any_argument_makes_another_run_and_the_same_again_is_the_same(workflow, configurations):
    first = configurations(workflow)
    assert configurations(workflow) == first
    seen = [first]
    for changes in (changes for changed, changes in CHANGES if changed is workflow):
        changed = configurations(workflow, **changes)
        assert changed not in seen, changes
        seen.append(changed)


def test_builders_build_a_new_model_each_time_and_the_same():
    model, counter = learner(), iter(range(10))
    built_model("build_learner", learner)
    for build, error, words in (
        (model, TypeError, "be a function that builds a new model each time.*Received: PrototypicalNetwork"),
        (lambda: model, ValueError, "with weights of its own each time.*Received: the same weights twice"),
        (lambda: mtf.learners.NearestNeighbor(model.network), ValueError, "the same weights twice"),
        (lambda: keras.Sequential([keras.layers.Dense(1)]), TypeError, "a keras.Model with its weights"),
        (
            lambda: learner(dropout=0.1 * next(counter)),
            ValueError,
            r"the same model .*rate=0.1 where.*has 0.0",
        ),
    ):
        with pytest.raises(error, match="`build_learner` must.*" + words):
            built_model("build_learner", build)
