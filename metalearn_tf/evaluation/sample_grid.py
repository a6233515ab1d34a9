"""Grids of generated images, as arrays and after each epoch of a training."""

import importlib.util
import math

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.evaluation.model_images import ModelImages
from metalearn_tf.evaluation.scored_images import SCORED_RANGE, check_scored_images
from metalearn_tf.files.local_path import local_path
from metalearn_tf.files.whole_files import write_whole

_GAP = 1
_GREY = 127


def sample_grid(images, columns=None, image_range=None):
    """One image with all images side by side, row by row, with grey lines between them.

    Args:
        images: `(n, height, width, channels)`, floating in `image_range`, or uint8.
        columns: images in a row; by default the grid is about square.
        image_range: lowest and highest value of a floating pixel; `None` for `[-1, 1]`.

    Returns:
        uint8 array `(rows * (height + 1) - 1, columns * (width + 1) - 1, channels)`; cells without an image are grey.

    Raises:
        ValueError: if the images are not such arrays, or `columns` is not a positive integer.
    """
    pixels = to_pixels(check_scored_images("images", images, image_range=image_range))
    count, height, width, channels = pixels.shape
    if columns is None:
        columns = math.ceil(math.sqrt(count))
    check_whole(columns=columns)
    rows = math.ceil(count / columns)
    cells = np.full((rows * columns, height + _GAP, width + _GAP, channels), _GREY, "uint8")
    cells[:count, :height, :width] = pixels
    cells = cells.reshape(rows, columns, height + _GAP, width + _GAP, channels)
    grid = cells.transpose(0, 2, 1, 3, 4).reshape(rows * (height + _GAP), columns * (width + _GAP), channels)
    return grid[:-_GAP, :-_GAP]


def to_pixels(images):
    """Checked images as uint8, 0 to 255."""
    if images.dtype == np.uint8:
        return images
    return np.clip(np.round((images.astype("float32") + 1.0) * 127.5), 0, 255).astype("uint8")


class SampleGrid(keras.callbacks.Callback):
    """Writes a grid of images after each epoch, always from the same noise: `epoch_0001.png`, `epoch_0002.png`, …

    The model must have `sample(count, labels=..., seed=...)`, like `mtf.gan.GAN`. It returns images in the model's
    `image_range`, or in `[-1, 1]` if the model has no such attribute.

    Args:
        directory: folder of the PNG files; made when training begins.
        count: images in the grid.
        labels: integers `(count,)`, or source images, for a conditional GAN.
        seed: integer, for the noise.
        columns: images in a row; see `sample_grid`.
        log_dir: TensorBoard's folder, to which the grids are written as image `"samples"`; or `None`.

    Raises:
        ValueError: if `count` is not positive or `labels` does not fit it.
        ImportError: if `log_dir` is given and the tensorboard package is not installed.
    """

    def __init__(self, directory, count=64, labels=None, seed=0, columns=None, log_dir=None):
        super().__init__()
        if columns is not None:
            check_whole(columns=columns)
        if log_dir is not None and importlib.util.find_spec("tensorboard") is None:
            raise ImportError("`log_dir` needs the tensorboard package: `pip install tensorboard`.")
        self.directory = local_path("directory", directory)
        self.images, self.columns = ModelImages(count, labels, seed), columns
        self.log_dir = log_dir
        self._writer = None

    def on_train_begin(self, logs=None):
        self.images.check(self.model)
        channels = getattr(self.model, "image_shape", (1,))[-1]
        if channels not in (1, 3, 4):
            raise ValueError(
                "`SampleGrid` writes images of 1, 3 or 4 channels. "
                f"Received: a model of images {self.model.image_shape}"
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.log_dir is not None:
            self._writer = tf.summary.create_file_writer(str(self.log_dir))

    def on_epoch_end(self, epoch, logs=None):
        grid = sample_grid(self.images.draw(self.model), self.columns, SCORED_RANGE)
        picture = keras.utils.array_to_img(grid, scale=False)
        write_whole(self.directory / f"epoch_{epoch + 1:04d}.png", lambda file: picture.save(file, "PNG"))
        if self._writer is not None:
            with self._writer.as_default():
                tf.summary.image("samples", grid[None], step=epoch + 1)
            self._writer.flush()

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()
            self._writer = None
