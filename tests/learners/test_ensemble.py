"""An ensemble's answer is the mean of its learners' answers, however it is run."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

WAYS, FEATURES = 3, 5


def network(normalization=None, outputs=None):
    return mtf.networks.mlp((FEATURES,), units=(6,), outputs=outputs, normalization=normalization)


def learners():
    """States of one, three and six tensors."""
    return [
        mtf.learners.PrototypicalNetwork(network()),
        mtf.learners.PrototypicalNetwork(network("support"), distance="cosine"),
        mtf.learners.MAML(network("running", WAYS), inner_steps=1, inner_learning_rate=0.1),
    ]


@pytest.fixture
def task():
    random = np.random.default_rng(0)
    support_x, query_x = (random.normal(size=(n, FEATURES)).astype("float32") for n in (6, 4))
    return support_x, np.array([0, 1, 2, 2, 1, 1], "int32"), query_x


def test_probabilities_are_the_mean_of_the_learners(task):
    support_x, support_y, query_x = task
    members = learners()
    expected = np.mean([one.adapt(support_x, support_y).predict(query_x, verbose=0) for one in members], axis=0)
    ensemble = mtf.learners.Ensemble(members)
    adapted = ensemble.adapt(support_x, support_y)
    assert len(adapted.state) == sum(len(one.adapt(support_x, support_y).state) for one in members)
    np.testing.assert_allclose(adapted.predict(query_x, verbose=0), expected, rtol=1e-5)
    # The logits are logarithms of probabilities: their exponentials need no normalisation.
    logits = np.asarray(ensemble(tuple(array[None] for array in task)))[0]
    np.testing.assert_allclose(np.exp(logits), expected, rtol=1e-5)


def test_one_report_for_all(toy_dataset):
    def embedding(normalization):
        return mtf.networks.mlp((16, 16, 1), units=(8,), normalization=normalization)

    ensemble = mtf.learners.Ensemble(
        [
            mtf.learners.PrototypicalNetwork(embedding(None)),
            mtf.learners.NearestNeighbor(embedding("support")),
            mtf.learners.MAML(mtf.networks.conv4((16, 16, 1), 4, outputs=WAYS), inner_steps=1, inner_learning_rate=0.1),
        ]
    )
    report = mtf.evaluation.evaluate_episodes(ensemble, toy_dataset, ways=WAYS, shots=2, queries=2, episodes=8)
    assert (report.learner, report.normalization) == ("Ensemble", "support+transductive")
    assert report.accuracy > 0.8
    assert ensemble.max_ways == WAYS


def test_it_holds_copies(task):
    support_x, support_y, query_x = task
    members = learners()
    ensemble = mtf.learners.Ensemble(members)
    expected = ensemble.adapt(support_x, support_y).predict(query_x, verbose=0)
    for one in members:
        one.set_weights([weights + 1.0 for weights in one.get_weights()])
    np.testing.assert_array_equal(ensemble.adapt(support_x, support_y).predict(query_x, verbose=0), expected)


def test_the_loss_that_a_learner_adapts_by_is_saved(task, tmp_path):
    support_x, support_y, query_x = task
    maml = mtf.learners.MAML(network(outputs=WAYS), inner_steps=3)
    by_default = mtf.learners.Ensemble([maml]).adapt(support_x, support_y).predict(query_x, verbose=0)
    maml.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"))
    ensemble = mtf.learners.Ensemble([maml])
    expected = ensemble.adapt(support_x, support_y).predict(query_x, verbose=0)
    assert not np.allclose(expected, by_default, atol=1e-3)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras")
    np.testing.assert_array_equal(loaded.adapt(support_x, support_y).predict(query_x, verbose=0), expected)


def test_trained_learners_are_saved_without_their_optimizers(task, tmp_path):
    support_x, support_y, query_x = task
    maml = learners()[2]
    maml.compile(optimizer=keras.optimizers.Adam(0.1))
    maml.train_on_batch((support_x[None], support_y[None], support_x[None]), support_y[None])
    ensemble = mtf.learners.Ensemble([maml, *learners()[:2]])
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras")
    np.testing.assert_array_equal(
        loaded.adapt(support_x, support_y).predict(query_x, verbose=0),
        ensemble.adapt(support_x, support_y).predict(query_x, verbose=0),
    )


def test_it_is_not_trained(task):
    ensemble = mtf.learners.Ensemble(learners())
    ensemble.compile()
    support_x, support_y, query_x = (array[None] for array in task)
    before = ensemble.get_weights()
    for train in (ensemble.fit, ensemble.train_on_batch):
        with pytest.raises(NotImplementedError, match="not trained: call `fit` on each learner"):
            train((support_x, support_y, query_x), support_y[:, :4])
    for one, other in zip(ensemble.get_weights(), before):
        np.testing.assert_array_equal(one, other)


def test_regression_is_refused(task, tmp_path):
    ensemble = mtf.learners.Ensemble(learners()[::-1])
    with pytest.raises(ValueError, match="`support_y` must be class numbers.*Ensemble learns no regr.*Received: "):
        ensemble.adapt(task[0], np.zeros((6, WAYS), "float32"))
    with pytest.raises(ValueError, match="`regression` needs a learner.*Received: Ensemble"):
        ensemble.export(tmp_path / "1", regression=True, warm_up=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "members, message",
    [
        (lambda: [], "one or more.*Received: "),
        (lambda: [network()], "one or more.*Received: ..Functional"),
        (
            lambda: [learners()[0], mtf.learners.PrototypicalNetwork(mtf.networks.mlp((FEATURES + 1,)))],
            r"the same input shape.*Received: .*\(None, 6\)",
        ),
        (
            lambda: [learners()[2], mtf.learners.MAML(network(outputs=WAYS + 1))],
            r"same number of ways.*`outputs`.*Received: max_ways=\[3, 4\]",
        ),
    ],
    ids=["none", "networks", "shapes", "ways"],
)
def test_what_does_not_fit_together_is_refused(members, message):
    with pytest.raises(ValueError, match=f"`learners` must .*{message}"):
        mtf.learners.Ensemble(members())
