"""Layer normalisation of images, for networks that are differentiated twice."""

import keras
import tensorflow as tf

from metalearn_tf.engine.saveable_model import plain_values
from metalearn_tf.engine.wide_dtype import wide_dtype


@keras.saving.register_keras_serializable("metalearn_tf")
class ExampleNormalization(keras.layers.Layer):
    """Normalises each example by its own mean and variance over all axes; then a scale and an offset for each channel.

    Use it in critics with a gradient penalty, where no example may depend on another. Its derivatives of every order
    are exact everywhere. The derivatives of Keras's layer, group and batch normalisation are exact in the learners,
    GANs and penalties of this library. Elsewhere they are slightly wrong from the second order on, because
    `tf.nn.moments` stops a gradient that is zero only at first order. Scale, offset and statistics are float32 under
    every dtype policy except float64.

    Args:
        epsilon: added to the variance.

    Input shape: `(batch, ..., channels)`, any floating dtype.
    Output shape: the same.

    Reference: [Ba et al., 2016](https://arxiv.org/abs/1607.06450); in critics
        [Gulrajani et al., 2017](https://arxiv.org/abs/1704.00028), section 4.
    """

    def __init__(self, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        options = {"shape": (input_shape[-1],), "dtype": wide_dtype(self), "autocast": False}
        self.scale = self.add_weight(name="scale", initializer="ones", **options)
        self.offset = self.add_weight(name="offset", initializer="zeros", **options)

    def call(self, x):
        normalized = normalize_examples(tf.cast(x, self.scale.dtype), self.epsilon)
        outputs = normalized * tf.convert_to_tensor(self.scale) + tf.convert_to_tensor(self.offset)
        return tf.cast(outputs, x.dtype)

    def get_config(self):
        return plain_values({**super().get_config(), "epsilon": self.epsilon})


def normalize_examples(x, epsilon):
    """Examples `(batch, ...)` less their mean, divided by their standard deviation."""
    axes = list(range(1, x.shape.rank))
    centred = x - tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    return centred * tf.math.rsqrt(variance + epsilon)
