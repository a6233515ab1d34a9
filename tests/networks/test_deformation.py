"""Deformed images against maps by hand."""

from metalearn_tf.networks.deformation import Deformation, sample_bilinear

import keras
import numpy as np
import pytest
import tensorflow as tf

HEIGHT, WIDTH = 14, 21


def images(n=2, channels=2):
    return np.random.default_rng(0).uniform(-1, 1, (n, HEIGHT, WIDTH, channels)).astype("float32")


def parameters(*values):
    """Of two images; the contrast so small that what comes out is what went in."""
    return np.tile(np.array([*values, -20.0], "float32"), (2, 1))


def deform(x, moves=None, values=(0.0,) * 6, **options):
    moves = np.zeros((2, 4, 7, 2), "float32") if moves is None else moves
    return Deformation(**options)([x, moves, parameters(*values)]).numpy()


def test_places_between_pixels_are_weighted_means_of_four_neighbours():
    x = images()
    random = np.random.default_rng(1)
    rows, columns = random.uniform(-3, HEIGHT + 2, (2, 50)), random.uniform(-3, WIDTH + 2, (2, 50))
    found = sample_bilinear(tf.constant(x), tf.constant(rows, "float32"), tf.constant(columns, "float32")).numpy()
    for image, *places, values in zip(x, rows, columns, found):
        for row, column, value in zip(*places, values):
            row, column = np.clip(row, 0, HEIGHT - 1), np.clip(column, 0, WIDTH - 1)
            expected = sum(
                image[i, j] * max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j))
                for i in range(HEIGHT)
                for j in range(WIDTH)
            )
            np.testing.assert_allclose(value, expected, atol=1e-4)


def test_zeros_leave_images_as_they_are_but_for_their_contrast():
    x = images()
    np.testing.assert_allclose(deform(x), x, atol=1e-4)
    strong = Deformation()([x, np.zeros((2, 4, 7, 2)), np.zeros((2, 7))])
    np.testing.assert_allclose(strong, np.tanh(1.501 * x) / np.tanh(1.501), atol=1e-4)


def test_images_are_shifted_by_a_seventh_of_their_sides_at_most():
    x = images()
    shifted = deform(x, values=(0, 0, 0, 0, -20, 20))
    np.testing.assert_allclose(shifted[:, 2:, :-3], x[:, :-2, 3:], atol=1e-4)


@pytest.mark.parametrize("turn", [0, 1], ids=["scale", "shear"])
def test_the_affine_map_is_about_the_middle(turn):
    """Of an image whose values are the places of its pixels, it shows where each pixel comes from."""
    places = np.stack(np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij"), axis=-1).astype("float32")
    matrix = np.eye(2) + 0.3 * np.tanh([[-1.0, 0.0], [0.0, -1.0]] if not turn else [[-1.0, 0.4], [-0.4, -1.0]])
    values = (-1.0, 0.4 * turn, -0.4 * turn, -1.0, 0.0, 0.0)
    found = deform(np.stack([places] * 2) / WIDTH, values=values)[0] * WIDTH
    middle = np.array([HEIGHT - 1, WIDTH - 1]) / 2
    expected = (places - middle) @ matrix.T + middle
    np.testing.assert_allclose(found[3:-3, 3:-3], expected[3:-3, 3:-3], atol=1e-3)


def test_moves_below_a_half_change_no_order():
    columns = np.broadcast_to(np.linspace(-1, 1, WIDTH)[:, None], (2, HEIGHT, WIDTH, 1)).astype("float32")
    moves = 20.0 * np.sign(np.random.default_rng(0).normal(size=(2, 4, 7, 2))).astype("float32")
    found = deform(columns, moves, largest_move=0.475)
    assert (np.diff(found, axis=2) > -1e-4).all()
    # Almost half of the three pixels between two points of the grid.
    assert np.abs(found - columns).max() > 1.2 * 2 / WIDTH
    assert np.diff(deform(columns, moves), axis=2).min() < -0.01


def test_moves_and_parameters_get_gradients_and_a_file_keeps_the_layer(tmp_path):
    inputs = [keras.Input(shape) for shape in ((HEIGHT, WIDTH, 2), (4, 7, 2), (7,))]
    model = keras.Model(inputs, Deformation(largest_move=0.8)(inputs))
    random = np.random.default_rng(0)
    numbers = [tf.constant(random.normal(size=shape), "float32") for shape in ((2, 4, 7, 2), (2, 7))]
    x = [tf.constant(images()), *numbers]
    with tf.GradientTape() as tape:
        tape.watch(numbers)
        outputs = model(x)
        loss = tf.reduce_sum(outputs**2)
    assert all(np.abs(gradient).min() > 0 for gradient in tape.gradient(loss, numbers))
    assert outputs.dtype == "float32" and np.abs(outputs).max() <= 1.0 + 1e-6
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras")(x), outputs, atol=1e-6)
