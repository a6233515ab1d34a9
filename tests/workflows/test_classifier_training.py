"""Short trainings of one classifier, many times over."""

import metalearn_tf as mtf
from metalearn_tf.workflows.classifier_training import ClassifierTraining

import keras
import numpy as np
import pytest
from small_domains import SHAPE, domain


def classifier():
    keras.utils.set_random_seed(0)
    backbone = mtf.networks.conv4(SHAPE, filters=8, normalization="running")
    outputs = keras.layers.Dense(6, activation="softmax")(backbone.output)
    model = keras.Model(backbone.inputs, outputs)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", jit_compile=False)
    return model


def training(steps=100, augmentation_seed=0):
    keras.utils.set_random_seed(augmentation_seed)
    augmentation = mtf.workflows.classical_augmentation()
    return ClassifierTraining(classifier(), steps, 16, augmentation)


def data(examples=4):
    dataset = domain("a", examples=examples)
    return dataset.examples.astype("float32") / 255, dataset.labels


def test_it_learns_and_scores():
    accuracy, recall, f1 = training().scores(data(), None, data(10), False, seed=0)
    assert accuracy > 0.9 and recall == pytest.approx(accuracy) and 0.85 < f1 <= 1.0


@pytest.mark.parametrize("augments", [False, True])
def test_a_training_depends_on_its_seed_alone(augments):
    """And neither on the trainings before it nor on the state of the augmentation's layers."""
    one, other = training(5), training(5, augmentation_seed=1)
    images, labels = data()
    for number in range(2):
        one.scores((1.0 - images, labels), (images, labels), data(), not augments, seed=number)
    arguments = ((images, labels), None, data(10), augments, 7)
    one.scores(*arguments), other.scores(*arguments)
    for ours, theirs in zip(one.classifier.get_weights(), other.classifier.get_weights()):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_generated_images_count_as_much_as_real_ones():
    """With the labels of the generated images turned round, no class can be told; alone, they decide."""
    images, labels = data()
    wrong = (labels + 1) % 6
    confused = training().scores((images, labels), (images, wrong), data(10), False, seed=0)[0]
    assert confused < 0.8 < training().scores((images, labels), (images, labels), data(10), False, seed=0)[0]
