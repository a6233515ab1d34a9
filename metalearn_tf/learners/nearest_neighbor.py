"""The nearest neighbour, a baseline."""

import keras
import tensorflow as tf

from metalearn_tf.learners.matching_network import largest_by_class, one_hot_checks
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.prototypical_network import negative_squared_distance
from metalearn_tf.learners.query_blocks import in_query_blocks
from metalearn_tf.learners.task_checks import check_embedding


@keras.saving.register_keras_serializable("metalearn_tf")
class NearestNeighbor(MetaLearner):
    """Gives a query the class of the support example that is nearest in the network's output space.

    Use it as a baseline: with a network that only flattens, it compares pixels, and there is nothing to train. The
    logits are minus the squared Euclidean distance to the nearest example of each class. The task state is the support
    embeddings `(support, features)`, the one-hot labels `(support, ways)`, and the support set's normalisation
    statistics if the network keeps them. A task may have any number of ways.

    Example:

    ```python
    images = keras.Input((28, 28, 1))
    baseline = mtf.learners.NearestNeighbor(keras.Model(images, keras.layers.Flatten()(images)))
    report = mtf.evaluation.evaluate_episodes(baseline, test, ways=5, shots=1)
    ```

    Args:
        network: a built `keras.Model` from examples to vectors `(batch, features)`.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if the network's output is not a vector, or is probabilities.

    Reference: [Cover and Hart, 1967](https://doi.org/10.1109/TIT.1967.1053964)
    """

    takes_targets = False

    def __init__(self, network, **kwargs):
        super().__init__(network, **kwargs)
        check_embedding(network)

    def adapt_task(self, support_x, support_y):
        embeddings, statistics = self.encode_support(support_x)
        return [embeddings, tf.one_hot(support_y, self.ways(support_y)), *statistics]

    def classify(self, task_state, query_x):
        support_embeddings, members, *statistics = task_state

        def answer(embeddings):
            distances = negative_squared_distance(embeddings, support_embeddings)
            return largest_by_class(tf.transpose(distances), members)

        embeddings = self.encode_query(query_x, statistics=statistics)
        return in_query_blocks(answer, embeddings, tf.shape(members)[0])

    def state_checks(self, task_state):
        return one_hot_checks(task_state[1])
