"""Batch normalisation for tasks, in which you choose the statistics."""

import contextlib
import contextvars

import keras
import tensorflow as tf

from metalearn_tf.engine.keras_internals import flat_layers
from metalearn_tf.engine.saveable_model import plain_values
from metalearn_tf.engine.wide_dtype import wide_dtype
from metalearn_tf.networks.second_order import batch_norm

NORMALIZATIONS = ("transductive", "support", "running")

# The count of averaged batches stops here: the momentum is reached long before.
_MOST_BATCHES = 2**30

# It cannot be an argument: the network is between `run_network` and these layers, and Keras's models pass only
# `training` and `mask` on to their layers.
_is_support = contextvars.ContextVar("is_support", default=False)


@contextlib.contextmanager
def support_pass(is_support=True):
    """Says whether the calls inside are on a support set, whose statistics `"support"` normalisation keeps.

    Like Keras's `training` argument, it acts while a graph is traced; it is not a tensor.
    """
    token = _is_support.set(is_support)
    try:
        yield
    finally:
        _is_support.reset(token)


@keras.saving.register_keras_serializable("metalearn_tf")
class TaskNormalization(keras.layers.Layer):
    """Batch normalisation over all axes but the last, with a choice of statistics for few-shot tasks.

    - `"transductive"`: the mean and variance of the current set, in training and in testing. The queries of a task are
      normalised together, so a prediction depends on the other queries (MAML, Reptile).
    - `"support"`: the mean and variance of the support set. They are kept in the task state and used for its queries,
      so a prediction does not depend on other queries. Gradients flow through the statistics.
    - `"running"`: batch statistics in training; their moving averages otherwise and if the layer is frozen, like
      `keras.layers.BatchNormalization`. The averages are correct from the first step on: the first batches have equal
      weights until `momentum` is reached, and the initial values have no weight.

    Scale, offset and statistics are float32 under every dtype policy except float64.

    Args:
        normalization: `"transductive"`, `"support"` or `"running"`.
        momentum: momentum of the moving averages, for `"running"`. After `n` batches it is at most `n / (n + 1)`.
        epsilon: added to the variance.
        scale: whether a factor for each channel is trained; otherwise it is 1.
        center: whether an offset for each channel is trained; otherwise it is 0.

    Input shape: `(batch, ..., channels)`, any floating dtype.
    Output shape: the same.

    Raises:
        ValueError: if `normalization` is not one of the three.

    Reference: [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167); for the choice of statistics
        [Bronskill et al., 2020](https://arxiv.org/abs/2003.03284).
    """

    def __init__(self, normalization="transductive", momentum=0.9, epsilon=1e-3, scale=True, center=True, **kwargs):
        super().__init__(**kwargs)
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"`normalization` must be one of {NORMALIZATIONS}. Received: {normalization!r}")
        self.normalization = normalization
        self.momentum = momentum
        self.epsilon = epsilon
        self.has_scale = scale
        self.has_offset = center

    def build(self, input_shape):
        options = {"shape": (input_shape[-1],), "dtype": wide_dtype(self), "autocast": False}
        self.scale = self.add_weight(name="scale", initializer="ones", trainable=self.has_scale, **options)
        self.offset = self.add_weight(name="offset", initializer="zeros", trainable=self.has_offset, **options)
        if self.normalization != "transductive":
            self.mean = self.add_weight(name="mean", initializer="zeros", trainable=False, **options)
            self.variance = self.add_weight(name="variance", initializer="ones", trainable=False, **options)
        if self.normalization == "running":
            self.batches = self.add_weight(
                name="batches", shape=(), initializer="zeros", dtype="int32", trainable=False, autocast=False
            )

    def call(self, x, training=None):
        if self.normalization == "transductive":
            return self._fused(x, training)[0]
        if self.normalization == "running" and training and self.trainable:
            outputs, mean, variance = self._fused(x, training)
            batches = tf.convert_to_tensor(self.batches)
            momentum = tf.minimum(tf.cast(batches / (batches + 1), mean.dtype), self.momentum)
            for average, value in ((self.mean, mean), (self.variance, variance)):
                average.assign(momentum * average + (1.0 - momentum) * tf.stop_gradient(value))
            self.batches.assign(tf.minimum(batches, _MOST_BATCHES) + 1)
            return outputs
        if self.normalization == "support" and _is_support.get():
            # The fused operation has no gradient through the statistics that it returns.
            # `tf.nn.moments` has no correct second derivative: it stops a gradient that is zero only at first order.
            mean, variance = self._moments(x)
            self.mean.assign(mean)
            self.variance.assign(variance)
        return self._with_statistics(x, tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance))

    def _moments(self, x):
        images, axes = tf.cast(x, self.scale.dtype), list(range(x.shape.rank - 1))
        return tf.reduce_mean(images, axes), tf.math.reduce_variance(images, axes)

    def _with_statistics(self, x, mean, variance):
        slope = tf.convert_to_tensor(self.scale) * tf.math.rsqrt(variance + self.epsilon)
        shift = tf.convert_to_tensor(self.offset) - mean * slope
        return tf.cast(tf.cast(x, slope.dtype) * slope + shift, x.dtype)

    def _fused(self, x, training):
        """Normalised `x` with its mean and variance, by one operation.

        In training it is a fifth faster than `tf.nn.moments`, which Keras's layer uses. The operation does not exist
        for float64.
        """
        if self.scale.dtype == "float64":
            mean, variance = self._moments(x)
            others = tf.cast(tf.size(x) // x.shape[-1] - 1, variance.dtype)
            unbiased = variance * (others + 1.0) / tf.maximum(others, 1.0)
            return self._with_statistics(x, mean, variance), mean, unbiased
        image = x if x.shape.rank == 4 else tf.reshape(x, [-1, 1, 1, x.shape[-1]])
        scale, offset = tf.convert_to_tensor(self.scale), tf.convert_to_tensor(self.offset)
        if training:
            outputs, mean, variance = batch_norm(image, scale, offset, self.epsilon)
        else:  # only the first derivative is needed, and a SavedModel keeps no gradients of our own
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                image, scale, offset, epsilon=self.epsilon, is_training=True
            )
        return tf.reshape(outputs, tf.shape(x)) if image is not x else outputs, mean, variance

    def get_config(self):
        return plain_values(
            {
                **super().get_config(),
                "normalization": self.normalization,
                "momentum": self.momentum,
                "epsilon": self.epsilon,
                "scale": self.has_scale,
                "center": self.has_offset,
            }
        )


def normalization_of(network):
    """The statistics of a network's normalisation, for reports; `"none"` without normalisation.

    Returns:
        `"transductive"`, `"support"`, `"running"` (also for `keras.layers.BatchNormalization`) or `"none"`; several of
        them, joined by `+`, for a network that mixes them.
    """
    found = set()
    for layer in flat_layers(network):
        if isinstance(layer, TaskNormalization):
            found.add(layer.normalization)
        elif isinstance(layer, keras.layers.BatchNormalization):
            found.add("running")
    return "+".join(sorted(found)) or "none"
