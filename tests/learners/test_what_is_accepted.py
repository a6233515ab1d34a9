"""What a learner does not take is refused before any work, in words; what it takes works as in Keras."""

import functools
import itertools

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_contract import LEARNERS, QUERIES, SHOTS, TASKS, WAYS

layers = keras.layers

# Where something is computed and not only refused: by default for one learner of each kind.
IN_FULL = [
    name if name in ("MAML", "PrototypicalNetwork") else pytest.param(name, marks=pytest.mark.slow) for name in LEARNERS
]


def ends_with(*last, shape=(5,)):
    """Makes networks of vectors that end with a Dense layer and others after it."""
    return lambda outputs: keras.Sequential(
        [keras.Input(shape), layers.Dense(outputs or 4), *(make() for make in last)]
    )


@functools.cache
def arrays(ways=WAYS, shape=(5,)):
    random = np.random.default_rng(0)
    support_x, query_x = (random.normal(size=(TASKS, ways * n, *shape)).astype("float32") for n in (SHOTS, QUERIES))
    support_y, query_y = (np.tile(np.repeat(np.arange(ways), n), (TASKS, 1)).astype("int32") for n in (SHOTS, QUERIES))
    return support_x, support_y, query_x, query_y


@pytest.fixture(params=LEARNERS, scope="module")
def learner(request):
    """A compiled learner of vectors, which no test changes."""
    learner = LEARNERS[request.param](ends_with())
    learner.compile("sgd")
    return learner


@pytest.fixture(scope="module")
def adapted(learner):
    support_x, support_y, *_ = arrays()
    return learner.adapt(support_x[0], support_y[0])


def maml(network=None, **options):
    learner = mtf.learners.MAML((network or ends_with())(WAYS), inner_steps=1)
    learner.compile("sgd", **options)
    return learner


def doors(learner, support_x, support_y, query_x, query_y):
    """A call of each method that takes whole tasks. Those without a training refuse to be trained."""
    x = support_x, support_y, query_x
    found = {
        "evaluate": lambda: learner.evaluate(x, query_y, verbose=0),
        "test_on_batch": lambda: learner.test_on_batch(x, query_y),
        "train_on_batch": lambda: learner.train_on_batch(x, query_y),
        "evaluate a generator": lambda: learner.evaluate((batch for batch in [(x, query_y)]), verbose=0),
        "evaluate a dataset": lambda: learner.evaluate(tf.data.Dataset.from_tensors((x, query_y)), verbose=0),
    }
    if not isinstance(learner, (mtf.learners.Ensemble, mtf.transfer.Baseline)):
        good = arrays()
        found["fit"] = lambda: learner.fit(x, query_y, verbose=0)
        found["validation"] = lambda: learner.fit(good[:3], good[3], validation_data=(x, query_y), verbose=0)
    return found


# === Labels ===

one_hot = functools.partial(keras.utils.to_categorical, num_classes=WAYS)
LABELS = {
    "one-hot": (one_hot, r"`np.argmax\(y, axis=-1\)`"),
    "integer one-hot": (lambda y: one_hot(y).astype("int64"), r"`np.argmax\(y, axis=-1\)`"),
    "boolean one-hot": (lambda y: one_hot(y) > 0, r"`np.argmax\(y, axis=-1\)`"),
    "soft": (lambda y: 0.9 * one_hot(y) + 0.1 / WAYS, r"`np.argmax\(y, axis=-1\)`"),
    "several classes": (lambda y: np.maximum(one_hot(y), one_hot((y + 1) % WAYS)), "one class"),
    "floats": (lambda y: y.astype("float32"), r"`y.astype\('int32'\)`"),
    "booleans": (lambda y: y > 0, r"`y.astype\('int32'\)`"),
    "column": (lambda y: y[..., None], r"`np.squeeze\(y, axis=-1\)`"),
    "strings": (lambda y: y.astype("str"), r"`np.unique\(y, return_inverse=True\)\[1\]`"),
}


@pytest.mark.rows(
    default=["Baseline-strings", "BaselinePlusPlus-strings", "MAML++-strings", "PrototypicalNetwork-strings"]
)
@pytest.mark.parametrize("kind", LABELS)
def test_labels_that_are_no_class_numbers_are_refused_at_every_door(learner, kind):
    make, advice = LABELS[kind]
    support_x, support_y, query_x, query_y = arrays()
    before = learner.get_weights()
    message = "`{}` must be class numbers, one label for each example.*" + advice + ".*Received: shape"
    with pytest.raises(ValueError, match=message.format("support_y")):
        learner.adapt(support_x[0], make(support_y[0]))
    for name, door in doors(learner, support_x, make(support_y), query_x, make(query_y)).items():
        if not (kind == "strings" and "dataset" in name):
            with pytest.raises(ValueError, match=message.format("support_y")):
                door()
    for call in (learner.predict_on_batch, functools.partial(learner.predict, verbose=0)):
        with pytest.raises(ValueError, match=message.format("support_y")):
            call((support_x, make(support_y), query_x))
    for one, other in zip(learner.get_weights(), before):
        np.testing.assert_array_equal(one, other)


def test_query_labels_are_looked_at_too(learner):
    support_x, support_y, query_x, query_y = arrays()
    for spoil in (one_hot, lambda y: y[..., None], lambda y: y.astype("float32")):
        for door in doors(learner, support_x, support_y, query_x, spoil(query_y)).values():
            with pytest.raises(ValueError, match="`query_y` must be class numbers.*Received: "):
                door()
    with pytest.raises(ValueError, match="`query_y`, the labels of the queries.*Received: no labels"):
        learner.evaluate(arrays()[:3], verbose=0)


LATER = {
    "a gap": ((0, 2, 2), (0, 2, 2), "`support_y` must hold every label"),
    "below -1": ((0, 1, -2), (0, 1, 1), "`support_y` must hold every label"),
    "no such class": ((0, 1, 2), (0, 1, 3), "`query_y` must be in"),
    "a negative query": ((0, 1, 2), (0, 1, -2), "`query_y` must be in"),
}


@pytest.mark.rows(default=["PrototypicalNetwork-evaluate", "MAML-evaluate"])
@pytest.mark.parametrize("method", ["evaluate", "fit"])
@pytest.mark.parametrize("build", ["MAML", "PrototypicalNetwork", pytest.param("MANN", marks=pytest.mark.slow)])
def test_labels_of_later_batches_are_looked_at_as_they_come(build, method):
    learner = LEARNERS[build](ends_with())
    learner.compile("sgd")
    x = tf.zeros((1, 3, 5))
    right = ((x, tf.constant([[0, 1, 2]]), x), tf.constant([[0, 1, 2]]))
    for support_y, query_y, message in LATER.values():
        wrong = ((x, tf.constant([support_y]), x), tf.constant([query_y]))
        batches = tf.data.Dataset.from_tensors(right).concatenate(tf.data.Dataset.from_tensors(wrong))
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            getattr(learner, method)(batches, verbose=0)


@pytest.mark.rows(default=["PrototypicalNetwork-predict", "MAML-predict"])
@pytest.mark.parametrize("method", ["evaluate", "fit", "predict"])
@pytest.mark.parametrize("build", ["MAML", "PrototypicalNetwork", pytest.param("MANN", marks=pytest.mark.slow)])
def test_numbers_of_later_batches_are_looked_at_as_they_come(build, method):
    learner = LEARNERS[build](ends_with())
    learner.compile("sgd")
    support_x, support_y, query_x, query_y = arrays()
    for argument, part in (("support_x", support_x), ("query_x", query_x)):
        for value in (np.nan, np.inf):
            spoiled = {"support_x": support_x, "query_x": query_x, argument: part.copy()}
            spoiled[argument][-1, -1, -1] = value  # of the last task, in the last batch
            x = spoiled["support_x"], support_y, spoiled["query_x"]
            with pytest.raises(tf.errors.InvalidArgumentError, match=f"`{argument}` must be finite"):
                getattr(learner, method)(tf.data.Dataset.from_tensor_slices((x, query_y)).batch(1), verbose=0)


@pytest.mark.parametrize("method", ["evaluate", "fit"])
def test_targets_of_later_batches_are_looked_at_as_they_come(method):
    learner = maml()
    support_x, support_y, query_x, query_y = arrays()
    for argument in ("support_y", "query_y"):
        targets = {"support_y": np.zeros((*support_y.shape, WAYS)), "query_y": np.zeros((*query_y.shape, WAYS))}
        targets[argument][-1, 0, 0] = np.nan
        tasks = (support_x, targets["support_y"].astype("float32"), query_x), targets["query_y"].astype("float32")
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"`{argument}` must be finite"):
            getattr(learner, method)(tf.data.Dataset.from_tensor_slices(tasks).batch(1), verbose=0)


@pytest.mark.rows(default=["uint64"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint64"])
def test_class_numbers_may_be_of_any_integer_dtype(dtype):
    support_x, support_y, query_x, query_y = arrays()
    losses = []
    for kind in ("int32", dtype):
        keras.utils.set_random_seed(0)
        learner = maml()
        task = (support_x, support_y.astype(kind), query_x), query_y.astype(kind)
        losses.append([learner.train_on_batch(*task), learner.test_on_batch(*task)])
    np.testing.assert_allclose(*losses, rtol=1e-6)


def targets_like(*labels):
    random = np.random.default_rng(0)
    return [random.normal(size=(*y.shape, WAYS)).astype("float32") for y in labels]


def test_learners_of_classes_refuse_targets(learner):
    if learner.takes_targets:
        return
    support_x, support_y, query_x, query_y = arrays()
    support_y, query_y = targets_like(support_y, query_y)
    message = f"class numbers.*{type(learner).__name__} learns no regression.*Received: "
    with pytest.raises(ValueError, match=message):
        learner.adapt(support_x[0], support_y[0])
    for door in doors(learner, support_x, support_y, query_x, query_y).values():
        with pytest.raises(ValueError, match=message):
            door()


OF_TARGETS = [
    "MAML",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("ANIL", "MetaSGD", "MetaLSTM", "Reptile")),
]


@pytest.mark.parametrize("build", OF_TARGETS)
def test_learners_that_adapt_by_gradients_take_targets(build):
    learner = LEARNERS[build](ends_with())
    learner.compile("sgd")
    support_x, support_y, query_x, query_y = arrays()
    support_y, query_y = targets_like(support_y, query_y)
    adapted = learner.adapt(support_x[0], support_y[0])
    assert adapted.regression and adapted.predict(query_x[0], verbose=0).shape == (WAYS * QUERIES, WAYS)
    assert np.isfinite(learner.evaluate((support_x, support_y, query_x), query_y, verbose=0))


def test_a_loss_of_targets_says_that_rows_like_labels_are_targets():
    support_x, support_y, query_x, query_y = arrays()
    learner = maml(loss="mean_squared_error")
    assert np.isfinite(learner.train_on_batch((support_x, one_hot(support_y), query_x), one_hot(query_y)))
    assert learner.adapt(support_x[0], one_hot(support_y[0])).regression
    with pytest.raises(ValueError, match="`support_y` must be floating targets.*loss.*Received: "):
        learner.adapt(support_x[0], support_y[0])


# === Heads ===

PROBABILITIES = {
    "activation": lambda outputs: keras.Sequential([keras.Input((5,)), layers.Dense(outputs or 4, "softmax")]),
    "Softmax": ends_with(layers.Softmax),
    "Activation": ends_with(lambda: layers.Activation("softmax")),
    "behind others": ends_with(layers.Softmax, layers.Identity, lambda: layers.Dropout(0.1), layers.Flatten),
    "nested": ends_with(lambda: keras.Sequential([layers.Dense(3), layers.Softmax()])),
    "of TensorFlow": ends_with(lambda: layers.Lambda(tf.nn.softmax)),
    "wrapped": lambda outputs: wrapped(Body(outputs or 4, "softmax")),
    "operation": lambda outputs: keras.Model(
        *(lambda x: (x, keras.ops.softmax(layers.Dense(3)(x))))(keras.Input((5,)))
    ),
    "averaged": lambda outputs: keras.Model(
        *(lambda x: (x, layers.Average()([layers.Dense(3, "softmax")(x) for _ in range(2)])))(keras.Input((5,)))
    ),
    "of each step": lambda outputs: keras.Sequential(
        [
            keras.Input((5,)),
            layers.Reshape((5, 1)),
            layers.TimeDistributed(layers.Dense(3, "softmax")),
            layers.GlobalAveragePooling1D(),
        ]
    ),
}


class Body(keras.Model):
    """A subclassed model that is not registered with Keras."""

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.head = layers.Dense(4, "tanh"), layers.Dense(units, activation)

    def call(self, x):
        return self.head(self.hidden(x))

    def get_config(self):
        return {"units": self.head.units, "activation": keras.activations.serialize(self.head.activation)}


class Scale(layers.Layer):
    """A layer with a weight that is not registered with Keras."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="random_normal")

    def call(self, x):
        return x * self.factor


class Forgetful(layers.Layer):
    """A layer whose configuration leaves out what its constructor takes."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return super().get_config()


def wrapped(model):
    inputs = keras.Input((5,))
    return keras.Model(inputs, model(inputs))


@pytest.mark.parametrize("build", LEARNERS)
def test_a_softmax_at_the_end_is_refused_by_every_learner(build):
    with pytest.raises(ValueError, match="`network` must .*Received: "):
        LEARNERS[build](PROBABILITIES["activation"])


@pytest.mark.parametrize("end", PROBABILITIES)
@pytest.mark.parametrize("method", ["MAML", "PrototypicalNetwork"])
def test_a_softmax_at_the_end_is_found_wherever_it_is(method, end):
    with pytest.raises(ValueError, match="`network` must put out .*ends with a softmax"):
        LEARNERS[method](PROBABILITIES[end])


def average_of_dense(x):
    return layers.Average()([layers.Dense(3)(x), layers.Dense(3, "softmax")(x)])


@pytest.mark.parametrize(
    "end",
    [
        layers.LeakyReLU,
        lambda: layers.Activation("log_softmax"),
        lambda: Scale(),
        lambda: keras.Model(*(lambda x: (x, average_of_dense(x)))(keras.Input((WAYS,)))),
    ],
)
def test_other_ends_are_taken(end):
    assert isinstance(maml(ends_with(end)), mtf.learners.MAML)


@pytest.mark.parametrize("build", OF_TARGETS)
def test_a_sigmoid_fits_targets_alone(build):
    sigmoid = lambda outputs: keras.Sequential([keras.Input((5,)), layers.Dense(outputs, "sigmoid")])  # noqa: E731
    learner = LEARNERS[build](sigmoid)
    learner.compile()
    support_x, support_y, query_x, _ = arrays()
    targets = np.random.default_rng(0).uniform(size=(*support_y.shape, WAYS)).astype("float32")
    assert np.isfinite(learner.adapt(support_x[0], targets[0]).predict(query_x[0], verbose=0)).all()
    with pytest.raises(ValueError, match="`support_y` must be floating targets.*sigmoid.*logits.*Received: "):
        learner.adapt(support_x[0], support_y[0])
    for door in doors(learner, *arrays()).values():
        with pytest.raises(ValueError, match="sigmoid.*logits.*Received: "):
            door()


# === Networks ===


def several(outputs):
    a, b = keras.Input((5,), name="a"), keras.Input((2,), name="b")
    return keras.Model([a, b], layers.Dense(outputs or 4)(layers.Concatenate()([a, b])))


def by_name(outputs):
    a, b = keras.Input((5,), name="a"), keras.Input((2,), name="b")
    return keras.Model({"a": a, "b": b}, layers.Dense(outputs or 4)(layers.Concatenate()([a, b])))


def two_outputs(outputs):
    a = keras.Input((5,))
    return keras.Model(a, [layers.Dense(outputs or 4)(a), layers.Dense(2)(a)])


@pytest.mark.rows(default=["BaselinePlusPlus-by_name", "ANIL-by_name", "ANIL-several", "Baseline-two_outputs"])
@pytest.mark.parametrize("network", [several, by_name, two_outputs])
@pytest.mark.parametrize("build", LEARNERS)
def test_networks_of_several_inputs_or_outputs_are_refused(build, network):
    with pytest.raises(ValueError, match="`network` must have one input and one output.*Received: "):
        LEARNERS[build](network)


@pytest.mark.parametrize("build", [name for name in LEARNERS if name not in ("RelationNetwork", "Ensemble")])
def test_networks_that_do_not_put_out_vectors_are_refused(build):
    with pytest.raises(ValueError, match="`network` must .*batch.*Received: "):
        LEARNERS[build](ends_with(shape=(4, 5)))


OWN_PARTS = {
    "lambda": ends_with(lambda: layers.Lambda(lambda x: tf.nn.tanh(x) / 2.0)),
    "layer": ends_with(Scale),
    "subclassed": lambda outputs: wrapped(Body(outputs or 4)),
}


@pytest.mark.rows(default=["PrototypicalNetwork-layer", "PrototypicalNetwork-lambda"])
@pytest.mark.parametrize("part", OWN_PARTS)
@pytest.mark.parametrize("build", IN_FULL)
def test_layers_and_functions_of_the_users_own_adapt(build, part):
    learner = LEARNERS[build](OWN_PARTS[part])
    support_x, support_y, query_x, _ = arrays()
    logits = np.asarray(learner.predict_on_batch((support_x[:1], support_y[:1], query_x[:1])))[0]
    adapted = learner.adapt(support_x[0], support_y[0])
    np.testing.assert_allclose(adapted.predict(query_x[0], verbose=0), tf.nn.softmax(logits), rtol=1e-4, atol=1e-6)


def test_a_layer_that_cannot_be_copied_is_refused_at_construction():
    with pytest.raises(ValueError, match="`network` must be a model that can be copied.*`get_config`.*Received: "):
        maml(ends_with(lambda: Forgetful(3.0)))


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("build", ["MAML", "PrototypicalNetwork"])
def test_sequences_of_any_length_and_numbers_of_tokens_are_taken(build):
    def network(outputs):
        x = inputs = keras.Input((None,), dtype="int32")
        x = layers.GlobalAveragePooling1D()(layers.Embedding(10, 4)(x))
        return keras.Model(inputs, layers.Dense(outputs or 4)(x))

    learner = LEARNERS[build](network)
    learner.compile("sgd")
    _, support_y, _, query_y = arrays()
    random = np.random.default_rng(0)
    for length in (3, 6):
        support_x, query_x = (random.integers(0, 10, (*y.shape, length)) for y in (support_y, query_y))
        assert np.isfinite(learner.train_on_batch((support_x, support_y, query_x), query_y))
        adapted = learner.adapt(support_x[0], support_y[0])
        # Of another length than the support set.
        assert adapted.predict(query_x[0][:, :2], verbose=0).shape == (WAYS * QUERIES, WAYS)
    with pytest.raises(ValueError, match="`support_x` must be integers.*Received: dtype=float64"):
        learner.adapt(support_x[0] / 2, support_y[0])


# === Examples ===

EXAMPLES = {
    "int64": (lambda x: x.astype("int64"), r"uint8, or floating.*`images.astype\('uint8'\)`.*Received: dtype=int64"),
    "int32": (lambda x: x.astype("int32"), "uint8, or floating.*Received: dtype=int32"),
    "bool": (lambda x: x > 0, "uint8, or floating.*Received: dtype=bool"),
}


@pytest.mark.rows(default=["Baseline-bool", "Baseline-int32", "BaselinePlusPlus-bool", "RelationNetwork-int32"])
@pytest.mark.parametrize("kind", EXAMPLES)
def test_examples_of_another_dtype_are_refused_at_every_door(learner, adapted, kind):
    spoil, message = EXAMPLES[kind]
    support_x, support_y, query_x, query_y = arrays()
    spoiled = spoil(query_x)
    for door in doors(learner, support_x, support_y, spoiled, query_y).values():
        with pytest.raises(ValueError, match=f"`query_x` must be {message}"):
            door()
    for call in (learner, learner.predict_on_batch):
        with pytest.raises(ValueError, match=f"`query_x` must be {message}"):
            call((support_x, support_y, spoiled))
    for call in (adapted, adapted.predict_on_batch, functools.partial(adapted.predict, verbose=0)):
        with pytest.raises(ValueError, match=f"`query_x` must be {message}"):
            call(spoiled[0])
    with pytest.raises(ValueError, match=f"(?s)`query_x` must be {message}"):
        adapted.predict(tf.data.Dataset.from_tensors(spoiled[0]), verbose=0)


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("build", IN_FULL)
def test_lists_are_taken_for_arrays(build):
    learner = LEARNERS[build](ends_with())
    learner.compile("sgd")
    support_x, support_y, query_x, query_y = arrays()
    x, lists = (support_x, support_y, query_x), (support_x.tolist(), list(support_y), list(query_x))
    expected = learner.predict_on_batch(x)
    np.testing.assert_allclose(learner.predict_on_batch(lists), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(learner.predict(lists, verbose=0), expected, rtol=1e-4, atol=1e-5)
    results = [learner.evaluate(part, list(y), verbose=0) for part, y in ((x, query_y), (lists, query_y.tolist()))]
    np.testing.assert_allclose(*results, rtol=1e-5)
    adapted = learner.adapt(list(support_x[0]), support_y[0].tolist())
    np.testing.assert_array_equal(adapted.predict(list(query_x[0]), verbose=0), adapted.predict(query_x[0], verbose=0))
    with pytest.raises(
        ValueError, match=r"`query_x` must be one array.*Received: a list of the shapes \[\(4,\), \(5,\)"
    ):
        adapted.predict([np.zeros(5), np.zeros(4)], verbose=0)


# === What is read in batches ===


def test_data_without_an_end_need_a_number_of_steps(learner):
    support_x, support_y, query_x, query_y = arrays()
    endless = tf.data.Dataset.from_tensors(((support_x, support_y, query_x), query_y)).repeat()
    with pytest.raises(ValueError, match="`steps` must say how many batches of `x`.*Received: steps=None"):
        learner.evaluate(endless, verbose=0)
    with pytest.raises(ValueError, match="`steps` must say how many"):
        learner.predict(endless, verbose=0)
    if not isinstance(learner, (mtf.learners.Ensemble, mtf.transfer.Baseline)):
        with pytest.raises(ValueError, match="`steps_per_epoch` must say how many"):
            learner.fit(endless, verbose=0)
        with pytest.raises(ValueError, match="`validation_steps` must say how many"):
            learner.fit(endless, steps_per_epoch=1, validation_data=endless, verbose=0)


def test_a_generator_loses_no_batch_and_an_empty_one_is_refused():
    support_x, support_y, query_x, query_y = arrays()
    batch = (support_x, support_y, query_x), query_y
    learner = maml()
    learner.fit(batches(batch, 3), steps_per_epoch=3, verbose=0)
    assert int(learner.optimizer.iterations) == 3
    for empty in (batches(batch, 0), tf.data.Dataset.from_tensors(batch).take(0)):
        with pytest.raises(ValueError, match="`x` must hold at least one batch. Received: an empty"):
            learner.fit(empty, verbose=0)


def batches(batch, times):
    yield from itertools.repeat(batch, times)


@pytest.mark.parametrize("build", ["MAML", pytest.param("MANN", marks=pytest.mark.slow)])
def test_validation_may_have_fewer_ways_than_training(build):
    learner, fewer = LEARNERS[build](ends_with()), arrays(ways=2)
    learner.compile("sgd")
    validation = fewer[:3], fewer[3]
    history = learner.fit(arrays()[:3], arrays()[3], validation_data=validation, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


# === Keras's options ===


@pytest.mark.parametrize(
    "options, message",
    [
        ({"class_weight": {0: 1.0, 1: 5.0}}, "`class_weight` must be None.*`sample_weight`.*Received: "),
        ({"sample_weight": np.ones(TASKS)}, r"`sample_weight` must .*\(tasks, queries\).*np.repeat.*Received: "),
        ({"sample_weight": np.full((TASKS, WAYS * QUERIES), np.nan)}, "`sample_weight` must be finite"),
        ({"validation_data": arrays()}, "`validation_data` must be tasks.*Received: a tuple of 4"),
    ],
)
def test_fit_refuses_options_that_have_no_meaning(options, message):
    with pytest.raises(ValueError, match=message):
        maml().fit(arrays()[:3], arrays()[3], verbose=0, **options)


@pytest.mark.parametrize(
    "options, argument",
    [
        ({"jit_compile": True}, "jit_compile"),
        ({"jit_compile": "auto"}, "jit_compile"),
        ({"loss_weights": [2.0]}, "loss_weights"),
        ({"loss": ["mse"]}, "loss"),
        ({"loss": keras.losses.CategoricalCrossentropy(from_logits=True)}, "loss"),
        ({"loss": keras.losses.CategoricalHinge()}, "loss"),
        ({"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)}, "loss"),
        ({"metrics": ["sparse_categorical_crossentropy"]}, "metrics"),
        ({"metrics": ["accuracy", keras.metrics.AUC()]}, "metrics"),
        ({"metrics": [["categorical_accuracy"]]}, "metrics"),
        ({"metrics": ["crossentropy"]}, "metrics"),
        ({"metrics": [keras.metrics.SparseTopKCategoricalAccuracy(2)]}, "metrics"),
        ({"weighted_metrics": [keras.metrics.Precision()]}, "weighted_metrics"),
    ],
)
def test_compile_refuses_what_a_learner_cannot_follow(learner, options, argument):
    loss = learner.loss
    with pytest.raises(ValueError, match=f"`{argument}` must .*Received: "):
        learner.compile(**options)
    assert learner.loss is loss


def test_compile_takes_optimizer_loss_and_metrics_by_position():
    for build in LEARNERS.values():
        learner = build(ends_with())
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        learner.compile("sgd", loss, ["accuracy"])
        assert learner.loss is loss and isinstance(learner.optimizer, keras.optimizers.SGD)


def test_metrics_of_targets_are_refused_for_classes_alone():
    support_x, support_y, query_x, query_y = arrays()
    learner = maml(metrics=["mean_absolute_error"])
    with pytest.raises(ValueError, match="`metrics` must .*Received: 'mean_absolute_error'"):
        learner.evaluate((support_x, support_y, query_x), query_y, verbose=0)
    targets = [np.random.default_rng(0).normal(size=(*y.shape, WAYS)) for y in (support_y, query_y)]
    assert np.isfinite(learner.evaluate((support_x, targets[0], query_x), targets[1], verbose=0)).all()


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("build", ["MAML", "PrototypicalNetwork"])
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`:UserWarning")
def test_everything_runs_with_functions_run_eagerly(build, tmp_path):
    learner = LEARNERS[build](ends_with())
    learner.compile("sgd", metrics=["accuracy"])
    support_x, support_y, query_x, query_y = arrays()
    expected = learner.adapt(support_x[0], support_y[0]).predict(query_x[0], verbose=0)
    tf.config.run_functions_eagerly(True)
    try:
        adapted = learner.adapt(support_x[0], support_y[0])
        np.testing.assert_allclose(adapted.predict(query_x[0], verbose=0), expected, rtol=1e-5, atol=1e-6)
        learner.export(tmp_path / "1", warm_up=False)
        learner.fit((support_x, support_y, query_x), query_y, batch_size=TASKS, verbose=0)
        learner.evaluate((support_x, support_y, query_x), query_y, verbose=0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert int(learner.optimizer.iterations) == 1


# === Adapted models ===


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("build", IN_FULL)
def test_adapted_models_are_exported_evaluated_and_not_trained(build, tmp_path):
    support_x, support_y, query_x, query_y = arrays()
    adapted = LEARNERS[build](ends_with()).adapt(support_x[0], support_y[0])
    probabilities = adapted.predict(query_x[0], verbose=0)
    adapted.export(tmp_path / "model", verbose=False)
    served = tf.saved_model.load(tmp_path / "model")
    for count in (1, len(query_x[0])):
        np.testing.assert_allclose(served.serve(query_x[0][:count]), adapted(query_x[0][:count]), rtol=1e-5, atol=1e-6)
    adapted.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    results = adapted.evaluate(query_x[0], list(query_y[0]), verbose=0)
    chosen = probabilities[np.arange(len(query_y[0])), query_y[0]]
    np.testing.assert_allclose(results, [-np.log(chosen).mean(), (probabilities.argmax(1) == query_y[0]).mean()], 1e-4)
    for train in (adapted.fit, adapted.train_on_batch):
        with pytest.raises(NotImplementedError, match="not trained"):
            train(query_x[0], query_y[0])


# === What came out NaN ===


def of_nan(learner):
    learner.set_weights([weight * np.nan for weight in learner.get_weights()])
    return learner


@pytest.mark.parametrize("build", ["MAML", "PrototypicalNetwork", pytest.param("MANN", marks=pytest.mark.slow)])
def test_an_adaptation_that_leads_to_nan_is_no_answer(build):
    support_x, support_y, *_ = arrays()
    learner = LEARNERS[build](ends_with())
    with pytest.raises(ValueError, match="`learner` must have finite weights.*Received: "):
        of_nan(learner).adapt(support_x[0], support_y[0])


def test_inner_steps_that_diverge_are_told_from_weights_of_nan():
    support_x, support_y, *_ = arrays()
    targets = 1e30 * np.random.default_rng(0).normal(size=(*support_y.shape, WAYS)).astype("float32")
    learner = maml()
    learner.test_inner_steps, learner.inner_learning_rate = 20, 100.0
    with pytest.raises(ValueError, match="`support_x` and `support_y` must be in the range.*Received: "):
        learner.adapt(support_x[0], targets[0])


# === evaluate_episodes ===


@pytest.mark.rows(default=["None", "classifier", "weights of NaN", "adapted"])
@pytest.mark.parametrize(
    "model, message",
    [
        (lambda: None, "`learner` must be a `MetaLearner`.*Received: NoneType"),
        (lambda: maml(loss="mean_squared_error"), "`support_y` must be floating targets.*loss.*Received: "),
        (lambda: maml().adapt(arrays()[0][0], arrays()[1][0]), "an adapted model its `learner`.*Received: Adapted"),
        (lambda: ends_with()(WAYS), "`learner` must adapt to each episode.*Received: Sequential"),
        (
            lambda: of_nan(mtf.learners.PrototypicalNetwork(ends_with()(WAYS))),
            "`learner` must have finite weights.*Received: weights that are NaN",
        ),
    ],
    ids=["None", "regression", "adapted", "classifier", "weights of NaN"],
)
def test_evaluate_episodes_refuses_what_is_no_learner_of_classes(model, message):
    dataset = mtf.data.ClassDataset(np.random.default_rng(0).normal(size=(40, 5)).astype("float32"), np.arange(40) % 4)
    with pytest.raises(ValueError, match=message):
        mtf.evaluation.evaluate_episodes(model(), dataset, ways=WAYS, shots=1, queries=2, episodes=8)


def test_evaluate_episodes_says_what_data_it_takes():
    x, y = np.zeros((4, 5), "float32"), np.arange(4)
    with pytest.raises(TypeError, match=r"`dataset` must be a ClassDataset.*`mtf.data.ClassDataset\(.*Received: "):
        mtf.evaluation.evaluate_episodes(maml(), (x, y), ways=WAYS, shots=1, queries=2, episodes=8)
