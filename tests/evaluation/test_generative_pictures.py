"""Grids, figures, and nearest images."""

from metalearn_tf.evaluation import SampleGrid, few_shot_figure, nearest_images, sample_grid, training_curves

import keras
import numpy as np
import pytest
import tensorflow as tf


def random_images(count, seed=0, shape=(5, 6, 1)):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype("float32")


def test_a_grid_puts_images_row_by_row():
    images = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]).reshape(5, 1, 1, 1) * np.ones((5, 2, 3, 1))
    grid = sample_grid(images, columns=3)
    assert grid.shape == (2 * 3 - 1, 3 * 4 - 1, 1) and grid.dtype == np.uint8
    assert grid[:2, :3].max() == 0
    assert np.all(grid[:2, 4:7] == 64)
    assert grid[3:, 4:7].min() == 255
    # The line between, and the cell without an image.
    assert np.all(grid[2] == 127) and np.all(grid[:, 3] == 127) and np.all(grid[3:, 8:] == 127)


@pytest.mark.parametrize("count, shape", [(1, (5, 6, 3)), (9, (17, 20, 3)), (10, (17, 27, 3))])
def test_a_grid_is_about_square(count, shape):
    assert sample_grid(random_images(count, shape=(5, 6, 3))).shape == shape


def test_bytes_stay_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), "uint8")
    np.testing.assert_array_equal(sample_grid(pixels), pixels[0])
    np.testing.assert_array_equal(sample_grid(pixels / 127.5 - 1), pixels[0])


def test_grids_refuse_what_is_no_image():
    with pytest.raises(ValueError, match="`columns` must be a positive integer. Received: columns=0"):
        sample_grid(random_images(3), columns=0)
    with pytest.raises(ValueError, match=r"`images` must be in \[-1, 1\]"):
        sample_grid(3 * random_images(3))


def test_nearest_images_agree_with_all_differences():
    # More than a block of images.
    generated, images = random_images(20, seed=1, shape=(2, 2, 1)), random_images(1500, shape=(2, 2, 1))
    images[1234] = generated[7]
    indices, distances = nearest_images(generated, images)
    expected = np.linalg.norm((generated[:, None] - images).reshape(20, 1500, -1), axis=-1)
    np.testing.assert_array_equal(indices, expected.argmin(axis=1))
    np.testing.assert_allclose(distances, expected.min(axis=1), atol=1e-6)
    assert (indices[7], distances[7]) == (1234, 0.0)


def test_nearest_images_compare_bytes_with_floats():
    pixels = np.array([0, 255, 51], "uint8").reshape(3, 1, 1, 1)
    indices, distances = nearest_images(np.array([[[[-0.4]]]]), pixels)
    assert indices.tolist() == [2]
    assert distances == pytest.approx([0.2])
    with pytest.raises(ValueError, match=r"same shape.*\(5, 6, 1\) and \(1, 1, 1\)"):
        nearest_images(random_images(2), pixels)


class Sampler(keras.Model):
    """Stands in for a GAN: its samples have the brightness `1 - 1 / 2^epochs`."""

    def __init__(self):
        super().__init__()
        self.level = self.add_weight(shape=(), initializer="ones")

    def train_step(self, data):
        self.level.assign(self.level * 0.5)
        return {"loss": self.level * 1.0}

    def sample(self, count, labels=None, seed=0):
        offset = 0.0 if labels is None else tf.reshape(tf.cast(labels, tf.float32), (-1, 1, 1, 1)) / 100
        return tf.ones((count, 4, 4, 1)) * (1 - self.level) - offset


def fit(callback, **options):
    sampler = Sampler()
    sampler.compile(jit_compile=False)
    data = tf.data.Dataset.from_tensors(tf.zeros((2, 1)))
    sampler.fit(data, verbose=0, shuffle=False, callbacks=[callback], **options)


def read_png(path):
    return tf.io.decode_png(path.read_bytes()).numpy()


def test_a_grid_is_written_after_each_epoch(tmp_path):
    fit(SampleGrid(tmp_path / "samples", count=4), epochs=2)
    files = sorted((tmp_path / "samples").iterdir())
    assert [file.name for file in files] == ["epoch_0001.png", "epoch_0002.png"]
    for file, brightness in zip(files, (0.5, 0.75)):
        expected = sample_grid(np.full((4, 4, 4, 1), brightness))
        np.testing.assert_array_equal(read_png(file), expected)


def test_grids_of_a_resumed_training_go_on_with_their_labels(tmp_path):
    fit(SampleGrid(tmp_path, count=2, labels=[0, 50], columns=1), initial_epoch=7, epochs=8)
    grid = read_png(tmp_path / "epoch_0008.png")
    assert grid.shape == (9, 4, 1)
    assert (grid[0, 0, 0], grid[5, 0, 0]) == (191, 128)


def test_tensorboard_gets_the_grids(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorFlow writes no summaries without the tensorboard package")
    fit(SampleGrid(tmp_path / "samples", count=4, log_dir=tmp_path / "logs"), epochs=2)
    (file,) = (tmp_path / "logs").iterdir()
    values = [
        (event.step, value) for event in tf.compat.v1.train.summary_iterator(str(file)) for value in event.summary.value
    ]
    assert [(step, value.tag) for step, value in values] == [(1, "samples"), (2, "samples")]
    # Width, height, then one PNG.
    png = tf.make_ndarray(values[0][1].tensor)[2]
    np.testing.assert_array_equal(tf.io.decode_png(png), read_png(tmp_path / "samples/epoch_0001.png"))


def test_sample_grid_refuses_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="`count` must be a positive integer. Received: count=0"):
        SampleGrid(tmp_path, count=0)
    with pytest.raises(ValueError, match=r"`labels` must have shape \(64,\). Received: shape \(3,\)"):
        SampleGrid(tmp_path, labels=[0, 1, 2])


def test_curves_have_one_panel_of_losses_and_one_for_each_score(tmp_path):
    history = keras.callbacks.History()
    history.history = {
        "generator_loss": [1.0, 2.0, 3.0, 4.0],
        "discriminator_loss": [4.0, 3.0, 2.0, 1.0],
        "kid": [float("nan"), 0.5, float("nan"), 0.3],
        "kid_spread": [float("nan"), 0.1, float("nan"), 0.05],
        "fid": [9.0, 8.0, 7.0, 6.0],
    }
    figure = training_curves(history, tmp_path / "curves.png")
    losses, kid, fid = figure.axes
    assert [line.get_label() for line in losses.lines] == ["generator loss", "discriminator loss"]
    assert losses.lines[1].get_ydata().tolist() == [4.0, 3.0, 2.0, 1.0]
    assert kid.lines[0].get_xydata().tolist() == [[2.0, 0.5], [4.0, 0.3]]
    assert kid.collections[0].get_paths()[0].vertices[:, 1].max() == 0.6
    assert fid.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("history", [{}, {"loss": []}])
def test_curves_of_nothing_are_refused(history):
    with pytest.raises(ValueError, match="`history` must hold one value"):
        training_curves(history)


def test_few_shot_figure_draws_each_generated_image_above_its_nearest(tmp_path):
    inputs, generated, training = random_images(4), random_images(6, seed=1), random_images(30, seed=2)
    generated[1] = training[17]
    figure = few_shot_figure(inputs, generated, training, tmp_path / "few_shot.png", columns=5)
    assert (tmp_path / "few_shot.png").stat().st_size > 1000
    axes = np.reshape(figure.axes, (4, 5))
    assert [row[0].get_title(loc="left") for row in axes] == [
        "inputs",
        "generated",
        "nearest input",
        "nearest training image",
    ]
    assert [sum(bool(axis.images) for axis in row) for row in axes] == [4, 5, 5, 5]
    np.testing.assert_array_equal(axes[3, 1].images[0].get_array(), axes[1, 1].images[0].get_array())
    assert axes[3, 1].texts[0].get_text() == "0"
    assert axes[2, 0].texts[0].get_text() == f"{nearest_images(generated, inputs)[1][0]:.3g}"


def test_few_shot_figure_without_training_images():
    figure = few_shot_figure(random_images(8, shape=(5, 6, 3)), random_images(3, shape=(5, 6, 3)))
    assert np.reshape(figure.axes, (3, 8))[2, 2].images
    with pytest.raises(ValueError, match=r"`inputs` and `generated`.*\(5, 6, 3\) and \(5, 6, 1\)"):
        few_shot_figure(random_images(8, shape=(5, 6, 3)), random_images(3))
    with pytest.raises(ValueError, match="`columns` must be a positive integer"):
        few_shot_figure(random_images(8), random_images(3), columns=0)


def test_figures_are_written_in_the_format_of_their_ending(tmp_path):
    images = np.linspace(-1, 1, 6 * 16).reshape(6, 4, 4, 1)
    few_shot_figure(images[:2], images[2:], path=tmp_path / "few.png")
    training_curves({"loss": [2.0, 1.0]}, path=tmp_path / "curves.svg")
    assert (tmp_path / "few.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")
    with pytest.raises(ValueError, match="`inputs` and `generated` must hold images of the same shape.*Received: "):
        few_shot_figure(images, images[:, :2])
