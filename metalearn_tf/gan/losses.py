"""The losses of generator and discriminator: pure functions of logits, in pairs.

A discriminator loss takes the logits `(n, 1)` of real and of generated images. A generator loss takes only those of
generated images. Logits are any real numbers in any floating dtype. The losses compute in float32 and return the mean
over the batch, a float32 scalar to minimise. Below, D is the discriminator's logit, and σ(D) is the probability that an
image is real.
"""

import keras
import tensorflow as tf


def minimax_discriminator_loss(real_logits, fake_logits):
    """The discriminator's side of the minimax game, `-log σ(D(real)) - log(1 - σ(D(fake)))`.

    Args:
        real_logits: `(n, 1)`.
        fake_logits: `(m, 1)`.

    Returns:
        A float32 scalar above 0; 2 log 2 if the discriminator cannot tell real from generated.

    Reference: [Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661), equation 1.
    """
    # With log σ(D) = -softplus(-D) and log(1 - σ(D)) = -softplus(D), no probability is rounded to 0 or 1.
    real, fake = _float32(real_logits, fake_logits)
    return tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))


def minimax_generator_loss(fake_logits):
    """The generator's side of the minimax game, `log(1 - σ(D(fake)))`.

    Its gradient vanishes when the discriminator is sure, which happens early. The non-saturating loss avoids this.

    Args:
        fake_logits: `(n, 1)`.

    Returns:
        A float32 scalar below 0.

    Reference: [Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661), equation 1.
    """
    fake = tf.cast(fake_logits, tf.float32)
    return -tf.reduce_mean(tf.nn.softplus(fake))


def non_saturating_discriminator_loss(real_logits, fake_logits):
    """The same function as `minimax_discriminator_loss`.

    Args:
        real_logits: `(n, 1)`.
        fake_logits: `(m, 1)`.

    Returns:
        A float32 scalar above 0.

    Reference: [Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661), section 3.
    """
    return minimax_discriminator_loss(real_logits, fake_logits)


def non_saturating_generator_loss(fake_logits):
    """`-log σ(D(fake))`, whose gradient is largest when the discriminator is sure.

    Args:
        fake_logits: `(n, 1)`.

    Returns:
        A float32 scalar above 0.

    Reference: [Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661), section 3.
    """
    fake = tf.cast(fake_logits, tf.float32)
    return tf.reduce_mean(tf.nn.softplus(-fake))


def least_squares_discriminator_loss(real_logits, fake_logits):
    """`(D(real) - 1)² / 2 + D(fake)² / 2`.

    Args:
        real_logits: `(n, 1)`.
        fake_logits: `(m, 1)`.

    Returns:
        A float32 scalar, at least 0.

    Reference: [Mao et al., 2017](https://arxiv.org/abs/1611.04076), equation 9.
    """
    real, fake = _float32(real_logits, fake_logits)
    return 0.5 * (tf.reduce_mean(tf.square(real - 1.0)) + tf.reduce_mean(tf.square(fake)))


def least_squares_generator_loss(fake_logits):
    """`(D(fake) - 1)² / 2`.

    Args:
        fake_logits: `(n, 1)`.

    Returns:
        A float32 scalar, at least 0.

    Reference: [Mao et al., 2017](https://arxiv.org/abs/1611.04076), equation 9.
    """
    fake = tf.cast(fake_logits, tf.float32)
    return 0.5 * tf.reduce_mean(tf.square(fake - 1.0))


def wasserstein_discriminator_loss(real_logits, fake_logits):
    """`D(fake) - D(real)`: minus the critic's estimate of the distance. The critic must be Lipschitz: use a penalty.

    Args:
        real_logits: `(n, 1)`.
        fake_logits: `(m, 1)`.

    Returns:
        A float32 scalar.

    Reference: [Arjovsky et al., 2017](https://arxiv.org/abs/1701.07875)
    """
    real, fake = _float32(real_logits, fake_logits)
    return tf.reduce_mean(fake) - tf.reduce_mean(real)


def wasserstein_generator_loss(fake_logits):
    """`-D(fake)`.

    Args:
        fake_logits: `(n, 1)`.

    Returns:
        A float32 scalar.

    Reference: [Arjovsky et al., 2017](https://arxiv.org/abs/1701.07875)
    """
    fake = tf.cast(fake_logits, tf.float32)
    return -tf.reduce_mean(fake)


def hinge_discriminator_loss(real_logits, fake_logits):
    """`max(0, 1 - D(real)) + max(0, 1 + D(fake))`.

    Args:
        real_logits: `(n, 1)`.
        fake_logits: `(m, 1)`.

    Returns:
        A float32 scalar, at least 0.

    Reference: [Lim and Ye, 2017](https://arxiv.org/abs/1705.02894);
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957), equation 16.
    """
    real, fake = _float32(real_logits, fake_logits)
    return tf.reduce_mean(tf.nn.relu(1.0 - real)) + tf.reduce_mean(tf.nn.relu(1.0 + fake))


def hinge_generator_loss(fake_logits):
    """`-D(fake)`.

    Args:
        fake_logits: `(n, 1)`.

    Returns:
        A float32 scalar.

    Reference: [Lim and Ye, 2017](https://arxiv.org/abs/1705.02894);
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957), equation 17.
    """
    fake = tf.cast(fake_logits, tf.float32)
    return -tf.reduce_mean(fake)


LOSSES = {
    "minimax": (minimax_discriminator_loss, minimax_generator_loss),
    "non_saturating": (non_saturating_discriminator_loss, non_saturating_generator_loss),
    "least_squares": (least_squares_discriminator_loss, least_squares_generator_loss),
    "wasserstein": (wasserstein_discriminator_loss, wasserstein_generator_loss),
    "hinge": (hinge_discriminator_loss, hinge_generator_loss),
}

# Registered, so Keras can load a file of a GAN that has a pair of them.
for _loss in [loss for pair in LOSSES.values() for loss in pair]:
    keras.saving.register_keras_serializable("metalearn_tf")(_loss)


def get_losses(loss):
    """The pair of losses that a name stands for.

    Args:
        loss: a key of `LOSSES`, or a pair `(discriminator_loss, generator_loss)` of functions with the same arguments
            as those above.

    Returns:
        `(discriminator_loss, generator_loss)`.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]
    if isinstance(loss, (tuple, list)) and len(loss) == 2 and all(callable(part) for part in loss):
        return tuple(loss)
    raise ValueError(
        f"`loss` must be one of {tuple(LOSSES)}, or a pair of functions `(discriminator_loss(real_logits, "
        f"fake_logits), generator_loss(fake_logits))`. Received: {loss!r}"
    )


def feature_matching_loss(real_features, fake_features):
    """The squared Euclidean distance between the mean features of two batches, for the generator.

    Args:
        real_features: a layer of the discriminator on real images, `(n, ...)` floating.
        fake_features: the same layer on generated images, `(m, ...)`.

    Returns:
        A float32 scalar, at least 0.

    Raises:
        ValueError: if an example's features differ in shape.

    Reference: [Salimans et al., 2016](https://arxiv.org/abs/1606.03498), section 3.1.
    """
    real_features, fake_features = _float32(real_features, fake_features)
    if not real_features.shape[1:].is_compatible_with(fake_features.shape[1:]):
        raise ValueError(
            "`real_features` and `fake_features` must have the same axes after the batch. "
            f"Received: shapes {real_features.shape} and {fake_features.shape}"
        )
    difference = tf.reduce_mean(real_features, axis=0) - tf.reduce_mean(fake_features, axis=0)
    return tf.reduce_sum(tf.square(difference))


def reconstruction_loss(images, reconstructions):
    """The mean absolute error between images and their reconstructions by the generator.

    Args:
        images: `(n, height, width, channels)` floating.
        reconstructions: the same shape.

    Returns:
        A float32 scalar, at least 0; at most 2 for images in [-1, 1].

    Raises:
        ValueError: if the shapes differ.

    Reference: [Isola et al., 2017](https://arxiv.org/abs/1611.07004), equation 3.
    """
    images, reconstructions = _float32(images, reconstructions)
    if not images.shape.is_compatible_with(reconstructions.shape):
        raise ValueError(
            "`images` and `reconstructions` must have the same shape. "
            f"Received: shapes {images.shape} and {reconstructions.shape}"
        )
    return tf.reduce_mean(tf.abs(images - reconstructions))


def _float32(*tensors):
    return [tf.cast(tensor, tf.float32) for tensor in tensors]
