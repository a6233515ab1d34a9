"""Matching networks."""

import keras
import tensorflow as tf

from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.prototypical_network import cosine_similarity
from metalearn_tf.learners.task_checks import check_embedding

# The logit of a class without support examples: finite, so that no gradient is NaN.
_ABSENT = -1e9


@keras.saving.register_keras_serializable("metalearn_tf")
class MatchingNetwork(MetaLearner):
    """Classifies a query by its attention to each support example, summed by class.

    The attention is a softmax over the cosines between the query's embedding and those of the support set; the logits
    are the logarithms of its sums by class. These are the paper's matching networks without full-context embeddings.
    The task state is the support embeddings `(support, features)` and the one-hot labels `(support, ways)`, and the
    support set's normalisation statistics where the network keeps them. Any number of ways.

    Args:
        network: a built `keras.Model` from examples to embeddings `(batch, features)`.
        logit_scale: factor on the cosines, 1 in the paper. Cosines in `[-1, 1]` make flat attention; 10 sharpens it.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if the network puts out no vectors, or probabilities, or `logit_scale` is not positive.

    Reference: [Vinyals et al., 2016](https://arxiv.org/abs/1606.04080)
    """

    takes_targets = False

    def __init__(self, network, logit_scale=1.0, **kwargs):
        super().__init__(network, **kwargs)
        check_embedding(network)
        if not logit_scale > 0:
            raise ValueError(f"`logit_scale` must be positive. Received: {logit_scale!r}")
        self.logit_scale = logit_scale

    def adapt_task(self, support_x, support_y):
        embeddings, statistics = self.encode_support(support_x)
        return [embeddings, tf.one_hot(support_y, self.ways(support_y)), *statistics]

    def classify(self, task_state, query_x):
        support_embeddings, members, *statistics = task_state
        embeddings = self.encode_query(query_x, statistics=statistics)
        log_attention = tf.nn.log_softmax(self.logit_scale * cosine_similarity(embeddings, support_embeddings))
        return tf.reduce_logsumexp(by_class(log_attention, members), axis=1)

    def get_config(self):
        return {**super().get_config(), "logit_scale": self.logit_scale}


def by_class(scores, members):
    """Scores `(queries, support)` of support examples, set out by class.

    Args:
        scores: `(queries, support)` float32.
        members: one-hot labels `(support, ways)`.

    Returns:
        `(queries, support, ways)`: each score at the class of its example, and -1e9 elsewhere.
    """
    return tf.where(members[None] > 0, scores[:, :, None], _ABSENT)
