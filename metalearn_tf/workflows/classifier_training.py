"""Short trainings of one classifier, many times over."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.data.tasks.augmentation import seed_augmentation
from metalearn_tf.evaluation.scores import confusion_matrix, macro_recall_and_f1

_TEST_BATCH = 256


class ClassifierTraining:
    """Trains a classifier many times from the same initial weights, on few real images and on generated ones.

    Args:
        classifier: a compiled `keras.Model` from images in [0, 1] to probabilities of classes. Its weights change.
        steps: steps of one training.
        batch_size: images in a step, half of them real and half generated.
        augmentation: a Keras layer for images in [0, 1].
    """

    def __init__(self, classifier, steps, batch_size, augmentation):
        self.classifier = classifier
        classifier.optimizer.build(classifier.trainable_variables)
        augmentation.build((None, *classifier.input_shape[1:]))
        self._augmentation = augmentation
        self._variables = [*classifier.variables, *classifier.optimizer.variables]
        self._start = [keras.ops.convert_to_numpy(variable).copy() for variable in self._variables]

        def training(augments):
            @tf.function(reduce_retracing=True)
            def train(real, generated, seed):
                for step in tf.range(steps):
                    seeds = tf.unstack(tf.random.split(tf.stack([seed, step]), 2))
                    halves = [_draw(part, batch_size // 2, one) for part, one in zip((real, generated), seeds)]
                    images, labels = (tf.concat(parts, axis=0) for parts in zip(*halves))
                    images = augmentation(images, training=True) if augments else images
                    classifier.train_step((images, labels))

            return train

        self._train = {augments: training(augments) for augments in (False, True)}

    def scores(self, real, generated, test, augments, seed):
        """Trains, and tests.

        Args:
            real: a pair of images `(n, height, width, channels)` float32 in [0, 1] and class numbers `(n,)`, equally
                many of each class.
            generated: the same for generated images; `None` for real images only.
            test: the same for test images, any number of each class.
            augments: whether to augment the training images.
            seed: integer, for the batches and the augmentation.

        Returns:
            Accuracy, and macro-averaged recall and F1, on the test images; in `[0, 1]`.
        """
        for variable, value in zip(self._variables, self._start):
            variable.assign(value)
        seed_augmentation(self._augmentation, seed)
        parts = [tuple(map(tf.constant, part)) for part in (real, real if generated is None else generated)]
        self._train[augments](*parts, tf.constant(seed))
        predictions = np.argmax(self.classifier.predict(test[0], batch_size=_TEST_BATCH, verbose=0), axis=1)
        confusion = confusion_matrix(test[1], predictions, self.classifier.output_shape[-1])
        return np.trace(confusion) / confusion.sum(), *macro_recall_and_f1(confusion)


def _draw(examples, count, seed):
    """`count` of the images and labels, with replacement."""
    rows = tf.random.stateless_uniform([count], seed, maxval=tf.shape(examples[0])[0], dtype=tf.int32)
    return [tf.gather(part, rows) for part in examples]
