"""Random layers: other draws for each task of a batch, the same ones however tasks are run."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_gradients import TRAINED, assert_same_step, each, step, tasks


def build(name, **options):
    def network(outputs):
        layers = [keras.Input((5,)), keras.layers.Dense(32, activation="tanh"), keras.layers.Dropout(0.5, seed=3)]
        return keras.Sequential([*layers, *([] if outputs is None else [keras.layers.Dense(outputs)])])

    keras.utils.set_random_seed(1)
    return TRAINED[name](network, **options)


def _of_kernel(learner):
    """The place of the first layer's kernel among the learner's trainable variables."""
    kernel = learner.network.layers[0].kernel
    return next(place for place, variable in enumerate(learner.trainable_variables) if variable is kernel)


def repeated(tensor):
    return np.repeat(tensor[:1], 4, axis=0)


@pytest.mark.rows(default=["PrototypicalNetwork-parallel", "MANN-vectorized"])
@pytest.mark.parametrize("mapping", ["parallel", "vectorized"])
@pytest.mark.parametrize("name", each(TRAINED))
def test_equal_tasks_of_a_batch_are_dropped_out_differently(name, mapping):
    x, y = tasks()
    x, y = tuple(map(repeated, x)), repeated(y)
    learner = build(name, task_mapping=mapping)
    learner.compile()
    inputs = list(map(tf.convert_to_tensor, (*x, y)))
    if name == "MANN":  # one gradient for the batch: its embeddings are what is drawn
        first = learner._encode_batch(*inputs[:2], False)[0]
    else:
        first = learner.batch_gradients(inputs, 3)[2][_of_kernel(learner)]
    assert first.shape[0] == 4
    assert all(np.abs(first[0] - first[other]).max() > 1e-4 for other in range(1, 4))


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("name", each(TRAINED))
def test_parallel_and_vectorized_tasks_draw_the_same(name):
    expected = step(build(name, task_mapping="parallel"), *tasks())
    assert_same_step(step(build(name, task_mapping="vectorized"), *tasks()), expected)


def test_the_next_step_draws_anew():
    learner = build("PrototypicalNetwork")
    learner.compile(keras.optimizers.SGD(0.0))
    losses = []
    for _ in range(3):
        learner.reset_metrics()
        losses.append(float(learner.train_on_batch(*tasks())))
    assert len(set(losses)) == 3


@pytest.mark.full
def test_recurrent_networks_are_mapped_one_by_one_on_accelerators_too():
    x = np.random.default_rng(0).normal(size=(4, 6, 7, 4)).astype("float32")
    y = np.tile([0, 0, 1, 1, 2, 2], (4, 1)).astype("int32")
    steps = []
    for mapping in ("parallel", "vectorized"):
        keras.utils.set_random_seed(1)
        network = keras.Sequential([keras.Input((7, 4)), keras.layers.GRU(4)])
        steps.append(step(mtf.learners.PrototypicalNetwork(network, task_mapping=mapping), (x, y, x), y))
    assert_same_step(*steps)
