"""Prototypical networks."""

import keras
import tensorflow as tf

from metalearn_tf.checks.real_numbers import check_positive
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.task_checks import check_embedding

DISTANCES = ("squared_euclidean", "cosine")


@keras.saving.register_keras_serializable("metalearn_tf")
class PrototypicalNetwork(MetaLearner):
    """Classifies a query by its distance to the mean embedding, the prototype, of each class.

    The task state is the prototypes `(ways, features)`, and the support set's normalisation statistics if the network
    keeps them. A task may have any number of ways.

    Args:
        network: a built `keras.Model` from examples to embeddings `(batch, features)`.
        distance: `"squared_euclidean"` (the paper's) or `"cosine"`.
        logit_scale: factor on the negative distance or the cosine. `None` is 1, or 10 for `"cosine"`: without it,
            cosines in `[-1, 1]` give flat probabilities.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if the network's output is not a vector, or is probabilities; if `distance` is unknown; or if
            `logit_scale` is not positive.

    Reference: [Snell et al., 2017](https://arxiv.org/abs/1703.05175);
        cosine: [Gidaris and Komodakis, 2018](https://arxiv.org/abs/1804.09458)
    """

    takes_targets = False

    def __init__(self, network, distance="squared_euclidean", logit_scale=None, **kwargs):
        super().__init__(network, **kwargs)
        check_embedding(network)
        if distance not in DISTANCES:
            raise ValueError(f"`distance` must be one of {DISTANCES}. Received: {distance!r}")
        if logit_scale is None:
            logit_scale = 10.0 if distance == "cosine" else 1.0
        check_positive("logit_scale", logit_scale)
        self.distance = distance
        self.logit_scale = logit_scale

    def adapt_task(self, support_x, support_y):
        embeddings, statistics = self.encode_support(support_x)
        return [class_means(embeddings, support_y, self.ways(support_y)), *statistics]

    def classify(self, task_state, query_x):
        prototypes, *statistics = task_state
        embeddings = self.encode_query(query_x, statistics=statistics)
        similarity = cosine_similarity if self.distance == "cosine" else negative_squared_distance
        return self.logit_scale * similarity(embeddings, prototypes)

    def get_config(self):
        return {**super().get_config(), "distance": self.distance, "logit_scale": self.logit_scale}


def class_means(embeddings, labels, ways):
    """Means `(ways, features)` of the embeddings `(n, features)` of each label `(n,)` int32."""
    members = tf.one_hot(labels, ways, axis=0, dtype=embeddings.dtype)
    return members @ embeddings / tf.reduce_sum(members, axis=1, keepdims=True)


def negative_squared_distance(queries, prototypes):
    """Minus the squared Euclidean distances `(n, ways)` of `(n, features)` to `(ways, features)`."""
    # Measured from the mean of the prototypes, the norms are small, so their difference loses little precision.
    middle = tf.reduce_mean(prototypes, axis=0)
    queries, prototypes = queries - middle, prototypes - middle
    products = tf.matmul(queries, prototypes, transpose_b=True)
    query_norms = tf.reduce_sum(tf.square(queries), axis=1, keepdims=True)
    prototype_norms = tf.reduce_sum(tf.square(prototypes), axis=1)
    return 2.0 * products - query_norms - prototype_norms


def cosine_similarity(queries, prototypes):
    """Cosines `(n, ways)` in `[-1, 1]` of the angles between `(n, features)` and `(ways, features)`."""
    return tf.matmul(_directions(queries), _directions(prototypes), transpose_b=True)


def _directions(vectors):
    """Vectors `(n, features)` of length 1; zeros stay zeros."""
    # TensorFlow does not normalise vectors that are shorter than 1e-6.
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(vectors), axis=1, keepdims=True))
    return tf.math.l2_normalize(tf.math.divide_no_nan(vectors, largest), axis=1)
