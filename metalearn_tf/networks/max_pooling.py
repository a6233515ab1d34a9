"""Maximum pooling for networks that are differentiated twice."""

import keras
import tensorflow as tf

from metalearn_tf.networks.second_order import max_pool


@keras.saving.register_keras_serializable("metalearn_tf")
class MaxPooling(keras.layers.Layer):
    """The maximum of each 2×2 window, like `keras.layers.MaxPooling2D(2)`, but with a second derivative twice as fast.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, height // 2, width // 2, channels)`.
    """

    def call(self, x, training=None):
        return max_pool(x) if training else tf.nn.max_pool2d(x, 2, 2, "VALID")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height and height // 2, width and width // 2, channels)
