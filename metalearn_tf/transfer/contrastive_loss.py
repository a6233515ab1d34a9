"""The loss of contrastive pre-training."""

import tensorflow as tf

from metalearn_tf.learners.prototypical_network import cosine_similarity


def nt_xent(first, second, temperature=0.5):
    """Normalised temperature-scaled cross-entropy: each view must find the other view of its image among all views.

    Args:
        first: projections `(n, d)` float32 of one view of each image, at least two images.
        second: projections `(n, d)` of another view of the same images.
        temperature: positive number that the cosines are divided by.

    Returns:
        The mean over all `2 n` views, float32 scalar, between about 0 and `log(2 n - 1) + 2 / temperature`.

    Reference: [Chen et al., 2020](https://arxiv.org/abs/2002.05709), equation 1.
    """
    count = tf.shape(first)[0]
    views = tf.concat([first, second], axis=0)
    logits = cosine_similarity(views, views) / temperature
    # A view must not find itself. The lowest finite number is used, because infinity has no gradient.
    logits = tf.linalg.set_diag(logits, tf.fill([2 * count], logits.dtype.min))
    others = tf.concat([tf.range(count, 2 * count), tf.range(count)], axis=0)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=others, logits=logits))
