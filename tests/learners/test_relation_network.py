"""Relation scores against the layers run one pair at a time, on the concatenation as the paper has it."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

SUPPORT_Y = np.array([1, 0, 1, 2, 1], "int32")
WAYS, QUERIES = 3, 4
NETWORKS = {
    "maps": lambda: mtf.networks.conv4((16, 16, 1), filters=3, normalization="running", feature_map=True),
    "vectors": lambda: mtf.networks.mlp((16, 16, 1), units=(5,), activation="tanh"),
}


def joined_first_layer(learner):
    """One layer on the concatenation of a class's features and a query's, of the weights of the two halves."""
    (of_class,), (of_query,) = learner.class_layer.get_weights(), learner.query_layer.get_weights()
    kernel = np.concatenate([of_class, of_query], axis=-2)
    if kernel.ndim == 2:
        layer = keras.layers.Dense(kernel.shape[-1], use_bias=False)
    else:
        layer = keras.layers.Conv2D(kernel.shape[-1], 3, padding="same", use_bias=False)
    layer.build((None, *learner.network.output_shape[1:-1], kernel.shape[-2]))
    layer.set_weights([kernel])
    return layer


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_those_of_the_concatenated_pairs(name):
    learner = mtf.learners.RelationNetwork(NETWORKS[name]())
    random = np.random.default_rng(0)
    # Biases and normalisations that are not 0 and 1.
    learner.set_weights([w + random.uniform(-0.1, 0.1, w.shape).astype("float32") for w in learner.get_weights()])
    support_x, query_x = (random.uniform(size=(n, 16, 16, 1)).astype("float32") for n in (5, QUERIES))
    support, queries = (np.asarray(learner.network(x)) for x in (support_x, query_x))
    first = joined_first_layer(learner)
    expected = np.empty((QUERIES, WAYS))
    for query, way in np.ndindex(QUERIES, WAYS):
        mean = support[way == SUPPORT_Y].mean(axis=0)
        pair = np.concatenate([mean, queries[query]], axis=-1)[None]
        expected[query, way] = np.asarray(learner.relation_module(first(pair)))[0, 0]
    logits = np.asarray(learner((support_x[None], SUPPORT_Y[None], query_x[None])))[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    assert expected.std() > 1e-3


def test_a_pair_is_normalised_by_itself():
    learner = mtf.learners.RelationNetwork(NETWORKS["maps"]())
    images = np.random.default_rng(0).uniform(size=(6, 16, 16, 1)).astype("float32")
    adapted = learner.adapt(images, np.array([0, 0, 0, 1, 1, 1]))
    together = adapted.predict(images, verbose=0)
    apart = np.concatenate([adapted.predict(image[None], verbose=0) for image in images])
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-5)


def test_relation_loss_by_hand():
    """Scores of 0 are sigmoids of 1/2; the score ln 3 is one of 3/4."""
    losses = mtf.learners.relation_loss(np.array([[0.0, 1.0]]), np.array([[[0.0, 0.0], [0.0, np.log(3)]]]))
    np.testing.assert_allclose(np.asarray(losses), [[0.25, (0.25 + 0.0625) / 2]], rtol=1e-6)


def test_training_with_the_papers_loss(toy_dataset, tmp_path):
    learner = mtf.learners.RelationNetwork(mtf.networks.mlp((16, 16, 1), units=(16,), normalization="support"))
    learner.compile(optimizer=keras.optimizers.Adam(0.01), loss=mtf.learners.relation_loss, metrics=["accuracy"])
    tasks = mtf.data.episodes(toy_dataset, 3, 2, 3, tasks_per_batch=4)
    history = learner.fit(tasks, steps_per_epoch=30, epochs=2, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] < 0.3 and history["accuracy"][-1] > 0.6
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    results = [m.evaluate(tasks, steps=2, verbose=0, return_dict=True)["loss"] for m in (loaded, learner)]
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_small_maps_are_pooled_no_further_than_they_go():
    inputs = keras.Input((4, 2, 1))
    learner = mtf.learners.RelationNetwork(keras.Model(inputs, keras.layers.Identity()(inputs)))
    images = np.random.default_rng(0).uniform(size=(2, 4, 2, 1)).astype("float32")
    assert learner.adapt(images, np.arange(2)).predict(images, verbose=0).shape == (2, 2)


@pytest.mark.parametrize("shape", [(4, 3), (None, None, 3)])
def test_outputs_that_cannot_be_compared_are_refused(shape):
    inputs = keras.Input(shape)
    with pytest.raises(ValueError, match="`network` must put out feature maps.*Received: output_shape="):
        mtf.learners.RelationNetwork(keras.Model(inputs, keras.layers.Identity()(inputs)))
