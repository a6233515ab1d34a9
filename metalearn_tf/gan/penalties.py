"""Penalties that keep a critic smooth: pure functions of a critic and images.

A critic is a function from images to logits that closes over its labels and weights. No example's logit may depend on
another example, so it has no batch normalisation. The penalties use plain TensorFlow operations, so they can be
differentiated with respect to the critic's weights and, again, through the steps that made these weights. For some
layers, TensorFlow's second derivative is wrong (resizing, Keras's normalisations). A `GAN` corrects it. For your own
critic with such layers, use `lambda images: mtf.networks.exact_derivatives(critic, images)`.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("metalearn_tf")
def gradient_penalty(critic, real, fake, mix, one_sided=False, target=1.0):
    """The squared deviation of the critic's slope from a target, between real and generated images.

    The slope is the norm of the gradient of an image's logit with respect to the image, at
    `mix * real + (1 - mix) * fake`. It is the Euclidean norm over all axes except the batch.

    Args:
        critic: from images `(n, ...)` to logits `(n, 1)`.
        real: images `(n, ...)`, floating.
        fake: images of the same shape.
        mix: `(n,)`, uniform in [0, 1).
        one_sided: penalises only slopes above the target.
        target: the slope that has no penalty.

    Returns:
        A float32 scalar, at least 0. It does not include the weight, which is 10 in the paper.

    Raises:
        ValueError: if the shapes do not fit.

    Reference: [Gulrajani et al., 2017](https://arxiv.org/abs/1704.00028); one-sided:
        [Petzka et al., 2018](https://arxiv.org/abs/1709.08894)
    """
    real, fake, mix = (tf.cast(tensor, tf.float32) for tensor in (real, fake, mix))
    if not real.shape.is_compatible_with(fake.shape):
        raise ValueError(f"`real` and `fake` must have the same shape. Received: shapes {real.shape} and {fake.shape}")
    if not mix.shape.is_compatible_with(real.shape[:1]):
        raise ValueError(
            f"`mix` must have one number for each image, shape {real.shape[:1]}. Received: shape {mix.shape}"
        )
    mix = tf.reshape(mix, [-1] + [1] * (real.shape.rank - 1))
    squares = _squared_slopes(critic, mix * real + (1.0 - mix) * fake)
    # The square root has no derivative at 0, where a critic may start. Here all derivatives are 0 there. An epsilon
    # under the root would make the second derivative huge.
    is_flat = squares == 0.0
    slopes = tf.where(is_flat, 0.0, tf.sqrt(tf.where(is_flat, 1.0, squares)))
    excess = slopes - target
    return tf.reduce_mean(tf.square(tf.nn.relu(excess) if one_sided else excess))


@keras.saving.register_keras_serializable("metalearn_tf")
def r1_penalty(critic, real):
    """The mean squared norm of the gradient of a real image's logit with respect to the image.

    Args:
        critic: from images `(n, ...)` to logits `(n, 1)`.
        real: images `(n, ...)`, floating.

    Returns:
        A float32 scalar, at least 0. It does not include the paper's weight, γ / 2 with γ = 10.

    Reference: [Mescheder et al., 2018](https://arxiv.org/abs/1801.04406), equation 9.
    """
    return tf.reduce_mean(_squared_slopes(critic, tf.cast(real, tf.float32)))


class Penalty(NamedTuple):
    """A penalty for the discriminator's loss, with its weight.

    Attributes:
        function: from `(critic, real, fake, mix)`, as in `gradient_penalty`, to a float32 scalar.
        weight: factor of the penalty in the loss.
    """

    function: Callable
    weight: float


@keras.saving.register_keras_serializable("metalearn_tf")
def _one_sided(critic, real, fake, mix):
    return gradient_penalty(critic, real, fake, mix, one_sided=True)


@keras.saving.register_keras_serializable("metalearn_tf")
def _of_real_images(critic, real, fake, mix):
    return r1_penalty(critic, real)


PENALTIES = {
    "gradient": Penalty(gradient_penalty, 10.0),
    "gradient_one_sided": Penalty(_one_sided, 10.0),
    "r1": Penalty(_of_real_images, 5.0),
    None: Penalty(lambda critic, real, fake, mix: tf.constant(0.0), 0.0),
}


def get_penalty(penalty):
    """The penalty with this name, with the weight of its paper.

    Args:
        penalty: a key of `PENALTIES`: `"gradient"`, `"gradient_one_sided"`, `"r1"` or `None` (no penalty, no cost); or
            a `Penalty` with your own function or weight.

    Returns:
        A `Penalty`.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(penalty, Penalty):
        return penalty
    if penalty is None or (isinstance(penalty, str) and penalty in PENALTIES):
        return PENALTIES[penalty]
    raise ValueError(
        f"`penalty` must be one of {tuple(PENALTIES)}, or a `mtf.gan.Penalty(function, weight)`. Received: {penalty!r}"
    )


def _squared_slopes(critic, images):
    """The squared norm of each image's gradient, `(n,)`."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = tf.cast(critic(images), tf.float32)
    # The gradient of the sum, because each logit depends only on its own image.
    gradients = tape.gradient(logits, images, unconnected_gradients="zero")
    return tf.reduce_sum(tf.square(gradients), axis=list(range(1, images.shape.rank)))
