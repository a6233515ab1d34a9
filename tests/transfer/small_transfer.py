"""A backbone and data so small that training takes no time."""

import metalearn_tf as mtf

import keras
import numpy as np


def small_backbone(seed=0, features=6):
    """Three layers with weights, one normalisation: images `(4, 4, 1)` to features."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4, 4, 1), name="images")
    x = keras.layers.Conv2D(5, 3, name="convolution")(inputs)
    x = keras.layers.BatchNormalization(name="normalization")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(features, activation="relu", name="dense")(x)
    return keras.Model(inputs, x, name="backbone")


def quadrants(count=32, seed=0):
    """uint8 images `(count, 4, 4, 1)` with a bright quadrant, and its number 0 to 3."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 100, (count, 4, 4, 1))
    labels = np.arange(count) % 4
    for image, label in zip(images, labels):
        top, left = divmod(label, 2)
        image[2 * top : 2 * top + 2, 2 * left : 2 * left + 2] += 150
    return images.astype("uint8"), labels


def weights_of(network):
    """Copies of a network's weights, by layer and name."""
    return {f"{layer.name}/{v.name}": v.numpy().copy() for layer in network.layers for v in layer.variables}


def dataset():
    return mtf.data.ClassDataset(*quadrants())
