"""What the trainings of a backbone share."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
from small_transfer import quadrants, small_backbone


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


def test_the_order_of_the_examples_follows_the_global_seed():
    x, y = quadrants()
    weights = []
    for seed in (0, 0, 1):
        keras.utils.set_random_seed(5)
        model = mtf.transfer.TransferClassifier(small_backbone(), 4)
        model.compile()
        keras.utils.set_random_seed(seed)
        model.fit(x, y, batch_size=8, verbose=0)
        weights.append(model.head.get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.any(weights[0] != weights[2])
