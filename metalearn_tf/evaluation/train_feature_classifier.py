"""Trains networks for the scores."""

import keras
import tensorflow as tf

from metalearn_tf.checks.image_range import check_image_range
from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.engine.random_state_kept import random_state_kept
from metalearn_tf.engine.schedule import warm_up_and_cosine
from metalearn_tf.evaluation.feature_networks import build_classifier
from metalearn_tf.evaluation.scored_images import SCORED_RANGE

_BATCH_SIZE = 128
_LEARNING_RATE = 3e-3


@random_state_kept()
def train_feature_classifier(dataset, epochs=8, features=64, augmentation=None, seed=0, verbose="auto"):
    """Trains a classifier whose features can be used to score generated images like those of the dataset.

    It uses Adam with a cosine schedule after a warm-up of one tenth, batches of 128, and cross-entropy. The network up
    to the layer before the softmax is the feature network:

    ```python
    classifier = mtf.evaluation.train_feature_classifier(dataset)
    network = keras.Model(classifier.input, classifier.get_layer("features").output)
    mtf.evaluation.fid(dataset.examples, gan.sample(2000), network)
    ```

    Args:
        dataset: `ClassDataset` of images, at least 8 pixels a side, uint8 or floating in `[-1, 1]`.
        epochs: passes over the dataset.
        features: width of the layer before the softmax.
        augmentation: optional Keras layer, such as `keras.layers.RandomFlip("horizontal")`, applied to the training
            images, float32 in `[-1, 1]`.
        seed: integer, for the initial weights and the order of the examples. The user's random states are restored
            afterwards.
        verbose: as in `fit`.

    Returns:
        A built and compiled `keras.Model` from images in `[-1, 1]` to probabilities `(batch, num_classes)` float32.

    Raises:
        TypeError: if `dataset` is not a `ClassDataset`, or `augmentation` not a Keras layer.
        ValueError: if the dataset does not have such images of two classes or more, or `epochs` is not a positive
            integer.
    """
    _check(dataset, epochs, augmentation)
    keras.utils.set_random_seed(seed)  # the order of a shuffled dataset depends on TensorFlow's seed too
    classifier = build_classifier(dataset.example_shape, dataset.num_classes, features, seed=seed)
    batches, steps = _batches(dataset, augmentation, seed)
    classifier.compile(
        optimizer=keras.optimizers.Adam(warm_up_and_cosine(_LEARNING_RATE, epochs * steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # XLA halves the speed on CPUs.
        jit_compile=False,
    )
    classifier.fit(batches, epochs=epochs, shuffle=False, verbose=verbose)
    return classifier


def _check(dataset, epochs, augmentation):
    if not isinstance(dataset, ClassDataset):
        raise TypeError(f"`dataset` must be a ClassDataset. Received: {type(dataset).__name__}")
    if len(dataset.example_shape) != 3:
        raise ValueError(
            "`dataset` must hold images of shape (height, width, channels). "
            f"Received: examples of shape {dataset.example_shape}"
        )
    check_image_range("dataset", dataset.examples, SCORED_RANGE)
    if dataset.num_classes < 2:
        raise ValueError(f"`dataset` must have at least 2 classes. Received: {dataset.num_classes}")
    check_whole(epochs=epochs)
    if augmentation is not None and not isinstance(augmentation, keras.layers.Layer):
        raise TypeError(f"`augmentation` must be a Keras layer. Received: {type(augmentation).__name__}")


def _batches(dataset, augmentation, seed):
    """One pass over the shuffled dataset, and its number of batches."""
    labels = tf.constant(dataset.labels)

    def gather(rows):
        images = to_image_range(dataset.gather(rows), SCORED_RANGE)
        if augmentation is not None:
            images = augmentation(images, training=True)
        return images, tf.gather(labels, rows)

    rows = tf.data.Dataset.range(len(dataset)).shuffle(len(dataset), seed=seed)
    # A last batch of one image would distort the statistics of the normalisation.
    size = min(_BATCH_SIZE, len(dataset))
    batches = rows.batch(size, drop_remainder=True).map(gather).prefetch(2)
    options = tf.data.Options()
    # With autotuning, `fit` would wait at its end for as long as the training took.
    options.autotune.enabled = False
    return batches.with_options(options), len(dataset) // size
