"""`task_mapping="auto"` where TensorFlow sees a GPU: tasks of one size at once, all others one by one."""

import numpy as np
import pytest
import tensorflow as tf
from test_gradients import TRAINED, assert_same_step, build, each, step, tasks


@pytest.fixture
def gpu(monkeypatch):
    """TensorFlow says that there is a GPU."""
    devices = tf.config.list_logical_devices
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind=None: ["GPU"] if kind == "GPU" else devices(kind)
    )


def drawn():
    """Tasks of three and of two ways, padded."""
    (support_x, support_y, query_x), query_y = tasks()
    support_y[1::2, 4:], query_y[1::2, 4:] = -1, -1
    return (support_x, support_y, query_x), query_y, (query_y >= 0).astype("float32")


@pytest.mark.parametrize("name", each(TRAINED, ["MAML", "MANN"]))
def test_tasks_of_different_sizes_are_trained_one_by_one(name, gpu):
    learner = build(name, task_mapping="auto")
    assert learner.vectorizes_tasks
    assert_same_step(step(learner, *drawn()), step(build(name, task_mapping="parallel"), *drawn()))


@pytest.mark.parametrize("name", ["PrototypicalNetwork", "MAML"])
def test_tasks_of_different_sizes_are_evaluated_and_answered_one_by_one(name, gpu):
    answers = []
    for mapping in ("auto", "parallel"):
        learner = build(name, task_mapping=mapping)
        learner.compile()
        x, y, weights = drawn()
        answers.append([learner.evaluate(x, y, sample_weight=weights, verbose=0), *learner.predict(x, verbose=0)])
    for one, other in zip(*answers):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_vectorized_refuses_tasks_of_different_sizes_also_in_later_batches():
    learner = build("PrototypicalNetwork", task_mapping="vectorized")
    learner.compile()
    x, y = tasks()
    later = drawn()
    batches = [(x, y, np.ones(y.shape, "float32")), later]
    parts = [tf.data.Dataset.from_tensors(batch) for batch in batches]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Tasks of different sizes need"):
        learner.fit(parts[0].concatenate(parts[1]), verbose=0)
