"""The baselines: a new classifier for each task, on the features of a frozen network."""

import keras
import tensorflow as tf

from metalearn_tf.checks.real_numbers import check_not_negative, check_positive
from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.engine.update_rules import momentum_descent
from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.network_pass import result_dtype
from metalearn_tf.learners.prototypical_network import cosine_similarity
from metalearn_tf.transfer.backbone_checks import check_features


@keras.saving.register_keras_serializable("metalearn_tf")
class Baseline(MetaLearner):
    """Trains a linear classifier on the support set's features, which a pre-trained network computes.

    The network is frozen and its features are computed once. The classifier starts from zeros and is trained by
    gradient descent with momentum 0.9 and dampening 0.9, in batches whose order depends only on `seed`. The task state
    is its weights `(ways, d)` and biases `(ways,)`, and the support set's normalisation statistics if the network keeps
    them. It takes any number of ways. The defaults are those of the paper's published code; only there, the weights
    start at random.

    Example:

    ```python
    backbone = mtf.transfer.pretrain(mtf.networks.conv4(normalization="running"), train, epochs=20)
    report = mtf.evaluation.evaluate_episodes(mtf.transfer.Baseline(backbone), test, ways=5, shots=1)
    ```

    Args:
        network: a built `keras.Model` from examples to features `(batch, d)`.
        epochs: passes over the support set.
        batch_size: support examples in a gradient step; `None` for all of them.
        learning_rate: size of the steps.
        weight_decay: strength of the penalty on all weights of the classifier.
        seed: integer for the order of the examples.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if a number is out of range, or the network does not return vectors.

    Reference: [Chen et al., 2019](https://arxiv.org/abs/1904.04232)
    """

    takes_targets = False

    def __init__(self, network, epochs=100, batch_size=4, learning_rate=0.01, weight_decay=0.001, seed=0, **kwargs):
        check_features(network, "network")
        super().__init__(network, **kwargs)
        check_python_whole(epochs=epochs)
        if batch_size is not None:
            check_python_whole(batch_size=batch_size)
        check_positive("learning_rate", learning_rate)
        check_not_negative("weight_decay", weight_decay)
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed

    # === The head ===

    def first_head(self, ways):
        """The classifier's two tensors before the first step."""
        dtype = result_dtype(self.network)
        return [tf.zeros((ways, self.network.output_shape[-1]), dtype), tf.zeros((ways,), dtype)]

    def head_logits(self, features, head):
        """Logits `(n, ways)` of features `(n, d)`."""
        weights, biases = head
        return tf.matmul(features, weights, transpose_b=True) + biases

    # === What a learner writes ===

    def adapt_task(self, support_x, support_y):
        features, statistics = self.encode_support(support_x)
        return [*self._train_head(tf.stop_gradient(features), support_y), *statistics]

    def classify(self, task_state, query_x):
        head, statistics = task_state[:2], task_state[2:]
        return self.head_logits(self.encode_query(query_x, statistics=statistics), head)

    def _train_head(self, features, labels):
        rule = momentum_descent(self.learning_rate, momentum=0.9, dampening=0.9, weight_decay=self.weight_decay)
        head = self.first_head(self.ways(labels))
        examples = tf.shape(labels)[0]
        size = examples if self.batch_size is None else tf.minimum(self.batch_size, examples)
        batches = -(-examples // size)

        def run_step(step, *values):
            head, state = list(values[:2]), list(values[2:])
            x, y = self._batch(features, labels, step // batches, step % batches * size, size)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(head)
                loss = self.support_loss(y, self.head_logits(x, head))
            head, state = rule.update(tape.gradient(loss, head), state, head, loss, step)
            return [step + 1, *head, *state]

        steps = self.epochs * batches
        _, *values = tf.while_loop(lambda step, *_: step < steps, run_step, [tf.constant(0), *head, *rule.init(head)])
        return values[:2]

    def _batch(self, features, labels, epoch, start, size):
        if self.batch_size is None:
            return features, labels
        order = tf.argsort(tf.random.stateless_uniform(tf.shape(labels), seed=tf.stack([self.seed, epoch])))
        rows = order[start : start + size]
        return tf.gather(features, rows), tf.gather(labels, rows)

    # === Keras ===

    def fit(self, *args, **kwargs):
        raise NotImplementedError(
            "A baseline is not meta-trained: train its network with `mtf.transfer.pretrain`, then make the baseline."
        )

    def train_step(self, data):
        return self.fit()

    def get_config(self):
        return {
            **super().get_config(),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("metalearn_tf")
class BaselinePlusPlus(Baseline):
    """Trains a cosine classifier on the support set's features, which a pre-trained network computes.

    The logit of a class is `scale` times the length of its weight vector times the cosine between that vector and the
    features. Length and direction are trained as separate weights, as in the paper's published code. The initial
    vectors are random, with entries in `[-d^-½, d^-½]`. The task state is the directions `(ways, d)` and the lengths
    `(ways,)`, and the support set's normalisation statistics if the network keeps them. It takes any number of ways.

    Args:
        network: see `Baseline`.
        scale: factor of the logits.
        **kwargs: see `Baseline`; `seed` is also for the initial vectors.

    Raises:
        ValueError: as for `Baseline`, or if `scale` is not positive.

    Reference: [Chen et al., 2019](https://arxiv.org/abs/1904.04232)
    """

    def __init__(self, network, scale=2.0, **kwargs):
        super().__init__(network, **kwargs)
        check_positive("scale", scale)
        self.scale = scale

    def first_head(self, ways):
        features = self.network.output_shape[-1]
        bound = features**-0.5
        directions = tf.random.stateless_uniform((ways, features), seed=(self.seed, -1), minval=-bound, maxval=bound)
        directions = tf.cast(directions, result_dtype(self.network))
        return [directions, tf.norm(directions, axis=1)]

    def head_logits(self, features, head):
        directions, lengths = head
        return self.scale * lengths * cosine_similarity(features, directions)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}
