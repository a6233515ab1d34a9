"""Classifiers of features: they measure what a frozen backbone knows about classes that it was not trained on."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.checks.arrays import check_vectors
from metalearn_tf.checks.dtypes import check_dtype
from metalearn_tf.checks.examples import check_not_empty
from metalearn_tf.checks.labels import check_labels
from metalearn_tf.checks.real_numbers import check_positive
from metalearn_tf.checks.whole_numbers import check_whole_between
from metalearn_tf.engine.saveable_model import plain_values
from metalearn_tf.learners.prototypical_network import DISTANCES, cosine_similarity, negative_squared_distance
from metalearn_tf.transfer.logistic_regression import fit_logistic_regression

# The number of similarities in memory at a time: 64 MB.
_MOST_SIMILARITIES = 2**24


def linear_probe(features, labels, l2=1.0):
    """Multinomial logistic regression on features, fitted to its minimum.

    The model takes raw features and standardises them itself. With three classes or more the result equals that of
    scikit-learn's `LogisticRegression(C=1 / l2)` on standardised features.

    ```python
    features = mtf.transfer.extract_features(backbone, images)
    probe = mtf.transfer.linear_probe(features, labels)
    probe.predict(mtf.transfer.extract_features(backbone, new_images))
    ```

    Args:
        features: floats `(n, d)`, see `extract_features`.
        labels: integers `(n,)`, `0 … classes - 1`, each at least once.
        l2: strength of the penalty on the weights of standardised features, relative to the summed cross-entropy.

    Input shape: `(batch, d)` floating.
    Output shape: `(batch, classes)` float32 probabilities.

    Returns:
        A `keras.Model`, compiled so that `evaluate` gives cross-entropy and accuracy.

    Raises:
        ValueError: if the features are not finite or not such an array, there is only one class, a class has no
            example, or `l2` is not positive.
    """
    features = _check_features(features)
    labels, classes = check_labels("labels", labels, len(features))
    check_positive("l2", l2)
    mean, deviation = _mean_and_deviation(features)
    weights, biases = fit_logistic_regression((features - mean) / deviation, labels, classes, l2)

    # Scaled by powers of two, which is exact: Keras's layer cannot divide by less than 1e-7.
    scale = np.exp2(-np.round(np.log2(deviation)))
    inputs = keras.Input((features.shape[1],), dtype="float32", name="features")
    x = keras.layers.Rescaling(scale.tolist(), dtype="float32", name="scaled")(inputs)
    normalization = keras.layers.Normalization(
        mean=mean * scale, variance=(deviation * scale) ** 2, dtype="float32", name="standardized"
    )
    head = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")
    model = keras.Model(inputs, head(normalization(x)), name="linear_probe")
    head.set_weights([weights, biases])
    return _compiled(model)


def probe_weights(features, labels, classes, l2=1.0):
    """The weights `(d, classes)` and biases `(classes,)` of `linear_probe` for features that are not standardised."""
    mean, deviation = _mean_and_deviation(features)
    weights, biases = fit_logistic_regression((features - mean) / deviation, labels, classes, l2)
    weights = weights / deviation[:, None]
    return weights, biases - mean @ weights


def _mean_and_deviation(features):
    """The deviation of each feature, float64 `(d,)`; 1 for a feature that is the same for all examples."""
    mean, deviation = features.mean(axis=0, dtype="float64"), features.std(axis=0, dtype="float64")
    # Such a feature has no information. Only rounding errors are left, and they must not be amplified.
    deviation[deviation <= 1e-6 * np.abs(mean)] = 1.0
    return mean, deviation


def nearest_neighbors(features, labels, neighbors=5, distance="cosine", temperature=None):
    """A classifier in which the nearest labelled features vote.

    Args:
        features: floats `(n, d)`, see `extract_features`.
        labels: integers `(n,)`, `0 … classes - 1`, each there at least once.
        neighbors: the number of features that vote; at most `n`.
        distance: `"cosine"` or `"squared_euclidean"`.
        temperature: `None` for votes of equal weight, or a positive number. The weights are then a softmax of the
            cosines, or of minus the squared distances, divided by it: a smaller number gives nearer features more
            weight. Wu et al. use 0.07 with cosines and 200 neighbours.

    Input shape: `(batch, d)` floating.
    Output shape: `(batch, classes)` float32, the shares of the votes. If classes have equal shares, `argmax` takes the
        first.

    Returns:
        A `keras.Model`, compiled so that `evaluate` gives cross-entropy and accuracy.

    Raises:
        ValueError: if the features are not finite or not such an array, there is only one class, a class has no
            example, or an option is out of range.

    Reference: [Cover and Hart, 1967](https://doi.org/10.1109/TIT.1967.1053964);
        temperature: [Wu et al., 2018](https://arxiv.org/abs/1805.01978)
    """
    features = _check_features(features)
    labels, classes = check_labels("labels", labels, len(features))
    check_whole_between("neighbors", neighbors, 1, len(features), "the number of features")
    inputs = keras.Input((features.shape[1],), dtype="float32", name="features")
    votes = NeighborVotes(*features.shape, classes, neighbors, distance, temperature, name="votes")
    model = keras.Model(inputs, votes(inputs), name="nearest_neighbors")
    votes.set_weights([features, labels])
    return _compiled(model)


def _check_features(features):
    features = check_vectors("features", features)
    check_not_empty("features", features)
    check_dtype("features", features.dtype, "numbers")
    return features.astype("float32", copy=False)


def _compiled(model):
    # Without XLA, which halves the speed on CPUs.
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    model.optimizer.build(model.trainable_variables)  # Keras cannot load a file whose optimizer was not built
    return model


@keras.saving.register_keras_serializable("metalearn_tf")
class NeighborVotes(keras.layers.Layer):
    """The share of each class among the nearest of the stored examples; see `nearest_neighbors`.

    Args:
        examples: number of examples.
        features: width of one example.
        classes: number of classes.
        neighbors: as in `nearest_neighbors`.
        distance: as in `nearest_neighbors`.
        temperature: as in `nearest_neighbors`.

    Weights: the examples `(examples, features)` float32 and their labels `(examples,)` int32.
    """

    def __init__(self, examples, features, classes, neighbors, distance="cosine", temperature=None, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        if distance not in DISTANCES:
            raise ValueError(f"`distance` must be one of {DISTANCES}. Received: distance={distance!r}")
        if temperature is not None:
            check_positive("temperature", temperature)
        self.classes = classes
        self.neighbors = neighbors
        self.distance = distance
        self.temperature = temperature
        self.examples = self.add_weight(
            shape=(examples, features), initializer="zeros", dtype="float32", autocast=False, name="examples"
        )
        self.labels = self.add_weight(shape=(examples,), initializer="zeros", dtype="int32", name="labels")
        self.built = True

    def call(self, x):
        x = tf.cast(x, tf.float32)
        examples, width = self.examples.shape
        rows = tf.shape(x)[0]
        chunk = tf.clip_by_value(rows, 1, max(1, _MOST_SIMILARITIES // examples))
        chunks = tf.reshape(tf.pad(x, [[0, -rows % chunk], [0, 0]]), (-1, chunk, width))
        votes = tf.map_fn(self._votes, chunks, parallel_iterations=1)
        return tf.reshape(votes, (-1, self.classes))[:rows]

    def _votes(self, x):
        similarity = cosine_similarity if self.distance == "cosine" else negative_squared_distance
        nearest, indices = tf.math.top_k(similarity(x, tf.convert_to_tensor(self.examples)), self.neighbors)
        weights = tf.zeros_like(nearest) if self.temperature is None else nearest / self.temperature
        voters = tf.one_hot(tf.gather(tf.convert_to_tensor(self.labels), indices), self.classes)
        return tf.einsum("qk,qkc->qc", tf.nn.softmax(weights), voters)

    def get_config(self):
        examples, features = self.examples.shape
        return plain_values(
            {
                **super().get_config(),
                "examples": examples,
                "features": features,
                "classes": self.classes,
                "neighbors": self.neighbors,
                "distance": self.distance,
                "temperature": self.temperature,
            }
        )
