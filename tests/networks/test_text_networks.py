"""bag_of_words and text_encoder: what they compute, configuration, files, and the arguments they refuse."""

import collections
import unicodedata

import metalearn_tf as mtf
from metalearn_tf.engine.text_inputs import takes_texts
from metalearn_tf.networks.composed_characters import composed_characters
from metalearn_tf.networks.vocabulary import count_words, separate_words

import keras
import numpy as np
import pytest
import tensorflow as tf

TEXTS = ["The cat sat.", "the DOG sat, sat!", "a cat@home: dog", "Wörter, слова 42"]
NETWORKS = {
    "bag_of_words": lambda **options: mtf.networks.bag_of_words(TEXTS, **options),
    "attention": lambda **options: mtf.networks.text_encoder(TEXTS, units=6, max_words=8, **options),
    "convolution": lambda **options: mtf.networks.text_encoder(
        TEXTS, units=6, max_words=8, pooling="convolution", **options
    ),
}
WIDTHS = {"bag_of_words": 9, "attention": 6, "convolution": 18}


def run(network, *texts):
    return np.asarray(network(tf.constant(texts)))


def test_words_are_runs_of_letters_and_digits_in_lower_case():
    words = tf.strings.split(separate_words(tf.constant(["A-b c's x@y.Z 3.5", "Ünï  ДА!"]))).to_list()
    assert words == [[b"a", b"b", b"c", b"s", b"x", b"y", b"z", b"3", b"5"], ["ünï".encode(), "да".encode()]]


@pytest.mark.parametrize(
    "text, words",
    [
        ("दिन, दान। दीन", ["दिन", "दान", "दीन"]),
        ("నమస్తే ప్రపంచం", ["నమస్తే", "ప్రపంచం"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9"] * 2),
        ("vi\u00ea\u0323t vie\u0323\u0302t", ["vi\u1ec7t"] * 2),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", ["\ud55c\uae00"]),
        ("ශ්\u200dරී co\u00adoperate", ["ශ්රී", "cooperate"]),
        ("\u2764\ufe0f yes", ["yes"]),
    ],
)
def test_words_of_every_script_keep_their_marks(text, words):
    found = tf.strings.split(separate_words(tf.constant([text]))).to_list()[0]
    assert [word.decode() for word in found] == words


@pytest.mark.full
def test_composed_characters_are_those_of_python():
    random = np.random.default_rng(0)
    parts = "o\u0308\u1100\u1161\u11a8\u0dd9\u0dcf\u0dca\u05d1\u05bc\u05b7"
    marks = [chr(number) for number in (0x300, 0x302, 0x323, 0x327, 0x93C, 0x94D, 0x1E69, 0x212B, 0xFB2C)]
    alphabet = ["a", "s", " ", "\u0915", *parts, *marks]
    texts = ["".join(random.choice(alphabet, size=random.integers(0, 9))) for _ in range(2000)]
    composed = tf.function(composed_characters)(tf.constant(texts)).numpy()
    assert [text.decode() for text in composed] == [unicodedata.normalize("NFC", text) for text in texts]


@pytest.mark.rows(default=["NaN"])
@pytest.mark.parametrize(
    "missing", [None, np.nan, 7, b"\xff", "\ud800"], ids=["None", "NaN", "number", "bytes", "surrogate"]
)
def test_a_missing_text_is_refused_by_its_place(missing):
    texts, labels = ["red one", "blue two", missing, "red three"], [0, 1, 0, 0]
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.bag_of_words(["red", "blue"]))
    adapted = learner.adapt(["red", "blue"], [0, 1])
    for take in (
        lambda texts: count_words(texts, 10),
        lambda texts: mtf.data.ClassDataset(texts, labels),
        lambda texts: learner.adapt(texts, labels),
        adapted.predict,
        adapted.predict_on_batch,
    ):
        for given in (texts, np.array(texts, object)):
            with pytest.raises(ValueError, match=r"must be strings, each of them.* at 2"):
                take(given)


def test_the_vocabulary_is_the_words_of_most_texts():
    words, idf = count_words(TEXTS, 100)
    assert words == ["cat", "dog", "sat", "the", "42", "a", "home", "wörter", "слова"]
    np.testing.assert_allclose(idf, [np.log(5 / (1 + n)) + 1 for n in (2, 2, 2, 2, 1, 1, 1, 1, 1)], rtol=1e-6)
    assert count_words(TEXTS, 3)[0] == words[:3]
    assert count_words([text.encode() for text in TEXTS], 100)[0] == words


def test_a_bag_of_words_against_numpy():
    words, idf = count_words(TEXTS, 100)
    network = mtf.networks.bag_of_words(TEXTS)
    for text in ("The cat, the dog. The cow!", "sat"):
        counts = collections.Counter(text.lower().replace(".", "").replace(",", "").replace("!", "").split())
        expected = np.asarray([np.log1p(counts[word]) for word in words]) * idf**2
        np.testing.assert_allclose(run(network, text)[0], expected / np.linalg.norm(expected), rtol=1e-5)
    np.testing.assert_array_equal(run(network, "unknown words", ""), 0.0)


def test_attention_against_numpy():
    words, idf = count_words(TEXTS, 100)
    network = mtf.networks.text_encoder(TEXTS, units=6, max_words=4)
    table = np.asarray(network.get_layer("embeddings").embeddings)
    text = ["the", "cat", "unicorn"]
    numbers = [words.index(word) + 2 if word in words else 1 for word in text]
    weights = np.asarray([idf[number - 2] if number > 1 else idf.max() for number in numbers]) ** 2
    expected = (weights[:, None] * table[numbers]).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(run(network, "The cat: unicorn?")[0], expected, rtol=1e-4, atol=1e-7)
    # Only the first four words are read.
    np.testing.assert_allclose(run(network, "the cat unicorn sat"), run(network, "the cat unicorn sat dog"), rtol=1e-6)
    np.testing.assert_array_equal(run(network, ""), 0.0)


def test_convolution_against_numpy():
    words, _ = count_words(TEXTS, 100)
    network = NETWORKS["convolution"]()
    numbers = [words.index(word) + 2 for word in ["the", "dog", "sat"]] + [0] * 5
    embedded = np.asarray(network.get_layer("embeddings").embeddings)[numbers]
    expected = []
    for width in (3, 4, 5):
        kernel, bias = network.get_layer(f"convolution_{width}").get_weights()
        windows = [embedded[start : start + width] for start in range(8 - width + 1)]
        responses = [np.einsum("wi,wio->o", window, kernel) + bias for window in windows]
        expected.append(np.maximum(responses, 0).max(axis=0))
    np.testing.assert_allclose(run(network, "The dog sat")[0], np.concatenate(expected), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_widths_and_inputs(name):
    for outputs in (None, 3):
        network = NETWORKS[name](outputs=outputs)
        width = outputs or WIDTHS[name]
        assert takes_texts(network) and network.input_shape == (None,) and network.output_shape == (None, width)
        assert run(network, *TEXTS).dtype == np.float32
    assert not takes_texts(mtf.networks.mlp())


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_saved_and_loaded_with_their_words(name, tmp_path):
    network = NETWORKS[name](outputs=3)
    random = np.random.default_rng(0)
    network.set_weights([random.normal(size=weight.shape) for weight in network.get_weights()])
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_array_equal(run(loaded, *TEXTS), run(network, *TEXTS))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(name, policy):
    single = NETWORKS[name](outputs=3)
    keras.mixed_precision.set_global_policy(policy)
    mixed = NETWORKS[name](outputs=3)
    mixed.set_weights(single.get_weights())
    outputs = run(mixed, *TEXTS)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, run(single, *TEXTS), atol=0.02)


@pytest.mark.parametrize(
    "function, options",
    [
        ("bag_of_words", {"texts": "one text"}),
        ("bag_of_words", {"texts": [1, 2]}),
        ("bag_of_words", {"texts": []}),
        ("bag_of_words", {"texts": ["...", " "]}),
        ("bag_of_words", {"vocabulary_size": 0}),
        ("bag_of_words", {"outputs": 0}),
        ("text_encoder", {"texts": [["nested"]]}),
        ("text_encoder", {"vocabulary_size": 2.5}),
        ("text_encoder", {"units": 0}),
        ("text_encoder", {"max_words": 0}),
        ("text_encoder", {"max_words": 4, "pooling": "convolution"}),
        ("text_encoder", {"pooling": "mean"}),
        ("text_encoder", {"outputs": 1.5}),
    ],
)
def test_bad_arguments_are_named(function, options):
    with pytest.raises(ValueError, match=rf"(?s)`{next(iter(options))}` must.*Received: "):
        getattr(mtf.networks, function)(**{"texts": TEXTS, **options})
