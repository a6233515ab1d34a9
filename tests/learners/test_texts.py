"""Learners of texts go the way of all learners, with strings for examples."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf

WAYS, SHOTS, QUERIES, TASKS = 3, 2, 3, 4


def make_texts():
    """Eight classes of 20 texts, each with five words of its class among fifteen that say nothing."""
    random = np.random.default_rng(0)
    return [
        " ".join(
            [f"topic{c}x{random.integers(6)}" for _ in range(5)] + [f"common{n}" for n in random.integers(30, size=15)]
        )
        for c in range(8)
        for _ in range(20)
    ]


TEXTS = make_texts()
NETWORKS = {
    "bag_of_words": lambda outputs: mtf.networks.bag_of_words(TEXTS, outputs=outputs),
    "attention": lambda outputs: mtf.networks.text_encoder(TEXTS, units=8, max_words=20, outputs=outputs),
    "convolution": lambda outputs: mtf.networks.text_encoder(
        TEXTS, units=8, max_words=20, pooling="convolution", outputs=outputs
    ),
}
LEARNERS = {
    "MAML": lambda network, **options: mtf.learners.MAML(
        network(WAYS), inner_steps=1, inner_learning_rate=1.0, **options
    ),
    "PrototypicalNetwork": lambda network, **options: mtf.learners.PrototypicalNetwork(network(None), **options),
}


@pytest.fixture(params=LEARNERS)
def build(request):
    return LEARNERS[request.param]


@pytest.fixture
def dataset():
    return mtf.data.ClassDataset(TEXTS, np.repeat(np.arange(8), 20), domain="topics")


@pytest.fixture
def tasks(dataset):
    return mtf.data.episodes(dataset, WAYS, SHOTS, QUERIES, TASKS)


def first_task(tasks):
    (support_x, support_y, query_x), _ = next(iter(tasks))
    as_text = [[text.decode() for text in texts[0].numpy()] for texts in (support_x, query_x)]
    return as_text[0], support_y[0].numpy(), as_text[1]


def test_tasks_hold_strings(tasks):
    (support_x, _, query_x), _ = next(iter(tasks))
    assert support_x.dtype == query_x.dtype == tf.string
    assert support_x.shape == (TASKS, WAYS * SHOTS) and query_x.shape == (TASKS, WAYS * QUERIES)


@pytest.mark.rows(default=[], full=["PrototypicalNetwork-bag_of_words", "MAML-attention"])
@pytest.mark.parametrize(
    "learner, network",
    [
        ("MAML", "bag_of_words"),
        ("MAML", "attention"),
        ("PrototypicalNetwork", "bag_of_words"),
        ("PrototypicalNetwork", "convolution"),
    ],
)
def test_the_whole_way(learner, network, dataset, tasks, tmp_path):
    learner = LEARNERS[learner](NETWORKS[network])
    learner.compile(optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
    history = learner.fit(tasks, steps_per_epoch=10, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    report = mtf.evaluation.evaluate_episodes(learner, dataset, WAYS, SHOTS, QUERIES, episodes=24)
    assert report.dataset == "topics"
    assert report.accuracy > 0.55  # chance: 0.33

    inputs, _ = next(iter(tasks))
    logits = np.asarray(learner(inputs))
    assert logits.shape == (TASKS, WAYS * QUERIES, WAYS)
    np.testing.assert_allclose(learner.predict(tasks, steps=1, verbose=0), logits, rtol=1e-4, atol=1e-5)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras", safe_mode=True)
    np.testing.assert_allclose(np.asarray(loaded(inputs)), logits, rtol=1e-4, atol=1e-5)

    support_x, support_y, query_x = first_task(tasks)
    adapted = learner.adapt(support_x, support_y)
    probabilities = adapted.predict(query_x, verbose=0)
    np.testing.assert_allclose(probabilities, tf.nn.softmax(logits[0]).numpy(), rtol=1e-3, atol=1e-5)
    for same in (np.asarray(query_x), np.asarray(query_x, object), tf.constant(query_x)):
        np.testing.assert_array_equal(adapted.predict(same, verbose=0), probabilities)
    adapted.save(tmp_path / "adapted.keras")
    again = keras.models.load_model(tmp_path / "adapted.keras", safe_mode=True)
    np.testing.assert_allclose(again.predict(query_x, verbose=0), probabilities, rtol=1e-5, atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("first_order", [False, True])
def test_maml_steps_through_embeddings_as_through_one_hot_vectors(first_order, tasks):
    """Gradients of a gather come as slices; the same network on one-hot vectors has none."""
    batch = next(iter(tasks))
    words = sorted({word for text in TEXTS for word in text.split()})
    numbers = keras.layers.TextVectorization(vocabulary=words, output_sequence_length=20)
    one_hot = keras.layers.CategoryEncoding(len(words) + 2, output_mode="one_hot")
    results = []
    for gather in (True, False):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((), dtype="string")
        if gather:
            embedded = keras.layers.Embedding(len(words) + 2, 5)(numbers(inputs))
        else:
            embedded = keras.layers.Dense(5, use_bias=False)(one_hot(numbers(inputs)))
        outputs = keras.layers.Dense(WAYS)(keras.layers.GlobalAveragePooling1D()(keras.ops.tanh(embedded)))
        network = keras.Model(inputs, outputs)
        random = np.random.default_rng(1)
        network.set_weights([random.normal(size=weight.shape) for weight in network.get_weights()])
        learner = mtf.learners.MAML(network, inner_steps=2, inner_learning_rate=0.5, first_order=first_order)
        learner.compile(optimizer=keras.optimizers.SGD(1.0))
        learner.train_on_batch(*batch)
        results.append(learner.get_weights())
    for slices, dense in zip(*results):
        np.testing.assert_allclose(slices, dense, rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_frozen_embeddings_stay(tasks):
    network = NETWORKS["attention"](WAYS)
    network.get_layer("embeddings").trainable = False
    learner = mtf.learners.MAML(network)
    before = np.asarray(network.get_layer("embeddings").embeddings)
    learner.compile(optimizer=keras.optimizers.Adam(0.1))
    learner.fit(tasks, steps_per_epoch=2, verbose=0)
    np.testing.assert_array_equal(np.asarray(network.get_layer("embeddings").embeddings), before)
    assert len(learner.adapt(*first_task(tasks)[:2]).state) == 4  # importance, head's kernel and bias, ways


@pytest.mark.rows(default=["PrototypicalNetwork"])
def test_texts_are_never_vectorized(build, tasks):
    """TensorFlow's string operations have no vectorised form, and `"auto"` would ask for it on a GPU."""
    inputs, _ = next(iter(tasks))
    vectorized = build(NETWORKS["attention"], task_mapping="vectorized")
    parallel = build(NETWORKS["attention"], task_mapping="parallel")
    parallel.set_weights(vectorized.get_weights())
    np.testing.assert_allclose(np.asarray(vectorized(inputs)), np.asarray(parallel(inputs)), rtol=1e-5, atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("drawn", [{"ways": (2, 3)}, {"shots": (1, 2)}])
def test_padding_of_tasks_is_no_empty_text(build, dataset, drawn):
    learner = build(NETWORKS["bag_of_words"])
    learner.compile("sgd")
    options = {"ways": 3, "shots": 1, "queries": 1, "tasks_per_batch": 4, **drawn}
    tasks = mtf.data.episodes(dataset, **options)
    assert np.isfinite(learner.fit(tasks, steps_per_epoch=1, verbose=0).history["loss"][0])


# === Errors ===


@pytest.mark.rows(
    default=[
        "PrototypicalNetwork-support_x-value3-strings",
        "PrototypicalNetwork-support_x-value5-shape \\\\(n\\\\).*Received: shape \\\\(3, 1\\\\)",
        "PrototypicalNetwork-support_x-value2-strings.*Received: .*dtype=float32",
        "PrototypicalNetwork-support_x-value4-strings",
    ]
)
@pytest.mark.parametrize(
    "argument, value, message",
    [
        ("support_x", ["a text", "", "another"], "empty texts.*Received: nothing in texts \\[1\\]"),
        ("support_x", ["a text", "another", " \n\t"], "empty texts"),
        ("support_x", np.zeros(3, "float32"), "strings.*Received: .*dtype=float32"),
        ("support_x", [1, 2, 3], "strings"),
        ("support_x", ["a text", 2.5, None], "strings"),
        ("support_x", [["a text"], ["another"], ["third"]], r"shape \(n\).*Received: shape \(3, 1\)"),
        ("support_x", [], "at least one|strings"),
        ("support_y", [0, 1], "one label for each"),
    ],
)
def test_adapt_refuses_what_is_no_support_set_of_texts(build, argument, value, message):
    learner = build(NETWORKS["bag_of_words"])
    arguments = {"support_x": ["a text", "another", "third"], "support_y": [0, 1, 2], argument: value}
    with pytest.raises(ValueError, match=f"(?s)`{argument}` must .*{message}"):
        learner.adapt(**arguments)


@pytest.mark.rows(default=["PrototypicalNetwork-queries2"])
@pytest.mark.parametrize("queries", [["a text", ""], [3.0, 4.0], [["a text"]]])
def test_adapted_models_refuse_queries_that_are_no_texts(build, queries):
    adapted = build(NETWORKS["bag_of_words"]).adapt(["topic1x1", "topic2x2", "topic3x3"], [0, 1, 2])
    with pytest.raises(ValueError, match="`query_x` must .*Received: "):
        adapted.predict(queries, verbose=0)


@pytest.mark.rows(default=["PrototypicalNetwork"])
def test_adapted_models_refuse_tensors_of_numbers(build):
    adapted = build(NETWORKS["bag_of_words"]).adapt(["topic1x1", "topic2x2", "topic3x3"], [0, 1, 2])
    with pytest.raises(ValueError, match="`query_x` must be strings.*Received: "):
        adapted(tf.zeros(3))


def test_learners_of_numbers_refuse_texts():
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.mlp((1,)))
    with pytest.raises(ValueError, match="`support_x` must be uint8, or floating"):
        learner.adapt([["a text"], ["another"]], [0, 1])


@pytest.mark.rows(default=["PrototypicalNetwork"])
def test_fit_refuses_tasks_of_the_wrong_kind(build, tasks, toy_dataset):
    images = mtf.data.episodes(toy_dataset, WAYS, SHOTS, QUERIES, TASKS)
    with pytest.raises(ValueError, match="`support_x` must "):
        build(NETWORKS["bag_of_words"]).fit(images, steps_per_epoch=1, verbose=0)
    with pytest.raises(ValueError, match="`support_x` must "):
        build(lambda outputs: mtf.networks.mlp((16, 16, 1), outputs=outputs)).fit(tasks, steps_per_epoch=1, verbose=0)


# === Vocabularies that are not in the configuration ===


@pytest.mark.parametrize("output_mode", ["multi_hot", "int"])
def test_an_adapted_vocabulary_goes_with_the_learner(output_mode, tmp_path):
    layer = keras.layers.TextVectorization(output_mode=output_mode)
    layer.adapt(tf.constant(TEXTS))
    inputs = keras.Input((), dtype="string")
    x = layer(inputs)
    if output_mode == "int":
        x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(layer.vocabulary_size(), 4)(x))
    learner = mtf.learners.PrototypicalNetwork(keras.Model(inputs, keras.layers.Dense(4)(x)))
    support, labels = ["topic1x1 common2", "topic2x2", "topic3x3 topic3x1"], [0, 1, 2]
    texts = [text.encode() for text in support]
    expected = tf.nn.softmax(learner((tf.constant([texts]), tf.constant([labels]), tf.constant([texts])))[0])
    adapted = learner.adapt(support, labels)
    np.testing.assert_allclose(adapted.predict(support, verbose=0), expected, rtol=1e-4, atol=1e-6)
    adapted.save(tmp_path / "adapted.keras")
    loaded = keras.models.load_model(tmp_path / "adapted.keras", safe_mode=True)
    np.testing.assert_allclose(loaded.predict(support, verbose=0), expected, rtol=1e-4, atol=1e-6)
