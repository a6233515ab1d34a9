"""The augmentation without a GAN."""

import metalearn_tf as mtf
from metalearn_tf.workflows.classical_augmentation import RandomAffine

import keras
import numpy as np
import pytest

NOTHING = {"turn": 0.0, "move": 0.0, "zoom": 0.0, "shear": 0.0}


def blob(row, column, size=21):
    """An image that is bright around one place."""
    rows, columns = np.mgrid[:size, :size]
    distances = (rows - row) ** 2 + (columns - column) ** 2
    return np.exp(-distances / 4.0).astype("float32")[..., None]


def place(images):
    """Rows and columns of the centres of brightness, counted from the middle."""
    weights = images[..., 0] / images.sum(axis=(1, 2, 3), keepdims=True)[..., 0]
    grid = np.arange(images.shape[1]) - (images.shape[1] - 1) / 2
    return np.stack([(weights.sum(axis=2) * grid).sum(axis=1), (weights.sum(axis=1) * grid).sum(axis=1)], axis=1)


def moved(image, count=200, **options):
    images = np.repeat(image[None], count, axis=0)
    return place(np.asarray(RandomAffine(**{**NOTHING, **options}, seed=0)(images, training=True)))


def test_nothing_moves_without_a_range_or_outside_training():
    images = np.random.default_rng(0).uniform(size=(3, 8, 8, 2)).astype("float32")
    np.testing.assert_allclose(RandomAffine(**NOTHING)(images, training=True), images, atol=1e-5)
    np.testing.assert_array_equal(RandomAffine()(images), images)


def test_the_middle_stays_under_all_but_moves():
    assert np.abs(moved(blob(10, 10), turn=0.1, zoom=0.2, shear=0.2)).max() < 0.1


def test_a_turn_keeps_the_distance_and_reaches_its_range():
    rows, columns = moved(blob(10, 16), turn=0.05).T
    np.testing.assert_allclose(np.hypot(rows, columns), 6.0, atol=0.1)
    angles = np.arctan2(rows, columns) / (2 * np.pi)
    assert -0.051 < angles.min() < -0.045 and 0.045 < angles.max() < 0.051


def test_a_move_reaches_its_range_in_both_directions():
    places = moved(blob(10, 10), move=0.1)
    assert np.all(np.abs(places) < 2.15) and np.all(places.max(axis=0) > 1.9) and np.all(places.min(axis=0) < -1.9)


def test_a_zoom_changes_the_distance_from_the_middle():
    rows, columns = moved(blob(14, 14), zoom=0.15).T
    np.testing.assert_allclose(rows, columns, atol=0.05)
    assert 3.3 < rows.min() < 3.6 and 4.4 < rows.max() < 4.7


def test_a_shear_moves_along_rows_by_the_distance_from_the_middle():
    rows, columns = moved(blob(15, 10), shear=0.2).T
    np.testing.assert_allclose(rows, 5.0, atol=0.1)
    assert -1.05 < columns.min() < -0.9 and 0.9 < columns.max() < 1.05


def test_a_background_of_any_colour_goes_on():
    images = np.full((4, 12, 12, 1), 0.7, "float32")
    np.testing.assert_allclose(mtf.workflows.classical_augmentation()(images, training=True), images, atol=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_images_are_mirrored_where_they_may_be(flip):
    layer = mtf.workflows.classical_augmentation(flip)
    left = place(np.asarray(layer(np.repeat(blob(10, 4)[None], 50, axis=0), training=True)))[:, 1]
    assert np.any(left > 0) == flip


def test_it_comes_back_from_its_configuration():
    layer = RandomAffine(turn=0.2, seed=3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    images = np.random.default_rng(0).uniform(size=(3, 8, 8, 2)).astype("float32")
    np.testing.assert_array_equal(layer(images, training=True), again(images, training=True))
