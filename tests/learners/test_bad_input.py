"""Bad input: an error that names the argument, says what was received, and leaves the learner as it was."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

WAYS, SHOTS, QUERIES = 3, 2, 2
LEARNERS = {
    "MAML": lambda: mtf.learners.MAML(mtf.networks.mlp((16, 16, 1), units=(4,), outputs=WAYS)),
    "MANN": lambda: mtf.learners.MANN(mtf.networks.mlp((16, 16, 1), units=(4,)), ways=WAYS, memory_slots=6),
    "PrototypicalNetwork": lambda: mtf.learners.PrototypicalNetwork(mtf.networks.mlp((16, 16, 1), units=(4,))),
}


@pytest.fixture(params=LEARNERS)
def learner(request):
    learner = LEARNERS[request.param]()
    learner.compile()
    return learner


@pytest.fixture
def maml():
    learner = LEARNERS["MAML"]()
    learner.compile()
    return learner


def support_set():
    images = np.random.default_rng(0).uniform(size=(WAYS * SHOTS, 16, 16, 1)).astype("float32")
    return images, np.repeat(np.arange(WAYS), SHOTS)


def batch(ways=WAYS):
    random = np.random.default_rng(0)
    support_x, query_x = (random.uniform(size=(2, ways * n, 16, 16, 1)).astype("float32") for n in (SHOTS, QUERIES))
    support_y, query_y = (np.tile(np.repeat(np.arange(ways, dtype="int32"), n), (2, 1)) for n in (SHOTS, QUERIES))
    return [support_x, support_y, query_x, query_y]


def spoiled(value):
    images = support_set()[0]
    images[1, 2, 3, 0] = value
    return images


# === adapt ===


@pytest.mark.rows(
    default=[
        "PrototypicalNetwork-support_x-value11",
        "PrototypicalNetwork-support_x-value10",
        "PrototypicalNetwork-support_x-value12",
        "PrototypicalNetwork-support_x-value13",
    ]
)
@pytest.mark.parametrize(
    "argument, value",
    [
        ("support_y", [0, 0, 1, 1, 3, 3]),
        ("support_y", [1, 1, 2, 2, 3, 3]),
        ("support_y", [-1, -1, 0, 0, 1, 1]),
        ("support_y", [0, 0, 1, 1, 2]),
        ("support_y", [[0], [0], [1], [1], [2], [2]]),
        ("support_y", list("aabbcc")),
        ("support_y", [False, False, True, True, True, True]),
        ("support_x", np.zeros((0, 16, 16, 1), "float32")),
        ("support_x", np.zeros((6, 20, 20, 1), "float32")),
        ("support_x", np.zeros((6, 16, 16, 3), "float32")),
        ("support_x", np.zeros((6, 16, 16), "float32")),
        ("support_x", np.zeros((16, 16, 1), "float32")),
        ("support_x", np.zeros((6, 16, 16, 1), "int32")),
        ("support_x", np.zeros((6, 16, 16, 1), "uint16")),
        ("support_x", np.zeros((6, 16, 16, 1), "complex64")),
        ("support_x", np.full((6, 16, 16, 1), "pixel")),
        ("support_x", spoiled(np.nan)),
        ("support_x", spoiled(np.inf)),
        ("support_x", spoiled(-np.inf)),
    ],
)
def test_adapt_refuses_what_is_no_support_set(learner, argument, value):
    support_x, support_y = support_set()
    arguments = {"support_x": support_x, "support_y": support_y, argument: value}
    before = learner.get_weights()
    with pytest.raises(ValueError, match=f"`{argument}` must .*Received: "):
        learner.adapt(**arguments)
    for one, other in zip(learner.get_weights(), before):
        np.testing.assert_array_equal(one, other)


@pytest.mark.rows(default=["PrototypicalNetwork"])
def test_a_learner_works_on_after_a_refusal(learner):
    support_x, support_y = support_set()
    expected = learner.adapt(support_x, support_y).predict(support_x, verbose=0)
    with pytest.raises(ValueError, match="`support_y`"):
        learner.adapt(support_x, support_y + 1)
    np.testing.assert_array_equal(learner.adapt(support_x, support_y).predict(support_x, verbose=0), expected)


def test_an_empty_support_set_is_refused_whatever_its_arrays(learner):
    with pytest.raises(ValueError, match="`support_x` must .*Received: "):
        learner.adapt([], [])


def test_adapt_refuses_more_ways_than_the_head_has(maml):
    images = np.zeros((4, 16, 16, 1), "float32")
    with pytest.raises(ValueError, match="`support_y` must have at most 3 classes.*outputs=4.*Received: 4 classes"):
        maml.adapt(images, np.arange(4))


@pytest.mark.parametrize("targets", [np.zeros(6), np.zeros((6, 2)), np.zeros((5, 3)), np.full((6, 3), np.nan)])
def test_adapt_refuses_targets_that_do_not_fit(maml, targets):
    with pytest.raises(ValueError, match="`support_y` must .*Received: "):
        maml.adapt(support_set()[0], targets.astype("float32"))


@pytest.mark.rows(
    default=["PrototypicalNetwork-shape1", "PrototypicalNetwork-shape2", "PrototypicalNetwork-shape0", "MAML-shape1"]
)
@pytest.mark.parametrize("shape", [(4, 20, 20, 1), (4, 16, 16, 3), (16, 16, 1)])
def test_adapted_models_refuse_queries_of_the_wrong_shape(learner, shape):
    adapted = learner.adapt(*support_set())
    with pytest.raises(ValueError, match=r"`query_x` must .*\(n, 16, 16, 1\).*Received: "):
        adapted.predict(np.zeros(shape, "float32"), verbose=0)


# === fit ===


def fit(learner, support_x, support_y, query_x, query_y):
    return learner.fit((support_x, support_y, query_x), query_y, verbose=0)


@pytest.mark.rows(
    default=[
        "PrototypicalNetwork-channels-2-query_x",
        "PrototypicalNetwork-infinity-2-query_x",
        "PrototypicalNetwork-sides-2-query_x",
        "PrototypicalNetwork-axes-0-support_x",
    ]
)
@pytest.mark.parametrize("place, argument", [(0, "support_x"), (2, "query_x")])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda images: images[:, :, :12],
        lambda images: images.repeat(3, axis=-1),
        lambda images: images[..., 0],
        lambda images: np.where(images == images.max(), np.nan, images),
        lambda images: np.where(images == images.max(), np.inf, images),
        lambda images: (255 * images).astype("int32"),
        # Training on 0 to 255 and adapting on 0 to 1 would go wrong unseen.
        lambda images: (255 * images).astype("uint8"),
    ],
    ids=["sides", "channels", "axes", "NaN", "infinity", "int32", "uint8"],
)
def test_fit_refuses_images_that_do_not_fit(learner, place, argument, spoil):
    arrays = batch()
    arrays[place] = spoil(arrays[place])
    before = learner.get_weights()
    with pytest.raises(ValueError, match=f"`{argument}` must .*Received: "):
        fit(learner, *arrays)
    for one, other in zip(learner.get_weights(), before):
        np.testing.assert_array_equal(one, other)


@pytest.mark.rows(
    default=[
        "PrototypicalNetwork-1-support_y-<lambda>0",
        "PrototypicalNetwork-1-support_y-<lambda>3",
        "PrototypicalNetwork-1-support_y-<lambda>2",
        "PrototypicalNetwork-3-query_y-<lambda>2",
    ]
)
@pytest.mark.parametrize(
    "place, argument, spoil",
    [
        (1, "support_y", lambda labels: labels - 1),
        (1, "support_y", lambda labels: np.where(labels == 1, 0, labels)),  # no example of class 1, in any task
        (1, "support_y", lambda labels: np.where(np.arange(len(labels))[:, None] == 1, 2 * (labels // 2), labels)),
        (3, "query_y", lambda labels: labels - 1),
        (3, "query_y", lambda labels: labels + 1),
        (1, "support_y", lambda labels: labels[:, :-1]),
        (3, "query_y", lambda labels: labels[:, :-1]),
    ],
)
def test_fit_refuses_labels_that_do_not_fit(learner, place, argument, spoil):
    arrays = batch()
    arrays[place] = spoil(arrays[place])
    with pytest.raises(ValueError, match=f"`{argument}` must .*Received: "):
        fit(learner, *arrays)


@pytest.mark.rows(default=["False-2", "False-4", "True-4"])
@pytest.mark.parametrize("ways", [2, 4])
@pytest.mark.parametrize("as_dataset", [False, True])
def test_fit_refuses_a_head_whose_width_is_not_the_ways(maml, toy_dataset, ways, as_dataset):
    with pytest.raises(ValueError, match=f"head, 3;.*`outputs={ways}`.*Received: {ways}-way"):
        if as_dataset:
            maml.fit(mtf.data.episodes(toy_dataset, ways, 1, 1, tasks_per_batch=2), steps_per_epoch=1, verbose=0)
        else:
            fit(maml, *batch(ways))


def test_fit_checks_the_validation_tasks_before_it_trains(maml, toy_dataset):
    tasks = {ways: mtf.data.episodes(toy_dataset, ways, 1, 1, tasks_per_batch=2) for ways in (3, 4)}
    before = maml.get_weights()
    with pytest.raises(ValueError, match="Received: 4-way"):
        maml.fit(tasks[3], steps_per_epoch=1, validation_data=tasks[4], validation_steps=1, verbose=0)
    for one, other in zip(maml.get_weights(), before):
        np.testing.assert_array_equal(one, other)


def test_evaluate_refuses_more_ways_than_the_head_has(maml, toy_dataset):
    with pytest.raises(ValueError, match="head.*Received: 4"):
        maml.evaluate(mtf.data.episodes(toy_dataset, 4, 1, 1, tasks_per_batch=2), steps=1, verbose=0)


@pytest.mark.full
def test_evaluate_takes_fewer_ways_than_the_head_has(maml, toy_dataset):
    tasks = mtf.data.episodes(toy_dataset, 2, 1, 1, tasks_per_batch=2)
    assert np.isfinite(maml.evaluate(tasks, steps=1, verbose=0))


def test_fit_refuses_what_is_no_batch_of_tasks(learner):
    support_x, support_y, query_x, query_y = batch()
    for x in (support_x, (support_x, support_y), (support_x, support_y, query_x, query_y)):
        with pytest.raises(ValueError, match="tasks.*support_x, support_y, query_x.*Received: x="):
            learner.fit(x, query_y, verbose=0)


# === Networks and losses ===


@pytest.mark.parametrize("method", [getattr(mtf.learners, name) for name in LEARNERS])
@pytest.mark.parametrize(
    "network",
    [
        None,
        "conv4",
        keras.layers.Dense(3),
        keras.Sequential([keras.layers.Dense(3)]),
    ],
    ids=["None", "name", "layer", "unbuilt"],
)
def test_what_is_no_built_network_is_refused(method, network):
    with pytest.raises(ValueError, match="`network` must be .*Received: "):
        method(network)


def test_a_network_that_does_not_know_its_shapes_is_refused_with_the_fix():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    network = Subclassed()
    with pytest.raises(ValueError, match="`network` must be built.*Received: "):
        mtf.learners.MAML(network)
    network(np.zeros((1, 4), "float32"))
    with pytest.raises(ValueError, match="(?s)`network` must know its shapes.*keras.Input.*Received: "):
        mtf.learners.MAML(network)


@pytest.mark.parametrize(
    "argument, value",
    [
        ("inner_steps", 0),
        ("inner_steps", 1.0),
        ("inner_steps", None),
        ("test_inner_steps", 0),
        ("inner_learning_rate", 0.0),
        ("inner_learning_rate", -0.1),
        ("inner_learning_rate", float("nan")),
        ("task_mapping", "serial"),
    ],
)
def test_maml_refuses_bad_arguments(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be .*Received: "):
        mtf.learners.MAML(mtf.networks.mlp((4,), outputs=2), **{argument: value})


@pytest.mark.rows(
    default=[
        "PrototypicalNetwork-BinaryCrossentropy",
        "PrototypicalNetwork-CategoricalCrossentropy0",
        "PrototypicalNetwork-CategoricalCrossentropy1",
        "PrototypicalNetwork-CategoricalFocalCrossentropy",
    ]
)
@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "categorical_crossentropy",
        "binary_crossentropy",
        "SparseCategoricalCrossentropy",
        "CategoricalCrossentropy",
        "kl_divergence",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.CategoricalCrossentropy(),
        keras.losses.BinaryCrossentropy(),
        keras.losses.CategoricalFocalCrossentropy(),
        keras.losses.KLDivergence(),
    ],
    ids=lambda loss: loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__),
)
def test_losses_that_take_probabilities_are_refused(learner, loss):
    with pytest.raises(ValueError, match="`loss` must take logits.*from_logits=True.*Received: "):
        learner.compile(loss=loss)


@pytest.mark.rows(default=["PrototypicalNetwork-default"])
@pytest.mark.parametrize(
    "loss",
    [
        None,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda y_true, y_pred: keras.ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True),
    ],
    ids=["default", "object", "function"],
)
def test_losses_on_logits_are_taken_and_agree(learner, loss):
    learner.compile(optimizer=keras.optimizers.SGD(0.1))
    expected = learner.copy()
    expected.compile(optimizer=keras.optimizers.SGD(0.1))
    learner.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
    support_x, support_y, query_x, query_y = batch()
    results = [m.train_on_batch((support_x, support_y, query_x), query_y) for m in (learner, expected)]
    np.testing.assert_allclose(*results, rtol=1e-5)


@pytest.mark.rows(default=["absolute"])
@pytest.mark.parametrize(
    "loss",
    ["mean_squared_error", keras.losses.MeanAbsoluteError(), keras.losses.Huber()],
    ids=["name", "absolute", "huber"],
)
def test_losses_of_regressions_are_taken(loss):
    learner = mtf.learners.MAML(mtf.networks.mlp((1,), units=(4,), outputs=1))
    learner.compile(loss=loss)
    x, y = np.zeros((2, 3, 1), "float32"), np.ones((2, 3, 1), "float32")
    assert np.isfinite(learner.train_on_batch((x, y, x), y))
