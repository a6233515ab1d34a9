"""Distances between the features of two domains: pure functions of two batches, to be minimised.

They take features `(n, d)` and `(m, d)` in any floating dtype, compute in float32 and return a float32 scalar. The two
batches may differ in size; each needs two examples.
"""

import tensorflow as tf

from metalearn_tf.checks.real_numbers import check_all_positive

# The bandwidths of `mmd_loss`, as multiples of the mean squared distance between two examples.
_BANDWIDTH_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


def coral_loss(source_features, target_features):
    """The squared Frobenius distance between the covariances of two domains, over `4 d²`.

    Args:
        source_features: `(n, d)`.
        target_features: `(m, d)`.

    Returns:
        A float32 scalar, at least 0; 0 for equal covariances, whatever the means.

    Raises:
        ValueError: if the two are not matrices of the same width, or have fewer than two rows.

    Reference: [Sun and Saenko, 2016](https://arxiv.org/abs/1607.01719), equations 1 to 3.
    """
    source, target = _features(source_features, target_features)
    difference = _covariance(source) - _covariance(target)
    return tf.reduce_sum(tf.square(difference)) / (4.0 * source.shape[1] ** 2)


def mmd_loss(source_features, target_features, bandwidths=None):
    """The squared maximum mean discrepancy between two domains, under the mean of several Gaussian kernels.

    A kernel is `exp(-|x - y|² / bandwidth)`. The estimate is unbiased: it leaves out the pairs of an example with
    itself, so its expectation is the discrepancy of the domains for any batch size. The biased estimate adds a term of
    about `(2 - k(source) - k(target)) / n`, where `k` is the mean kernel within a domain. The gradient of this term
    draws all features together, even if the domains are equal.

    Args:
        source_features: `(n, d)`.
        target_features: `(m, d)`.
        bandwidths: one or more positive numbers; `None` for 1/4, 1/2, 1, 2 and 4 times the mean squared distance
            between two examples of both batches; no gradient flows through it.

    Returns:
        A float32 scalar; for equal domains it is about 0, slightly negative as often as slightly positive.

    Raises:
        ValueError: if the features are not matrices of the same width, have fewer than two rows, or a bandwidth is not
            positive.

    Reference: [Long et al., 2015](https://arxiv.org/abs/1502.02791), section 3.1;
        [Gretton et al., 2012](https://jmlr.org/papers/v13/gretton12a.html), lemma 6.
    """
    check_bandwidths(bandwidths)
    source, target = _features(source_features, target_features)
    count = tf.shape(source)[0]
    distances = _squared_distances(tf.concat([source, target], axis=0))
    if bandwidths is None:
        pairs = tf.cast(tf.size(distances) - tf.shape(distances)[0], tf.float32)
        mean = tf.stop_gradient(tf.reduce_sum(distances) / pairs)
        # If all features are equal, all distances are 0 and there is no discrepancy.
        bandwidths = [factor * tf.maximum(mean, 1e-12) for factor in _BANDWIDTH_FACTORS]
    kernel = tf.add_n([tf.exp(-distances / bandwidth) for bandwidth in bandwidths]) / len(bandwidths)
    within = _mean_of_pairs(kernel[:count, :count]) + _mean_of_pairs(kernel[count:, count:])
    return within - 2.0 * tf.reduce_mean(kernel[:count, count:])


def adaptation_schedule(progress):
    """`2 / (1 + exp(-10 progress)) - 1`: the factor of a domain loss, small at first while features are still noisy.

    Args:
        progress: tensor or number, the part of the training that is done; values above 1 count as 1.

    Returns:
        float32 from 0 at the beginning to 0.9999 at the end, 0.91 after three tenths.

    Reference: [Ganin et al., 2016](https://arxiv.org/abs/1505.07818), section 5.2.2.
    """
    progress = tf.minimum(tf.cast(progress, tf.float32), 1.0)
    return 2.0 * tf.sigmoid(10.0 * progress) - 1.0


def check_bandwidths(bandwidths):
    """Refuses anything but `None` or one or more positive numbers."""
    if bandwidths is not None:
        check_all_positive("bandwidths", bandwidths)


def _features(source_features, target_features):
    source, target = tf.cast(source_features, tf.float32), tf.cast(target_features, tf.float32)
    if source.shape.rank != 2 or target.shape.rank != 2 or source.shape[1] != target.shape[1]:
        raise ValueError(
            "`source_features` and `target_features` must have the shapes (n, d) and (m, d). "
            f"Received: shapes {source.shape} and {target.shape}"
        )
    if 1 in (source.shape[0], target.shape[0]) or 0 in (source.shape[0], target.shape[0]):
        raise ValueError(
            "`source_features` and `target_features` must have two rows or more. "
            f"Received: shapes {source.shape} and {target.shape}"
        )
    return source, target


def _covariance(features):
    centred = features - tf.reduce_mean(features, axis=0)
    return tf.matmul(centred, centred, transpose_a=True) / (tf.cast(tf.shape(features)[0], tf.float32) - 1.0)


def _squared_distances(features):
    """`(n, n)`, exactly 0 between a row and itself."""
    # Relative to their mean: far from the origin, the difference of large squares would lose precision.
    centred = features - tf.stop_gradient(tf.reduce_mean(features, axis=0))
    squares = tf.reduce_sum(tf.square(centred), axis=1)
    products = tf.matmul(centred, centred, transpose_b=True)
    distances = tf.maximum(squares[:, None] + squares[None] - 2.0 * products, 0.0)
    return tf.linalg.set_diag(distances, tf.zeros_like(squares))


def _mean_of_pairs(kernel):
    """The mean of a square matrix without its diagonal."""
    count = tf.cast(tf.shape(kernel)[0], tf.float32)
    return (tf.reduce_sum(kernel) - tf.linalg.trace(kernel)) / (count * (count - 1.0))
