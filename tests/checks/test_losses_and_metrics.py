"""What Keras's losses and metrics take is known by their names, of classes, functions and strings alike."""

from metalearn_tf.checks.losses_and_metrics import (
    check_metrics_of_classes,
    check_takes_probabilities,
    loss_takes,
    metric_of_targets,
)

import keras
import pytest


@pytest.mark.parametrize(
    "loss, takes",
    [
        ("sparse_categorical_crossentropy", "labels"),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), "labels"),
        (keras.losses.sparse_categorical_crossentropy, "labels"),
        ("mse", "targets"),
        (keras.losses.Huber(), "targets"),
        (lambda y, outputs: outputs, None),
        (None, None),
    ],
)
def test_what_a_loss_takes(loss, takes):
    assert loss_takes(loss) == takes


def test_a_metric_of_targets_is_found_among_others():
    assert metric_of_targets(["accuracy"], None) is None
    assert metric_of_targets(["accuracy", "mae"], None) == "mae"


def test_logits_are_refused_where_a_model_gives_probabilities():
    check_takes_probabilities("loss", "sparse_categorical_crossentropy")
    for of_logits in (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        keras.metrics.SparseCategoricalCrossentropy(from_logits=True),
    ):
        with pytest.raises(ValueError, match="`metrics` must take probabilities.*leave out `from_logits=True`"):
            check_takes_probabilities("metrics", ["accuracy", of_logits])


@pytest.mark.parametrize("metric", ["mae", "categorical_accuracy", keras.metrics.AUC(), keras.metrics.R2Score()])
def test_metrics_of_other_labels_are_refused_for_class_numbers(metric):
    check_metrics_of_classes("metrics", ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)])
    with pytest.raises(ValueError, match='`metrics` must take class numbers, as "accuracy"'):
        check_metrics_of_classes("metrics", ["accuracy", metric])
