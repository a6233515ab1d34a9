"""Pre-training by restoring images."""

import keras
import tensorflow as tf

from metalearn_tf.checks.real_numbers import check_not_negative
from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.engine.keras_internals import loss_tracker
from metalearn_tf.transfer.backbone_checks import float_dtype
from metalearn_tf.transfer.label_free_model import LabelFreeModel

_SMALLEST = 4


@keras.saving.register_keras_serializable("metalearn_tf")
class DenoisingAutoencoder(LabelFreeModel):
    """Trains a backbone so that its features suffice to draw the image again, without the noise.

    A decoder doubles a small feature map until it has the image's size. It is not used after the training. The loss is
    the mean squared error in `image_range`.

    Args:
        backbone: a built `keras.Model` from images `(batch, height, width, channels)` to features `(batch, d)`.
        noise: standard deviation of the normal noise on the inputs, as a part of the range of pixels.
        filters: channels of the decoder's last feature map.
        augmentation: a Keras layer applied to the images before the noise, or `None`.
        image_range: lowest and highest value of a pixel.

    Input shape: images `(batch, height, width, channels)`, uint8 or floating in `image_range`; no labels.
    Output shape: images of the same shape, float32.

    Raises:
        ValueError: if a number is out of range.

    Reference: [Vincent et al., 2010](https://jmlr.org/papers/v11/vincent10a.html)
    """

    def __init__(self, backbone, noise=0.1, filters=32, augmentation=None, image_range=(0.0, 1.0), **kwargs):
        check_python_whole(filters=filters)
        check_not_negative("noise", noise)
        # === Layers ===
        super().__init__(backbone, augmentation, image_range, **kwargs)
        self.decoder = _decoder(backbone, filters)
        low, high = image_range
        self.noise_layer = keras.layers.GaussianNoise(noise * (high - low), dtype=self.float_dtype)
        # === Config ===
        self.noise = noise
        self.filters = filters

    def call(self, images, training=None, with_images=False):
        """The restored images; if `with_images`, also the augmented images before the noise."""
        images = self.to_inputs(images, training)
        noisy = self.noise_layer(images, training=training)
        drawn = self.decoder(self.features(noisy, training), training=training)
        return (images, drawn) if with_images else drawn

    @property
    def metrics(self):
        return [loss_tracker(self)]

    def compute_logs(self, images, training):
        images, drawn = self(images, training=training, with_images=True)
        errors = tf.cast(drawn, self.float_dtype) - tf.cast(images, self.float_dtype)
        return {"loss": tf.reduce_mean(tf.square(errors)) + self.added_losses()}

    def get_config(self):
        return {**super().get_config(), "noise": self.noise, "filters": self.filters}


def _decoder(backbone, filters):
    """A model from features to images, in the backbone's precision: a small map, doubled and convolved repeatedly."""
    height, width, channels = backbone.input_shape[1:]
    policy = backbone.dtype_policy
    doublings = 0
    while min(height, width) // 2 ** (doublings + 1) >= _SMALLEST:
        doublings += 1
    factor = 2**doublings
    # Rounded up, and cropped at the end.
    rows, columns = -(-height // factor), -(-width // factor)
    widths = [filters * min(2**step, 4) for step in range(doublings, -1, -1)]
    x = inputs = keras.Input((backbone.output_shape[-1],), name="features")
    x = keras.layers.Dense(rows * columns * widths[0], activation="relu", dtype=policy, name="dense")(x)
    x = keras.layers.Reshape((rows, columns, widths[0]), dtype=policy, name="map")(x)
    for step, channels_out in enumerate(widths[1:], 1):
        x = keras.layers.UpSampling2D(dtype=policy, name=f"doubled_{step}")(x)
        convolution = keras.layers.Conv2D(channels_out, 3, padding="same", dtype=policy, name=f"convolution_{step}")
        x = keras.layers.ReLU(dtype=policy, name=f"relu_{step}")(convolution(x))
    x = keras.layers.Conv2D(channels, 3, padding="same", dtype=float_dtype(backbone), name="images")(x)
    crop = ((0, rows * factor - height), (0, columns * factor - width))
    x = keras.layers.Cropping2D(crop, dtype=float_dtype(backbone), name="cropped")(x)
    return keras.Model(inputs, x, name="decoder")
