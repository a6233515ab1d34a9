"""Labels of classes, weights and names, in the same words for every model."""

from metalearn_tf.checks.class_names import check_class_names, numbers_of_names
from metalearn_tf.checks.labels import check_labels
from metalearn_tf.checks.sample_weights import check_sample_weight, class_weights

import numpy as np
import pytest
import tensorflow as tf


@pytest.mark.parametrize("y", [[0, 1, 2], tf.constant([0, 1, 2]), np.array([0, 1, 2], "uint8")])
def test_class_numbers_of_every_kind(y):
    labels, classes = check_labels("y", y, 3)
    assert labels.dtype == "int32" and labels.tolist() == [0, 1, 2] and classes == 3


@pytest.mark.parametrize(
    "y, options, message",
    [
        ([0.0, 1.0], {}, r"integers of shape \(n,\).*`y.astype\('int32'\)`.*float64"),
        (np.eye(2), {}, r"integers of shape \(n,\).*np.argmax"),
        ([0, 1, 1], {}, "one label for each example. Received: 3 for 2 examples"),
        ([-1, 1], {}, r"class numbers in \[0, 2\). Received: labels from -1 to 1"),
        ([0, 5], {"classes": 3}, r"class numbers in \[0, 3\)"),
        ([0, 0], {}, "of at least 2 classes. Received: one class, 0"),
        ([0, 2], {}, r"an example of each of the classes 0 to 2; .*no example of the classes \[1\]"),
    ],
)
def test_labels_that_are_refused(y, options, message):
    with pytest.raises(ValueError, match=f"`y` must (be|have) {message}"):
        check_labels("y", y, 2, **options)


def test_some_classes_may_be_absent_where_that_is_said():
    assert check_labels("y", [2, 2], 2, classes=4, every_class=False)[1] == 4


def test_weights_of_examples_and_of_queries():
    assert check_sample_weight("sample_weight", None, (3,)) is None
    assert check_sample_weight("sample_weight", [0, 1, True], (3,)).dtype == "float32"
    assert check_sample_weight("sample_weight", np.ones((2, 3)), (2, 3)).shape == (2, 3)


@pytest.mark.parametrize(
    "weights, shape, message",
    [
        (np.ones(2), (3,), r"have a number for each label, the shape \(n,\) = \(3,\)\. Received: shape \(2,\)"),
        (["a", "b"], (2,), "have a number for each label.*dtype=object"),
        (np.ones(2), (2, 3), r"have .*\(tasks, queries\) = \(2, 3\); .*`np.repeat\(weights\[:, None\], 3, axis=1\)`"),
        ([1.0, np.nan], (2,), r"be finite.*rows \[1\]"),
        ([1.0, -1.0], (2,), "not be negative. Received: -1.0 to 1.0"),
    ],
)
def test_weights_that_are_refused(weights, shape, message):
    with pytest.raises(ValueError, match=f"`sample_weight` must {message}"):
        check_sample_weight("sample_weight", weights, shape)


def test_weights_of_classes():
    np.testing.assert_array_equal(class_weights({1: 3, np.int64(2): 0.0}, np.array([0, 1, 2, 1]), 3), [1, 3, 0, 3])
    for wrong in ([1.0, 2.0], {3: 1.0}, {-1: 1.0}, {0: -1.0}, {0: float("inf")}, {"a": 1.0}):
        with pytest.raises(ValueError, match=r"`class_weight` must be a dict from class numbers in \[0, 3\)"):
            class_weights(wrong, np.array([0]), 3)


def test_each_class_has_a_name_of_its_own():
    assert check_class_names(("cat", "dog"), 2) == ["cat", "dog"]
    for names in (["cat"], ["cat", "cat"], "ab", ["cat", "dog", "owl"]):
        with pytest.raises(ValueError, match="`class_names` must hold one distinct name for each of the 2 classes"):
            check_class_names(names, 2)


def test_names_have_numbers():
    assert numbers_of_names(["owl", "cat", "cow"], ["cat", "dog", "owl"]).tolist() == [2, 0, -1]
