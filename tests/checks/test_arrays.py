"""What stands for an array, and what does not, in the same words at every door."""

import metalearn_tf as mtf
from metalearn_tf.checks.arrays import as_array, check_finite, check_finite_weights, check_shape, check_vectors
from metalearn_tf.checks.dtypes import check_dtype
from metalearn_tf.checks.examples import check_examples, check_not_empty

import keras
import numpy as np
import pytest
import tensorflow as tf


@pytest.mark.parametrize("value", [[[1.0, 2.0]], ((1.0, 2.0),), tf.constant([[1.0, 2.0]]), [np.array([1.0, 2.0])]])
def test_lists_and_tensors_stand_for_arrays(value):
    np.testing.assert_array_equal(as_array("x", value), [[1.0, 2.0]])


def test_texts_become_objects():
    assert as_array("x", ["a", "b" * 100]).dtype == object


@pytest.mark.parametrize(
    "value, message",
    [
        (None, "an array. Received: NoneType"),
        ("photos", "an array. Received: str"),
        ({"image": [1]}, "an array. Received: dict"),
        ((one for one in [1]), "an array; `np.concatenate`.*Received: generator"),
        (mtf.data.ClassDataset(np.zeros((2, 1)), [0, 1]), "an array; those of a dataset.*Received: ClassDataset"),
        (tf.data.Dataset.range(3), "an array. Received: _RangeDataset"),
        (keras.Input((3,)), "an array. Received: KerasTensor"),
        ([np.zeros(4), np.zeros(5)], r"one array, of parts of the same shape.*a list of the shapes \[\(4,\), \(5,\)\]"),
        ([[1.0], [1.0, 2.0]], "one array, of parts of the same shape. Received"),
    ],
)
def test_what_is_no_array(value, message):
    with pytest.raises(ValueError, match=f"`x` must be {message}"):
        as_array("x", value)


def test_shapes_with_sides_of_any_length():
    check_shape("x", np.zeros((0, 7, 3)), (None, 3))
    for shape in ((2, 3), (1, 2, 4), (2, 7, 3, 1)):
        with pytest.raises(ValueError, match=r"`x` must have the shape \(n, None, 3\) that the network takes\. Rec"):
            check_shape("x", np.zeros(shape), (None, 3))
    with pytest.raises(ValueError, match=r"\(n, 8, 8, 3\) that it has; `mtf.data.load\(..., image_size=\(8, 8\)\)`"):
        check_shape("x", np.zeros((1, 9, 8, 3)), (8, 8, 3), "it has")
    with pytest.raises(ValueError, match=r"; a single example goes as `x\[None\]`. Received: shape \(8, 8, 3\)"):
        check_shape("x", np.zeros((8, 8, 3)), (8, 8, 3))


def test_rows_that_are_not_finite_are_named():
    check_finite("x", np.zeros((0, 2)))
    check_finite("x", np.float64(1))
    with pytest.raises(ValueError, match=r"`x` must be finite. Received: NaN or infinite values in rows \[1, 2\]"):
        check_finite("x", np.array([[0, 0], [np.nan, 0], [0, -np.inf]]))
    with pytest.raises(ValueError, match="`x` must be finite"):
        check_finite("x", np.float64("nan"))


def test_vectors():
    assert check_vectors("features", [[1, 2]]).shape == (1, 2)
    for x in (np.zeros(3), np.zeros((3, 0)), np.zeros((1, 2, 3)), [["a"]]):
        with pytest.raises(ValueError, match=r"`features` must be numbers of shape \(n, d\). Received: shape"):
            check_vectors("features", x)
    with pytest.raises(ValueError, match="`features` must be finite"):
        check_vectors("features", [[np.nan]])


def test_weights_that_are_not_finite():
    check_finite_weights("learner", [np.zeros(3), keras.Variable(1.0)])
    with pytest.raises(ValueError, match="`learner` must have finite weights: train it again.*NaN or infinite"):
        check_finite_weights("learner", [np.zeros(3), keras.Variable(float("inf"))])


@pytest.mark.parametrize(
    "kind, accepted, refused, message",
    [
        ("texts", [object, tf.string], ["float32"], "must be strings.*dtype=float32"),
        ("integers", ["int64", tf.uint8], ["float32", bool], "must be integers"),
        ("pixels", ["uint8", "float64", tf.bfloat16], ["int64"], r".*, or floating in \[0, 1\]; `images.astype"),
        ("pixels", ["uint8"], [bool, object], r"must be uint8, or floating in \[0, 1\]. Received"),
        ("numbers", ["float16", tf.float32], ["uint8"], r"must be floating; `x.astype\('float32'\)` makes .*uint8"),
    ],
)
def test_dtypes_of_each_kind(kind, accepted, refused, message):
    for dtype in accepted:
        check_dtype("x", dtype, kind, (0, 1))
    for dtype in refused:
        with pytest.raises(ValueError, match=f"`x` {message}"):
            check_dtype("x", dtype, kind, (0, 1))


def test_examples_of_each_kind():
    assert check_examples("x", [["a"], ["b"]], (None,), "texts").shape == (2, 1)
    assert check_examples("x", [[1, 2]], (2,), "integers").dtype.kind == "i"
    assert check_examples("x", np.full((1, 2, 2, 1), 255, "uint8"), (2, 2, 1), "pixels", (0, 1)).dtype == "uint8"
    for x, shape, kind, message in (
        ([["a"], [" "]], (1,), "texts", "must not hold empty texts"),
        (["a", "b"], (1,), "texts", "must have the shape"),
        ([[1.0]], (1,), "integers", "must be integers"),
        (np.full((1, 2, 2, 1), 3.0), (2, 2, 1), "pixels", r"must be in \[0, 1\]"),
        ([[np.nan]], (1,), "numbers", "must be finite"),
    ):
        with pytest.raises(ValueError, match=f"`x` {message}"):
            check_examples("x", x, shape, kind, (0, 1))


@pytest.mark.parametrize("x", [[], np.zeros((0, 3)), np.float32(1)])
def test_there_must_be_an_example(x):
    with pytest.raises(ValueError, match="`x` must hold at least one example. Received: shape"):
        check_not_empty("x", x)
