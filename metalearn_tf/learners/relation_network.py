"""Relation networks."""

import math

import keras
import tensorflow as tf

from metalearn_tf.learners.meta_learner import MetaLearner
from metalearn_tf.learners.prototypical_network import class_means
from metalearn_tf.learners.query_blocks import in_query_blocks
from metalearn_tf.learners.task_checks import check_headless

_FILTERS, _UNITS = 64, 8


@keras.saving.register_keras_serializable("metalearn_tf")
class RelationNetwork(MetaLearner):
    """Classifies a query by a learned comparison of its features with the mean features of each class.

    The relation module depends on the network's output. It compares feature maps, such as those of
    `mtf.networks.conv4(feature_map=True)`, with two convolution blocks and two dense layers, as in the paper. It
    compares vectors with three dense layers. The task state is the class means after the first of these layers, and the
    support set's normalisation statistics if the network keeps them. A task may have any number of ways.

    Two things differ from the paper. The class features are means and not sums, so any number of shots works. The
    module normalises each pair separately (group normalisation with one group). So only the network's normalisation
    decides whether a prediction depends on other queries.

    The logits are the relation scores before the sigmoid. The default loss is cross-entropy over the classes; the
    paper's is `compile(loss=mtf.learners.relation_loss)`.

    Args:
        network: a built `keras.Model` from examples to feature maps `(batch, height, width, channels)` or vectors
            `(batch, features)`.
        **kwargs: see `MetaLearner`.

    Raises:
        ValueError: if the network's output is neither, or probabilities.

    Reference: [Sung et al., 2018](https://arxiv.org/abs/1711.06025)
    """

    takes_targets = False

    def __init__(self, network, **kwargs):
        super().__init__(network, **kwargs)
        shape = network.output_shape[1:]
        if len(shape) not in (1, 3) or None in shape:
            raise ValueError(
                "`network` must put out feature maps (n, height, width, channels), as "
                "`mtf.networks.conv4(feature_map=True)` does, or vectors (n, features), all sides known. "
                f"Received: output_shape={network.output_shape}"
            )
        check_headless(network)
        # A layer on two concatenated inputs is the sum of one layer on each. So the half for the queries runs once per
        # query instead of once per pair, and the half for the classes is part of the adaptation.
        self.class_layer = _comparison(shape, network.dtype_policy, name="class_layer")
        self.query_layer = _comparison(shape, network.dtype_policy, name="query_layer")
        self.relation_module = _relation_module(self.query_layer.output.shape[1:], network.dtype_policy)

    def adapt_task(self, support_x, support_y):
        features, statistics = self.encode_support(support_x)
        flat = tf.reshape(features, [tf.shape(features)[0], -1])
        means = class_means(flat, support_y, self.ways(support_y))
        means = tf.reshape(means, [-1, *self.network.output_shape[1:]])
        return [tf.cast(self.class_layer(means), features.dtype), *statistics]

    def classify(self, task_state, query_x):
        classes, *statistics = task_state
        features = self.encode_query(query_x, statistics=statistics)

        def answer(features):
            queries = tf.cast(self.query_layer(features), features.dtype)
            pairs = queries[:, None] + classes[None]
            scores = self.relation_module(tf.reshape(pairs, [-1, *classes.shape[1:]]))
            return tf.reshape(scores, [tf.shape(queries)[0], tf.shape(classes)[0]])

        return in_query_blocks(answer, features, tf.shape(classes)[0] * math.prod(classes.shape[1:]))


@keras.saving.register_keras_serializable("metalearn_tf")
def relation_loss(y_true, y_pred):
    """The paper's loss for a relation network: the squared difference between the sigmoid of a score and 1 or 0.

    Args:
        y_true: integers `(..., queries)`.
        y_pred: relation scores `(..., queries, ways)` before the sigmoid.

    Returns:
        Losses `(..., queries)` in the dtype of `y_pred`, at least float32, each the mean over the classes.

    Reference: [Sung et al., 2018](https://arxiv.org/abs/1711.06025), equation 2.
    """
    y_pred = tf.convert_to_tensor(y_pred)
    y_pred = y_pred if y_pred.dtype == tf.float64 else tf.cast(y_pred, tf.float32)
    targets = tf.one_hot(tf.cast(y_true, tf.int32), tf.shape(y_pred)[-1], dtype=y_pred.dtype)
    return tf.reduce_mean(tf.math.squared_difference(tf.sigmoid(y_pred), targets), axis=-1)


def _comparison(shape, dtype, name):
    """Half of the relation module's first layer, with no bias: a normalisation follows."""
    inputs = keras.Input(shape)
    if len(shape) == 3:
        layer = keras.layers.Conv2D(_FILTERS, 3, padding="same", use_bias=False, dtype=dtype)
    else:
        layer = keras.layers.Dense(_FILTERS, use_bias=False, dtype=dtype)
    return keras.Model(inputs, layer(inputs), name=name)


def _relation_module(shape, dtype):
    """The rest of the module, from the first layer's sum `(pairs, ...)` to scores `(pairs, 1)`."""
    x = inputs = keras.Input(shape)
    x = _block_end(x, dtype)
    if len(shape) == 3:
        x = keras.layers.Conv2D(_FILTERS, 3, padding="same", use_bias=False, dtype=dtype)(x)
        x = keras.layers.Flatten(dtype=dtype)(_block_end(x, dtype))
    x = keras.layers.Dense(_UNITS, activation="relu", dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Dense(1, dtype=_at_least_float32(dtype))(x), name="relation_module")


def _at_least_float32(policy):
    return policy if policy.name == "float64" else "float32"


def _block_end(x, dtype):
    x = keras.layers.ReLU(dtype=dtype)(keras.layers.GroupNormalization(1, dtype=dtype)(x))
    if len(x.shape) == 4:
        x = keras.layers.MaxPooling2D([min(2, side) for side in x.shape[1:3]], dtype=dtype)(x)
    return x
