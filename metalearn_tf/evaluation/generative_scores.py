"""Scores of generated images against real ones."""

import dataclasses

import numpy as np

from metalearn_tf.checks.label_advice import label_advice
from metalearn_tf.evaluation.feature_scores import (
    check_neighbors,
    check_subsets,
    fid_of_features,
    kid_of_features,
    precision_and_recall_of_features,
)
from metalearn_tf.evaluation.image_features import check_takes, image_features, outputs
from metalearn_tf.evaluation.scored_images import SCORED_RANGE, check_scored_images


@dataclasses.dataclass(frozen=True)
class GenerativeReport:
    """The scores of generated images against real ones, from one feature network.

    Attributes:
        fid: see `fid`; less is better.
        kid: see `kid`; less is better.
        kid_spread: standard deviation of the kernel distance over its subsets.
        precision: share of generated images that look real, in `[0, 1]`.
        recall: share of real images that are generated, in `[0, 1]`.
        real_images: the number of real images.
        generated_images: the number of generated images.
        feature_network: its name; scores from different networks cannot be compared.
        seed: seed of the subsets.
    """

    fid: float
    kid: float
    kid_spread: float
    precision: float
    recall: float
    real_images: int
    generated_images: int
    feature_network: str
    seed: int

    def __str__(self):
        return (
            f"FID {self.fid:.4g}, KID {self.kid:.4g} ± {self.kid_spread:.2g}, precision {100 * self.precision:.1f} %, "
            f"recall {100 * self.recall:.1f} % ({self.generated_images} generated against {self.real_images} real "
            f"images, {self.feature_network}, seed {self.seed})"
        )


def generative_report(
    real, generated, feature_network, neighbors=3, subsets=100, subset_size=None, seed=0, batch_size=256,
    image_range=None,
):  # fmt: skip
    """Computes all scores that need no labels, in one pass over the images.

    ```python
    network = mtf.evaluation.feature_network("mnist")
    test = mtf.data.load("mnist", "test")
    print(mtf.evaluation.generative_report(test.examples, gan.sample(10_000), network))
    ```

    Args:
        real: images `(n, height, width, channels)`, floating in `image_range`, or uint8.
        generated: images `(m, height, width, channels)`; those of `GAN.sample` are in `GAN.image_range`.
        feature_network: a Keras model from images in `[-1, 1]` to features `(batch, d)`.
        neighbors: see `precision_and_recall`.
        subsets: see `kid`.
        subset_size: see `kid`.
        seed: integer, for the subsets of `kid`.
        batch_size: images in a call of the network.
        image_range: lowest and highest value of a floating pixel; `None` for `[-1, 1]`.

    Returns:
        A `GenerativeReport`.

    Raises:
        ValueError: if a set has fewer than 2 images, the images are not such arrays or differ in shape, the features
            are not 2-D or not finite, or another argument does not fit.
    """
    real, generated = _check(real, generated, feature_network, image_range)
    check_neighbors(len(real), len(generated), neighbors)
    check_subsets(len(real), len(generated), subsets, subset_size)
    features = _features(real, generated, feature_network, batch_size)
    distance = kid_of_features(*features, subsets, subset_size, seed)
    precision, recall = precision_and_recall_of_features(*features, neighbors)
    return GenerativeReport(
        fid=fid_of_features(*features),
        kid=distance.value,
        kid_spread=distance.standard_deviation,
        precision=precision,
        recall=recall,
        real_images=len(real),
        generated_images=len(generated),
        feature_network=getattr(feature_network, "name", type(feature_network).__name__),
        seed=int(seed),
    )


def fid(real, generated, feature_network, batch_size=256, image_range=None):
    """Fréchet distance of the features of real and generated images; see `fid_of_features`.

    Args, errors and reference are those of `generative_report` and `fid_of_features`.

    Returns:
        A float, at least 0; less is better.
    """
    real, generated = _check(real, generated, feature_network, image_range)
    return fid_of_features(*_features(real, generated, feature_network, batch_size))


def kid(real, generated, feature_network, subsets=100, subset_size=None, seed=0, batch_size=256, image_range=None):
    """Kernel distance of the features of real and generated images; see `kid_of_features`.

    Args, errors and reference are those of `generative_report` and `kid_of_features`.

    Returns:
        A `Kid`, value and spread; less is better.
    """
    real, generated = _check(real, generated, feature_network, image_range)
    check_subsets(len(real), len(generated), subsets, subset_size)
    return kid_of_features(*_features(real, generated, feature_network, batch_size), subsets, subset_size, seed)


def precision_and_recall(real, generated, feature_network, neighbors=3, batch_size=256, image_range=None):
    """Precision and recall of generated images; see `precision_and_recall_of_features`.

    Args, errors and reference are those of `generative_report` and `precision_and_recall_of_features`.

    Returns:
        Two floats in `[0, 1]`, precision and recall; more is better.
    """
    real, generated = _check(real, generated, feature_network, image_range)
    check_neighbors(len(real), len(generated), neighbors)
    return precision_and_recall_of_features(*_features(real, generated, feature_network, batch_size), neighbors)


def generated_accuracy(images, labels, classifier, batch_size=256, image_range=None):
    """The share of generated images that a classifier gives the label for which they were made.

    Args:
        images: `(n, height, width, channels)`, floating in `image_range`, or uint8.
        labels: integers `(n,)`, in `[0, classes)`.
        classifier: a Keras model from images in `[-1, 1]` to probabilities or logits `(batch, classes)`, such as
            `mtf.evaluation.feature_classifier("mnist")`.
        batch_size: images in a call of the classifier.
        image_range: lowest and highest value of a floating pixel; `None` for `[-1, 1]`.

    Returns:
        A float in `[0, 1]`.

    Raises:
        ValueError: if the images are not such arrays, do not have the size that the classifier takes, or the labels do
            not fit.
    """
    images, labels = check_scored_images("images", images, image_range=image_range), np.asarray(labels)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be one integer for each image{label_advice(labels, (len(images),), 'labels')}. "
            f"Received: shape {labels.shape} and dtype {labels.dtype} for {len(images)} images"
        )
    check_takes("classifier", classifier, images)
    scores = outputs(classifier, images, batch_size)
    if scores.ndim != 2 or not 0 <= labels.min() <= labels.max() < scores.shape[1]:
        raise ValueError(
            "`labels` must be in [0, classes), where the output of `classifier` is (batch, classes). "
            f"Received: labels from {labels.min()} to {labels.max()} and outputs of shape {scores.shape}"
        )
    return float(np.mean(scores.argmax(axis=1) == labels))


def _check(real, generated, feature_network, image_range):
    real = check_scored_images("real", real, 2, image_range)
    generated = check_scored_images("generated", generated, 2, image_range)
    if real.shape[1:] != generated.shape[1:]:
        raise ValueError(
            "`real` and `generated` must hold images of the same shape. "
            f"Received: {real.shape[1:]} and {generated.shape[1:]}"
        )
    check_takes("feature_network", feature_network, real)
    return real, generated


def _features(real, generated, feature_network, batch_size):
    return [image_features(images, feature_network, batch_size, SCORED_RANGE) for images in (real, generated)]
