"""Batches of arrays."""

from metalearn_tf.engine.array_batches import array_batches

import numpy as np


def read(dataset, batches):
    return [tuple(np.asarray(part) for part in batch) for batch in dataset.take(batches)]


def test_each_pass_has_every_example_once_with_its_label_in_an_order_of_its_own():
    x, y = np.arange(22).reshape(11, 2), np.arange(11)
    batches = read(array_batches(x, y, 4, seed=0), 6)
    for one_pass in (batches[:3], batches[3:]):
        assert [len(labels) for _, labels in one_pass] == [4, 4, 3]
        labels = np.concatenate([labels for _, labels in one_pass])
        assert sorted(labels) == list(range(11))
        np.testing.assert_array_equal(np.concatenate([examples for examples, _ in one_pass]), x[labels])
    assert np.any(batches[0][1] != batches[3][1])


def test_the_seed_decides_the_order():
    first, again, other = (
        np.concatenate([batch.numpy() for batch in array_batches(np.arange(50), None, 8, seed).take(7)])
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other) and np.any(first != np.arange(50))


def test_a_stream_can_be_taken_up_anywhere():
    whole = read(array_batches(np.arange(10), np.arange(10), 4, seed=1), 9)
    late = [
        tuple(map(np.asarray, batch))
        for batch in array_batches(np.arange(10), np.arange(10), 4, seed=1).skip(5).take(4)
    ]
    for batch, expected in zip(late, whole[5:], strict=True):
        np.testing.assert_array_equal(batch, expected)


def test_texts_and_the_order_of_the_arrays():
    texts = np.array(["a", "b", "c"], dtype=object)
    batches = array_batches(texts, None, 2, seed=0, shuffle=False).take(3)
    assert [batch.numpy().tolist() for batch in batches] == [[b"a", b"b"], [b"c"], [b"a", b"b"]]
