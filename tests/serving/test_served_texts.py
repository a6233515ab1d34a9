"""Learners of texts: strings go into the C++ client, and bad ones get an error that names the input."""

from metalearn_tf.serving.model_card import model_card
from metalearn_tf.serving.signatures import learner_signatures
from metalearn_tf.serving.warm_up import example_requests

import keras
import numpy as np
import pytest
import tensorflow as tf
from served_learners import TEXT_LEARNERS, served_state, texts_about


def strings(*texts):
    return np.asarray([text.encode() for text in texts], object)


def text_task(ways):
    """Support set with 3 texts a class, its labels, and 2 queries a class."""
    texts = [texts_about(subject, 5, seed=100 + subject) for subject in range(ways)]
    support = strings(*(text for part in texts for text in part[:3]))
    queries = strings(*(text for part in texts for text in part[3:]), "words that nobody knows")
    return support, np.repeat(np.arange(ways, dtype="int32"), 3), queries


def keras_answer(learner, *task):
    return keras.ops.softmax(learner(tuple(tf.constant(value)[None] for value in task))[0]).numpy()


@pytest.mark.parametrize("name", TEXT_LEARNERS)
def test_every_signature_gives_the_answer_of_keras(name, exported, cpp_client):
    learner, model = exported(name)
    for ways in (5, 3):
        support_x, support_y, query_x = task = text_task(ways)
        support = {"support_texts": support_x, "support_labels": support_y}
        expected = keras_answer(learner, *task)
        requests = [
            ("adapt", support),
            ("serving_default", {**support, "query_texts": query_x}),
            ("adapt_and_predict", {**support, "query_texts": query_x}),
        ]
        adapted, *answers = cpp_client.ask(model, requests, threads=4, repeat=2)
        assert adapted.error is None
        answers += cpp_client.ask(model, [("predict", {**adapted.outputs, "query_texts": query_x})])
        for answer in answers:
            assert answer.error is None
            np.testing.assert_allclose(answer.outputs["probabilities"], expected, rtol=0, atol=1e-5)
        assert expected.std(axis=0).max() > 1e-3  # the task says something
    assert "adapt_and_predict_bytes" not in tf.saved_model.load(str(model)).signatures


BAD_REQUESTS = {
    "an empty text": ("adapt", "support_texts", lambda x: strings("", *["a text"] * (len(x) - 1)), "[0]"),
    "white space": ("adapt_and_predict", "support_texts", lambda x: strings(*["a text"] * (len(x) - 1), " \n"), "[8]"),
    "an empty query": ("adapt_and_predict", "query_texts", lambda x: strings("a text", ""), "empty texts"),
    "an empty query for a state": ("predict", "query_texts", lambda x: strings("\t"), "empty texts"),
    "no queries": ("predict", "query_texts", lambda x: x[:0], "at least one example"),
    "no support set": ("adapt", "support_texts", lambda x: x[:0], "at least one example"),
    "fewer labels": ("adapt_and_predict", "support_labels", lambda y: y[:-1], "one entry for each"),
    "texts of rank 2": ("adapt", "support_texts", lambda x: x[:, None], "not compatible"),
    "numbers": ("predict", "query_texts", lambda x: np.zeros(len(x), "float32"), "float"),
}


@pytest.mark.parametrize("name", ["text_prototypical", "text_attention_maml"])
def test_bad_requests_name_the_input(name, exported, cpp_client):
    learner, model = exported(name)
    support_x, support_y, query_x = text_task(3)
    support = {"support_texts": support_x, "support_labels": support_y}
    good = {
        "adapt": support,
        "adapt_and_predict": {**support, "query_texts": query_x},
        "predict": {**served_state(learner, support_x, support_y), "query_texts": query_x},
    }
    requests = [
        (signature, {**good[signature], argument: change(good[signature][argument])})
        for signature, argument, change, _ in BAD_REQUESTS.values()
    ]
    answers = cpp_client.ask(model, [*requests, *good.items()])
    assert [answer.error for answer in answers[len(requests) :]] == [None] * len(good)
    for answer, (_, argument, _, message) in zip(answers, BAD_REQUESTS.values()):
        assert answer.error is not None
        assert argument in answer.error and message in answer.error


def test_the_model_card_speaks_of_texts():
    learner = TEXT_LEARNERS["text_attention_maml"]()
    card = model_card(learner, learner_signatures(learner), "subjects")
    for part in (
        "`support_texts` (S,) string, `support_labels` (S,) int32",
        "`query_texts` (Q,) string",
        "Texts are UTF-8 strings",
        "an empty text",
        "support_x (S,), support_y (S,), query_x (Q,)",
        "`text_encoder`, (n,) → (n, 5)",
    ):
        assert part in card
    for part in ("Pixels", "bytes", "NaN", "float32, in the range"):
        assert part not in card


def test_warm_up_requests_are_answered():
    signatures = learner_signatures(TEXT_LEARNERS["text_prototypical"]())
    requests = example_requests(signatures, ways=4)
    assert set(requests) == set(signatures)
    for name, inputs in requests.items():
        answer = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        if name != "adapt":
            assert answer["probabilities"].shape == (4, 4)
