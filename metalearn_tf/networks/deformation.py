"""Images as if drawn on rubber: their pixels move, but they still show the same thing."""

import keras
import tensorflow as tf

from metalearn_tf.engine.saveable_model import plain_values

_LARGEST_SCALE_OR_SHEAR = 0.3
# As parts of the image's sides.
_LARGEST_SHIFT = 1 / 7
_LARGEST_CONTRAST = 3.0


@keras.saving.register_keras_serializable("metalearn_tf")
class Deformation(keras.layers.Layer):
    """Moves the points of a grid over each image, and the pixels between them; then turns, shears, scales and shifts.

    With all moves and parameters 0, the pixels stay in their places.

    Args:
        largest_move: the largest move of a grid point along each axis, as a part of the distance between two points.
            Below a half, neighbours never change places: strokes bend and move, but are not doubled.

    Input shape: `[images, moves, parameters]`: images `(batch, height, width, channels)` in [-1, 1]; `moves`
        `(batch, rows, columns, 2)`, of a grid of points down and to the right; `parameters` `(batch, 7)`: four of the
        affine map, two of its shift and one of the contrast. Moves and parameters are any real numbers.
    Output shape: images, float32 in [-1, 1].

    Reference: [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), for sampling images at places that a network
        computes
    """

    # The range of pixels, which `mtf.gan.GAN` reads.
    output_range = (-1.0, 1.0)

    def __init__(self, largest_move=1.0, dtype="float32", **kwargs):
        # In half precision, positions would be wrong by whole pixels.
        super().__init__(dtype=dtype, **kwargs)
        self.largest_move = largest_move

    def call(self, inputs):
        images, moves, parameters = inputs
        sides = images.shape[1:3]
        parameters = tf.tanh(parameters)
        spacing = [side / points for side, points in zip(sides, moves.shape[1:3])]
        moves = self.largest_move * tf.constant(spacing) * keras.ops.image.resize(tf.tanh(moves), sides, "bilinear")
        middle = [(side - 1) / 2 for side in sides]
        down, right = tf.meshgrid(
            *(tf.range(side, dtype=tf.float32) - half for side, half in zip(sides, middle)), indexing="ij"
        )
        down, right = down + moves[..., 0], right + moves[..., 1]
        matrix = tf.eye(2) + _LARGEST_SCALE_OR_SHEAR * tf.reshape(parameters[:, :4], [-1, 2, 2])
        matrix = matrix[:, :, :, None, None]
        shift = _LARGEST_SHIFT * parameters[:, 4:6, None, None]
        rows, columns = (
            matrix[:, axis, 0] * down + matrix[:, axis, 1] * right + shift[:, axis] * sides[axis] + middle[axis]
            for axis in range(2)
        )
        contrast = 0.5 * _LARGEST_CONTRAST * (1.0 + parameters[:, 6, None, None, None]) + 1e-3
        stronger = tf.tanh(contrast * sample_bilinear(images, rows, columns)) / tf.tanh(contrast)
        return tf.clip_by_value(stronger, -1.0, 1.0)  # rounding may pass them

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return plain_values({**super().get_config(), "largest_move": self.largest_move})


def sample_bilinear(images, rows, columns):
    """Images sampled at places between their pixels. Places outside give the nearest pixel of the edge.

    Args:
        images: `(batch, height, width, channels)`, at least two pixels a side.
        rows: places from the top, `(batch, …)` in pixels.
        columns: places from the left, of the same shape.

    Returns:
        `(batch, …, channels)`, of the dtype of `images`.
    """
    height, width, channels = images.shape[1:]
    rows, columns = (tf.clip_by_value(p, 0.0, side - 1.0) for p, side in ((rows, height), (columns, width)))
    top, left = (tf.minimum(tf.floor(p), side - 2.0) for p, side in ((rows, height), (columns, width)))
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    corner = tf.cast(top * width + left, tf.int32)
    pixels = tf.reshape(images, [-1, height * width, channels])

    def at(step):
        return tf.gather(pixels, corner + step, batch_dims=1)

    above = (1.0 - right) * at(0) + right * at(1)
    below = (1.0 - right) * at(width) + right * at(width + 1)
    return (1.0 - down) * above + down * below
