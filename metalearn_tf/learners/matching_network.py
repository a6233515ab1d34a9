"""Matching networks."""

import keras
import tensorflow as tf

from metalearn_tf.checks.real_numbers import check_positive
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.prototypical_network import cosine_similarity
from metalearn_tf.learners.query_blocks import in_query_blocks
from metalearn_tf.learners.task_checks import check_embedding

# The logit of a class without support examples. It is finite, so no gradient is NaN.
_ABSENT = -1e30


@keras.saving.register_keras_serializable("metalearn_tf")
class MatchingNetwork(MetaLearner):
    """Classifies a query by its attention to each support example, summed by class.

    The attention is a softmax over the cosines between the query's embedding and the support embeddings. The logits are
    the logarithms of its sums by class. These are the paper's matching networks without full-context embeddings. The
    task state is the support embeddings `(support, features)`, the one-hot labels `(support, ways)`, and the support
    set's normalisation statistics if the network keeps them. A task may have any number of ways.

    Args:
        network: a built `keras.Model` from examples to embeddings `(batch, features)`.
        logit_scale: factor on the cosines, 1 in the paper. Cosines are in `[-1, 1]`, so their softmax is flat; 10 makes
            it sharper.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if the network's output is not a vector, or is probabilities, or `logit_scale` is not positive.

    Reference: [Vinyals et al., 2016](https://arxiv.org/abs/1606.04080)
    """

    takes_targets = False

    def __init__(self, network, logit_scale=1.0, **kwargs):
        super().__init__(network, **kwargs)
        check_embedding(network)
        check_positive("logit_scale", logit_scale)
        self.logit_scale = logit_scale

    def adapt_task(self, support_x, support_y):
        embeddings, statistics = self.encode_support(support_x)
        return [embeddings, tf.one_hot(support_y, self.ways(support_y)), *statistics]

    def classify(self, task_state, query_x):
        support_embeddings, members, *statistics = task_state

        def answer(embeddings):
            cosines = cosine_similarity(support_embeddings, embeddings)
            return log_sums_by_class(tf.nn.log_softmax(self.logit_scale * cosines, axis=0), members)

        embeddings = self.encode_query(query_x, statistics=statistics)
        return in_query_blocks(answer, embeddings, tf.shape(members)[0])

    def state_checks(self, task_state):
        return one_hot_checks(task_state[1])

    def get_config(self):
        return {**super().get_config(), "logit_scale": self.logit_scale}


def largest_by_class(scores, members):
    """The largest score of each class.

    Args:
        scores: `(support, queries)`.
        members: one-hot labels `(support, ways)`.

    Returns:
        `(queries, ways)`; -1e30 for a class without an example.
    """
    labels, ways = tf.argmax(members, axis=1, output_type=tf.int32), tf.shape(members)[1]
    largest = tf.transpose(tf.math.unsorted_segment_max(scores, labels, ways))
    return tf.where(_is_present(members), largest, _ABSENT)


def log_sums_by_class(scores, members):
    """The logarithm of each class's sum of exponentials; the arguments and the result are as in `largest_by_class`."""
    labels, ways = tf.argmax(members, axis=1, output_type=tf.int32), tf.shape(members)[1]
    largest = tf.stop_gradient(largest_by_class(scores, members))
    shares = tf.exp(scores - tf.gather(tf.transpose(largest), labels))
    sums = tf.transpose(tf.math.unsorted_segment_sum(shares, labels, ways))
    return tf.math.log(tf.where(_is_present(members), sums, 1.0)) + largest


def one_hot_checks(members):
    """The conditions on one-hot labels `(support, ways)` in a task state, see `KeptState.state_checks`."""
    are_bits = tf.reduce_all((members == 0) | (members == 1))
    return [
        (
            are_bits & tf.reduce_all(tf.reduce_sum(members, axis=1) == 1),
            "each support example must be of one class, 1 in the row of its one-hot label and 0 elsewhere.",
        ),
        (tf.reduce_all(_is_present(members)), "each class must have a support example."),
    ]


def _is_present(members):
    return tf.reduce_any(members > 0, axis=0)
