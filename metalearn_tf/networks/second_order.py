"""Operations whose second derivative is as fast as their first.

Meta-gradients differentiate through gradients. For batch normalisation and maximum pooling, TensorFlow does so through
long chains of element-wise operations. This module has the closed forms.
"""

import tensorflow as tf


def batch_norm(x, scale, offset, epsilon):
    """Normalises images with the mean and variance of the batch.

    Args:
        x: `(batch, height, width, channels)`, floating.
        scale: `(channels,)` float32.
        offset: `(channels,)` float32.
        epsilon: added to the variance.

    Returns:
        The normalised images in the dtype of `x`, and the float32 mean and variance `(channels,)`. No gradient flows
        through the mean and the variance. The variance has Bessel's correction.

    Reference: [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167)
    """

    @tf.custom_gradient
    def forward(x, scale, offset):
        outputs, mean, variance, *reserve = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=[], variance=[], epsilon=epsilon, is_training=True
        )

        def gradient(upstream, *_):
            return _batch_norm_gradient(upstream, x, scale, mean, variance, reserve, epsilon)

        return (outputs, mean, variance), gradient

    return forward(x, scale, offset)


def _batch_norm_gradient(upstream, x, scale, mean, variance, reserve, epsilon):
    """Gradients with respect to `x`, the scale and the offset, with their own gradients in closed form.

    Write g for the upstream gradient, <·> for means over all axes but the last, n = (x - mean) r for the normalised
    images with r = 1 / sqrt(variance + epsilon), and u(t) = r (t - <t> - n <t n>). Then dx = scale u(g),
    dscale = sum(g n), doffset = sum(g). With v, a, b the upstream gradients of these three and
    c = <v g> - <v><g> - <v n><g n>, the gradients with respect to g, x and the scale are

        scale u(v) + a n + b,
        (a - scale r <v n>) u(g) - scale r <g n> u(v) - scale r² c n,
        sum(v u(g)) = count r c.
    """
    names = ("reserve_space_1", "reserve_space_2", "reserve_space_3")
    kernel_state = {**dict(zip(names, reserve)), "x": x, "epsilon": epsilon, "is_training": True}

    def kernel(upstream, scale):
        return tf.raw_ops.FusedBatchNormGradV3(y_backprop=upstream, scale=scale, **kernel_state)[:3]

    @tf.custom_gradient
    def backward(g, x, scale):
        def gradient(v, a, b):
            count = tf.cast(tf.size(x) // tf.shape(x)[-1], tf.float32)
            r = tf.math.rsqrt(variance * (count - 1.0) / count + epsilon)
            ones = tf.ones_like(scale)
            u_g, sum_gn, sum_g = kernel(g, ones)
            u_v, sum_vn, sum_v = kernel(v, ones)
            mean_vg = tf.reduce_mean(tf.cast(v * g, tf.float32), axis=[0, 1, 2])
            mean_gn, mean_vn = sum_gn / count, sum_vn / count
            c = mean_vg - sum_v * sum_g / count**2 - mean_vn * mean_gn

            slope = a * r
            d_g = _weighted_sum([(scale, u_v), (slope, x)], b - slope * mean)
            slope = -scale * c * r**3
            d_x = _weighted_sum(
                [(a - scale * r * mean_vn, u_g), (-scale * r * mean_gn, u_v), (slope, x)], -slope * mean
            )
            return d_g, d_x, count * r * c

        return kernel(g, scale), gradient

    return backward(upstream, x, scale)


def _weighted_sum(terms, constant):
    """The sum of images times float32 factors per channel, plus a constant per channel, in the images' dtype."""
    dtype = terms[0][1].dtype
    total = tf.cast(constant, dtype)
    for factor, images in terms:
        total += tf.cast(factor, dtype) * images
    return total


def max_pool(x):
    """The maximum of each 2×2 window, with stride 2; an odd last row or column is left out.

    Args:
        x: `(batch, height, width, channels)`, floating.

    Returns:
        `(batch, height // 2, width // 2, channels)`.
    """
    window = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "VALID"}

    @tf.custom_gradient
    def forward(x):
        outputs = tf.raw_ops.MaxPool(input=x, **window)

        def kernel(upstream):
            return tf.raw_ops.MaxPoolGrad(orig_input=x, orig_output=outputs, grad=upstream, **window)

        @tf.custom_gradient
        def backward(upstream):
            def gradient(v):
                # `backward` puts each gradient where its maximum was; the gradient of that takes it from there.
                winners = kernel(tf.ones_like(outputs))
                return 4.0 * tf.nn.avg_pool2d(v * winners, 2, 2, "VALID")

            return kernel(upstream), gradient

        return outputs, backward

    return forward(x)
