"""Batches of arrays."""

import keras
import numpy as np
import pytest
from small_transfer import quadrants, small_backbone

import metalearn_tf as mtf
from metalearn_tf.transfer.array_batches import array_batches


def read(dataset):
    return [tuple(np.asarray(part) for part in batch) for batch in dataset]


def test_each_pass_has_every_example_once_with_its_label_in_an_order_of_its_own():
    x, y = np.arange(22).reshape(11, 2), np.arange(11)
    dataset = array_batches(x, y, 4, shuffle=True)
    passes = [read(dataset) for _ in range(2)]
    for batches in passes:
        assert [len(labels) for _, labels in batches] == [4, 4, 3]
        labels = np.concatenate([labels for _, labels in batches])
        assert sorted(labels) == list(range(11))
        np.testing.assert_array_equal(np.concatenate([examples for examples, _ in batches]), x[labels])
    assert np.any(passes[0][0][1] != passes[1][0][1])


def test_the_seed_of_tensorflow_decides_the_order():
    orders = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        orders.append(np.concatenate([batch.numpy() for batch in array_batches(np.arange(50), None, 8, True)]))
    np.testing.assert_array_equal(*orders)
    assert np.any(orders[0] != np.arange(50))


def test_texts_and_the_order_of_the_arrays():
    texts = np.array(["a", "b", "c"], dtype=object)
    assert [batch.numpy().tolist() for batch in array_batches(texts, None, 2, False)] == [[b"a", b"b"], [b"c"]]


@pytest.mark.parametrize(
    "options", [{}, {"sample_weight": np.ones(32)}, {"validation_split": 0.5}, {"steps_per_epoch": 2}]
)
def test_fit_takes_arrays_as_keras_does(options):
    model = mtf.transfer.TransferClassifier(small_backbone(), 4)
    model.compile()
    x, y = quadrants()
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0, **options).history
    steps = {"validation_split": 2, "steps_per_epoch": 2}.get(next(iter(options), ""), 4)
    assert int(model.optimizer.iterations) == 2 * steps and len(history["loss"]) == 2
