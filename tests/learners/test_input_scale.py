"""Networks that divide pixels by 255 themselves, where the library has divided them already."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

LABELS = np.array([0, 0, 1, 1])
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype("uint8")


def learner_of(*first):
    layers = [keras.Input((8, 8, 1)), *first, keras.layers.Flatten(), keras.layers.Dense(4)]
    learner = mtf.learners.PrototypicalNetwork(keras.Sequential(layers))
    learner.compile()
    return learner


@pytest.mark.parametrize(
    "first",
    [
        [keras.layers.Rescaling(1 / 255)],
        [keras.layers.RandomFlip(), keras.layers.Rescaling(1 / 127.5, offset=-1)],
        [keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255, name="inside")])],
    ],
)
def test_images_are_not_divided_twice(first):
    learner, pixels = learner_of(*first), IMAGES.astype("float32")
    for images in (IMAGES, pixels / 255.0):
        with pytest.raises(ValueError, match=r"`support_x` must be in the range .* divides pixels itself.*\[0, 255\]"):
            learner.adapt(images, LABELS)
        tasks = [part[None] for part in (images / images.max(), LABELS, images / images.max())]
        with pytest.raises(ValueError, match="`support_x` must be in the range .* divides pixels itself"):
            learner.fit(tasks, LABELS[None], verbose=0)
    assert learner.adapt(pixels, LABELS).predict(pixels, verbose=0).shape == (4, 2)


@pytest.mark.parametrize("first", [[], [keras.layers.Rescaling(2.0, offset=-1.0)]])
def test_other_networks_take_images_as_they_are(first):
    assert learner_of(*first).adapt(IMAGES, LABELS).predict(IMAGES, verbose=0).shape == (4, 2)
