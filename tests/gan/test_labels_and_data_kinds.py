"""Class numbers of any network that takes them, and data of any kind, are taken or refused before training."""

import pathlib

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import LATENT, SHAPE, discriminator, generator

L = keras.layers
CLASSES = 3


def ops_one_hot(labels):
    return keras.ops.one_hot(labels, CLASSES)


def embedded_column(labels):
    return L.Flatten()(L.Embedding(CLASSES, 2)(labels))


def counted(labels):
    return L.CategoryEncoding(CLASSES, output_mode="one_hot")(labels)


# How a user's networks take labels: shape and dtype of the input, and what comes first.
WAYS = {
    "embedding": ((), "int32", lambda labels: L.Embedding(CLASSES, 2)(labels)),
    "embedding of a float column": ((1,), "float32", embedded_column),
    "keras.ops.one_hot": ((), "int32", ops_one_hot),
    "encoding": ((1,), "int32", counted),
}


def conditional_gan(way):
    shape, dtype, encode = WAYS[way]
    noise, labels = keras.Input((LATENT,)), keras.Input(shape, dtype=dtype)
    x = L.Dense(64, activation="tanh")(L.Concatenate()([noise, encode(labels)]))
    drawn = keras.Model([noise, labels], L.Reshape(SHAPE)(x))
    images, labels = keras.Input(SHAPE), keras.Input(shape, dtype=dtype)
    x = L.Concatenate()([L.Flatten()(images), encode(labels)])
    gan = mtf.gan.GAN(drawn, keras.Model([images, labels], L.Dense(1)(x)))
    gan.compile()
    return gan


@pytest.mark.parametrize("way", WAYS)
def test_labels_that_the_networks_do_not_know_are_refused(way):
    gan, images = conditional_gan(way), np.zeros((3, *SHAPE), "float32")
    shape = (3, *WAYS[way][0])
    for labels in ([0, 1, 3], [-1, 0, 1]):
        labels = np.reshape(labels, shape)
        with pytest.raises(ValueError, match=r"`labels` must be in \[0, 3\), the classes that the networks know"):
            gan.fit(images, labels, verbose=0)
        with pytest.raises(ValueError, match=r"`labels` must be in \[0, 3\)"):
            gan.sample(3, labels=labels)
    assert gan.number_of_classes == CLASSES
    in_turn = gan.sample(3, labels=np.reshape([0, 1, 2], shape))
    np.testing.assert_array_equal(gan.sample(3), in_turn)


DATA = {
    "ClassDataset": (
        lambda x: mtf.data.ClassDataset(x, np.arange(len(x)) % 2),
        r"a `ClassDataset` has `examples` and `labels`.*Received: ClassDataset",
    ),
    "list_iterator": (lambda x: iter([x]), "or a generator. Received: list_iterator"),
    "map": (lambda x: map(np.asarray, [x]), "or a generator. Received: map"),
    "str": (lambda x: "faces", "Received: str"),
    "path": (lambda x: pathlib.Path("faces"), "Received: PosixPath"),
    "named parts": (
        lambda x: tf.data.Dataset.from_tensor_slices({"image": x}).batch(2),
        r"`dataset.map\(lambda batch: batch\['image'\]\)`. Received: batches of \['image'\]",
    ),
}


@pytest.mark.rows(default=["True-map", "True-ClassDataset", "True-list_iterator", "True-path"])
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("adapts", [False, True])
def test_data_of_another_kind_are_refused_in_words(kind, adapts):
    make, words = DATA[kind]
    model = mtf.gan.GAN(generator(), discriminator())
    model = mtf.gan.MetaGAN(model, inner_steps=1) if adapts else model
    model.compile()
    x = np.zeros((4, 3, *SHAPE) if adapts else (4, *SHAPE), "float32")
    calls = [
        ("x", model.fit, {"x": make(x)}),
        ("x", model.evaluate, {"x": make(x)}),
        ("validation_data", model.fit, {"x": x, "validation_data": make(x)}),
    ]
    for argument, call, options in calls:
        with pytest.raises(ValueError, match=f"`{argument}` must (be images|give batches of images).*{words}"):
            call(**options, verbose=0)


def test_a_generator_of_bare_images_trains_as_one_of_tuples():
    images = np.random.default_rng(0).uniform(-1, 1, (4, *SHAPE)).astype("float32")
    losses = []
    for batch in (images, (images,)):
        keras.utils.set_random_seed(0)
        gan = mtf.gan.GAN(generator(), discriminator())
        gan.compile(run_eagerly=True)
        losses.append(gan.fit((batch for _ in range(2)), steps_per_epoch=2, verbose=0).history["generator_loss"])
    assert losses[0] == losses[1]


def test_a_callback_that_assigns_the_rate_assigns_it_to_both_players():
    gan = mtf.gan.GAN(generator(), discriminator())
    gan.compile("sgd", "sgd")
    gan.optimizer.learning_rate.assign(0.5)
    gan.optimizer.learning_rate = 0.5 * gan.optimizer.learning_rate
    assert float(gan.optimizer.learning_rate.numpy()) == 0.25
    assert [float(one.learning_rate) for one in (gan.generator_optimizer, gan.discriminator_optimizer)] == [0.25, 0.25]
