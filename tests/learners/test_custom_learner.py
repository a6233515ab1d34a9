"""A learner of the user's own: two methods, and the rest is inherited."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf


@keras.saving.register_keras_serializable("test_custom_learner")
class NearestMean(mtf.learners.MetaLearner):
    """Compares queries with the mean embedding of each class, by the inner product."""

    def adapt_task(self, support_x, support_y):
        embeddings, _ = self.encode_support(support_x)
        return [tf.math.unsorted_segment_mean(embeddings, support_y, self.ways(support_y))]

    def classify(self, task_state, query_x):
        return tf.matmul(self.encode_query(query_x), task_state[0], transpose_b=True)


def test_two_methods_make_a_learner(toy_dataset, tmp_path):
    tasks = mtf.data.episodes(toy_dataset, ways=3, shots=2, queries=3, tasks_per_batch=4)
    (support_x, support_y, query_x), query_y = next(tasks.as_numpy_iterator())
    learner = NearestMean(mtf.networks.mlp((16, 16, 1), units=(8,), activation="tanh"))
    learner.compile(optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
    before = learner.evaluate(tasks, steps=10, verbose=0, return_dict=True)
    learner.fit(tasks, steps_per_epoch=40, verbose=0)
    after = learner.evaluate(tasks, steps=10, verbose=0, return_dict=True)
    assert after["loss"] < before["loss"] and after["accuracy"] > 0.8

    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert type(loaded) is NearestMean
    np.testing.assert_array_equal(loaded.predict(tasks.take(1), verbose=0), learner.predict(tasks.take(1), verbose=0))

    probabilities = loaded.adapt(support_x[0], support_y[0]).predict(query_x[0], verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    assert (probabilities.argmax(axis=1) == query_y[0]).mean() > 0.6


@pytest.mark.parametrize("method", ["adapt_task", "classify"])
def test_a_missing_method_is_named(method):
    learner = mtf.learners.MetaLearner(mtf.networks.mlp((4,)))
    with pytest.raises(NotImplementedError, match=f"MetaLearner must define `{method}`"):
        getattr(learner, method)(None, None)


class Scaled(NearestMean):
    """An argument that the configuration lacks, and an attribute that is no argument."""

    power = 1.0

    def __init__(self, network, unit=1.0, **kwargs):
        super().__init__(network, **kwargs)
        self.unit = unit


def test_an_argument_that_the_configuration_lacks_is_refused_by_name():
    with pytest.raises(ValueError, match=r"`get_config` of a learner must return all.*Received: Scaled.*\['unit'\]"):
        Scaled(mtf.networks.mlp((4,), (3,)), unit=2.0)
