"""Domains so small that a workflow runs on them in seconds."""

import metalearn_tf as mtf

import keras
import numpy as np

SHAPE = (16, 16, 1)


def domain(name, classes=6, examples=12, first=0, shape=SHAPE):
    """A `ClassDataset` of uint8 images: a pattern for each class, noise, and the domain's own brightness."""
    random = np.random.default_rng([first, len(name)])
    patterns = np.kron(
        np.random.default_rng(first).integers(0, 2, (classes, 4, 4)), np.ones((shape[0] // 4, shape[1] // 4))
    )
    labels = np.repeat(np.arange(classes), examples)
    images = 60 + 120 * patterns[labels] + random.normal(0, 20, (len(labels), *shape[:2])) + 5 * len(name)
    names = [f"{name} {first + number}" for number in range(classes)]
    return mtf.data.ClassDataset(images.clip(0, 255).astype("uint8")[..., None], labels, names, domain=name)


def prototypes():
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(SHAPE, filters=4))
    learner.compile(keras.optimizers.Adam(1e-2), metrics=["accuracy"])
    return learner


def pair_gan():
    gan = mtf.gan.GAN(*mtf.networks.pair_gan(SHAPE, 4, 3, filters=4))
    gan.compile()
    return gan


def augmentation_gan():
    gan = mtf.gan.GAN(*mtf.networks.augmentation_gan(SHAPE, latent_dim=3, filters=4))
    gan.compile()
    return gan


def conditional_gan(classes=6, compiled=True):
    gan = mtf.gan.GAN(*mtf.networks.dcgan(SHAPE, latent_dim=3, classes=classes, filters=4))
    if compiled:
        gan.compile()
    return gan
