import metalearn_tf as mtf

import keras
import numpy as np
import pytest

TASKS = [0, 1, 0, 1, 1]


def make_model(features=4):
    x, task = keras.Input((features,)), keras.Input((), dtype="int32")
    return keras.Model([x, task], mtf.networks.MultiTaskHead(TASKS)([x, task]))


def test_logits_are_the_linear_heads_of_the_task():
    model = make_model()
    kernel, bias = model.layers[-1].get_weights()
    bias = np.arange(5, dtype="float32")
    model.layers[-1].set_weights([kernel, bias])
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    logits = model.predict([x, np.array([0, 1])], verbose=0)
    expected = x @ kernel + bias
    np.testing.assert_allclose(logits[0, [0, 2]], expected[0, [0, 2]], rtol=1e-5)
    np.testing.assert_allclose(logits[1, [1, 3, 4]], expected[1, [1, 3, 4]], rtol=1e-5)
    assert np.all(logits[0, [1, 3, 4]] == -1e9) and np.all(logits[1, [0, 2]] == -1e9)


def test_a_task_trains_its_own_head_alone():
    model = make_model()
    model.compile(keras.optimizers.SGD(0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.layers[-1].get_weights()[0]
    model.fit([np.ones((6, 4), "float32"), np.zeros(6, "int32")], np.zeros(6, "int32"), verbose=0)
    changed = np.any(model.layers[-1].get_weights()[0] != before, axis=0)
    assert changed.tolist() == [True, False, True, False, False]


def test_it_is_saved_and_loaded(tmp_path):
    model = make_model()
    model.save(tmp_path / "model.keras")
    inputs = [np.ones((2, 4), "float32"), np.array([0, 1])]
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_tasks_are_the_parents_of_the_classes():
    parents = {"a": "latin", "b": "greek", "c": "latin"}
    dataset = mtf.data.ClassDataset(np.zeros((3, 2), "float32"), [0, 1, 2], ["a", "b", "c"], parents)
    assert mtf.networks.task_of_class(dataset).tolist() == [0, 1, 0]


def test_a_dataset_without_parents_is_refused():
    with pytest.raises(ValueError, match="`dataset` must have `parents`"):
        mtf.networks.task_of_class(mtf.data.ClassDataset(np.zeros((2, 2), "float32"), [0, 1]))


@pytest.mark.parametrize("tasks", [[], [[0, 1]], [0, -1], [0.5]])
def test_bad_tasks_are_refused(tasks):
    with pytest.raises(ValueError, match="`task_of_class` must be one integer.*Received"):
        mtf.networks.MultiTaskHead(tasks)
