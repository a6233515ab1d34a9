"""Data that come in batches have an end and a first batch, whatever is trained on them."""

import itertools

from metalearn_tf.checks.batches import check_has_end, first_batch

import keras
import numpy as np
import pytest
import tensorflow as tf


class Batches(keras.utils.PyDataset):
    """Two batches, none, or without an end."""

    def __init__(self, count=2):
        super().__init__()
        self.count = count

    num_batches = property(lambda self: self.count)

    def __getitem__(self, number):
        return np.full(3, float(number)), np.zeros(3)


def dataset(count=2):
    return tf.data.Dataset.from_tensor_slices((np.arange(2.0)[:, None].repeat(3, 1), np.zeros((2, 3)))).take(count)


@pytest.mark.parametrize("endless", [lambda: dataset().repeat(), lambda: Batches(None)])
def test_endless_data_need_a_number_of_steps(endless):
    check_has_end("x", endless(), "steps", 3)
    with pytest.raises(ValueError, match=r"`steps` must say how many batches of `x` to take, .*Received: steps=None"):
        check_has_end("x", endless(), "steps", None)
    with pytest.raises(ValueError, match=r"`x` must have an end; `dataset.take\(batches\)`.*Received: an endless"):
        check_has_end("x", endless())


@pytest.mark.parametrize("data", [np.zeros(3), dataset(), Batches(), itertools.count(), None])
def test_other_data_are_taken_to_end(data):
    check_has_end("x", data, "steps", None)


@pytest.mark.parametrize("make", [dataset, Batches, lambda: iter_of(dataset())])
def test_no_batch_is_lost_by_looking_at_the_first(make):
    first, data = first_batch("x", make())
    np.testing.assert_array_equal(first[0], np.zeros(3))
    batches = [data[number] for number in range(2)] if isinstance(data, Batches) else list(data)
    np.testing.assert_array_equal([batch[0][0] for batch in batches], [0, 1])


def iter_of(data):
    yield from ([x.numpy(), y.numpy()] for x, y in data)


@pytest.mark.parametrize("empty", [lambda: dataset(0), lambda: Batches(0), lambda: iter_of([])])
def test_there_must_be_a_batch(empty):
    with pytest.raises(ValueError, match="`x` must hold at least one batch. Received: an empty "):
        first_batch("x", empty())


def test_arrays_have_no_first_batch():
    x = np.zeros(3)
    assert first_batch("x", x) == (None, x)


def test_generators_give_tuples_whose_texts_are_tensors():
    task = (["a", "b"], np.array([0, 1]), np.array(["c"], object))
    first, data = first_batch("x", (batch for batch in [[task, [1]], [task, [2]]]))
    assert first[0] is task
    for batch, label in zip(data, (1, 2)):
        (support_x, support_y, query_x), y = batch
        assert type(batch) is tuple and y == [label] and support_y is task[1]
        assert support_x.dtype == query_x.dtype == tf.string
