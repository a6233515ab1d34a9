"""The augmentation without a GAN, with which the GANs are compared."""

import math

import keras

from metalearn_tf.engine.saveable_model import plain_values


def classical_augmentation(flip=False):
    """Small random turns (18 degrees), moves (a tenth), zooms (15 %) and shears of images in [0, 1].

    Args:
        flip: whether images are mirrored too. This suits photographs, but not characters.

    Returns:
        A `keras.Sequential`.
    """
    layers = [keras.layers.RandomFlip("horizontal")] if flip else []
    return keras.Sequential([*layers, RandomAffine()], name="classical_augmentation")


@keras.saving.register_keras_serializable("metalearn_tf")
class RandomAffine(keras.layers.Layer):
    """Turns, moves, zooms and shears each image at once.

    Keras has a separate layer for each. In sequence they would interpolate four times, which blurs small images and
    takes four times as long. New pixels at an edge repeat the nearest pixel, so a background of any colour continues.

    Args:
        turn: the largest angle, in turns: 0.05 is 18 degrees.
        move: the largest shift, as a part of the side.
        zoom: the largest change of the scale, the same for both sides.
        shear: the largest shift of a row, as a part of its distance from the middle.
        seed: integer; `None` for a random one.

    Input shape: `(batch, height, width, channels)` float32.
    Output shape: the same. Images change only with `training=True`.
    """

    def __init__(self, turn=0.05, move=0.1, zoom=0.15, shear=0.1, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.turn, self.move, self.zoom, self.shear = turn, move, zoom, shear
        self.seed = seed if seed is None else int(seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def call(self, images, training=False):
        if not training:
            return images
        ops, (count, height, width) = keras.ops, keras.ops.shape(images)[:3]
        draws = keras.random.uniform((5, count), -1.0, 1.0, seed=self.random)
        angle, shear = 2.0 * math.pi * self.turn * draws[0], self.shear * draws[1]
        scale = 1.0 / (1.0 + self.zoom * draws[2])
        # Maps positions in the result to positions in the image, both relative to the middle.
        cosine, sine = scale * ops.cos(angle), scale * ops.sin(angle)
        rows = [[cosine, shear * cosine - sine], [sine, shear * sine + cosine]]
        sides = [ops.cast(side, "float32") for side in (width, height)]
        middle = [0.5 * (side - 1.0) for side in sides]
        moves = [self.move * draw * side for draw, side in zip((draws[3], draws[4]), sides)]
        transforms = []
        for row, own, shift in zip(rows, middle, moves):
            transforms += [*row, own + shift - row[0] * middle[0] - row[1] * middle[1]]
        transforms = ops.stack([*transforms, ops.zeros(count), ops.zeros(count)], axis=1)
        return ops.image.affine_transform(images, transforms, fill_mode="nearest")

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        options = {name: getattr(self, name) for name in ("turn", "move", "zoom", "shear", "seed")}
        return plain_values({**super().get_config(), **options})
