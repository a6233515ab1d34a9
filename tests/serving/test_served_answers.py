"""Exported learners answer without Python as they do with it."""

import concurrent.futures

import keras
import numpy as np
import pytest
import tensorflow as tf
from served_learners import LEARNERS, served_state
from tensorflow.core.protobuf import saved_model_pb2

CLASSIFIERS = [name for name in LEARNERS if name != "maml_sinusoid"]


def images_of(support_x, support_y, query_x):
    return {"support_images": support_x, "support_labels": support_y, "query_images": query_x}


def files_of(support_x, support_y, query_x):
    return {"support_bytes": png_files(support_x), "support_labels": support_y, "query_bytes": png_files(query_x)}


def png_files(images):
    return np.asarray([tf.io.encode_png((image * 255).round().astype("uint8")).numpy() for image in images], object)


def keras_answer(learner, support_x, support_y, query_x):
    return learner((support_x[None], support_y[None], query_x[None])).numpy()[0]


@pytest.mark.rows(
    default=["prototypical_euclidean", "maml"],
    full=["prototypical_running", "mann", "relation_maps", "baseline", "ensemble", "maml_support_5_steps"],
)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_signature_gives_the_answer_of_keras(name, exported, cpp_client, image_task):
    learner, model = exported(name)
    ways = 4 if learner.max_ways else 7
    support_x, support_y, query_x = task = image_task(ways)
    probabilities = keras.ops.softmax(keras_answer(learner, *task)).numpy()
    state = served_state(learner, *task[:2])
    # bfloat16 keeps 8 bits, float16 11; the order of additions may differ by one rounding.
    atol = 2e-2 if "float16" in name else 1e-5

    adapted, *answers = cpp_client.ask(
        model,
        [
            ("adapt", {"support_images": support_x, "support_labels": support_y}),
            ("predict", {**state, "query_images": query_x}),
            ("serving_default", images_of(*task)),
            ("adapt_and_predict", images_of(*task)),
            ("adapt_and_predict_bytes", files_of(*task)),
        ],
    )
    assert adapted.error is None
    assert set(adapted.outputs) == set(state)
    for key, tensor in state.items():
        np.testing.assert_allclose(adapted.outputs[key], tensor, rtol=atol, atol=atol)
    for answer in answers:
        assert answer.error is None
        assert answer.outputs["probabilities"].shape == (len(query_x), ways)
        assert answer.outputs["labels"].dtype == np.int32
        np.testing.assert_allclose(answer.outputs["probabilities"], probabilities, rtol=0, atol=atol)
        np.testing.assert_array_equal(answer.outputs["labels"], answer.outputs["probabilities"].argmax(axis=1))
    assert probabilities.std(axis=0).max() > 1e-3  # the task says something


@pytest.mark.full
def test_the_served_answer_is_that_of_adapt_and_predict(exported, cpp_client, image_task):
    learner, model = exported("maml")
    support_x, support_y, query_x = image_task(5)
    expected = learner.adapt(support_x, support_y).predict(query_x, verbose=0)
    (answer,) = cpp_client.ask(model, [("adapt_and_predict", images_of(support_x, support_y, query_x))])
    np.testing.assert_allclose(answer.outputs["probabilities"], expected, rtol=0, atol=1e-5)


@pytest.mark.full
def test_regression_is_served_without_labels(exported, cpp_client):
    learner, model = exported("maml_sinusoid")
    support_x, query_x = (
        np.linspace(-5, 5, 10, dtype="float32")[:, None],
        np.linspace(-4, 4, 7, dtype="float32")[:, None],
    )
    support = {"support_inputs": support_x, "support_targets": np.sin(support_x)}
    expected = keras_answer(learner, support_x, np.sin(support_x), query_x)
    whole, adapted = cpp_client.ask(
        model, [("adapt_and_predict", {**support, "query_inputs": query_x}), ("adapt", support)]
    )
    (predicted,) = cpp_client.ask(model, [("predict", {**adapted.outputs, "query_inputs": query_x})])
    for answer in (whole, predicted):
        assert list(answer.outputs) == ["predictions"]
        np.testing.assert_allclose(answer.outputs["predictions"], expected, rtol=0, atol=1e-5)
    assert "adapt_and_predict_bytes" not in tf.saved_model.load(str(model)).signatures


@pytest.mark.rows(default=["prototypical_euclidean"])
@pytest.mark.parametrize("name", ["prototypical_euclidean", "maml"])
def test_any_number_of_ways_that_the_learner_has(name, exported, cpp_client, image_task):
    learner, model = exported(name)
    ways = range(1, 1 + (learner.max_ways or 12))
    answers = cpp_client.ask(model, [("adapt_and_predict", images_of(*image_task(n))) for n in ways])
    assert [answer.outputs["probabilities"].shape[1] for answer in answers] == list(ways)
    for answer in answers:
        np.testing.assert_allclose(answer.outputs["probabilities"].sum(axis=1), 1.0, rtol=0, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("name", ["prototypical_euclidean", "maml"])
def test_eight_threads_give_the_bits_of_one(name, exported, cpp_client, image_task):
    _, model = exported(name)
    requests = [("adapt_and_predict", images_of(*image_task(ways))) for ways in (2, 5)]
    alone = cpp_client.ask(model, requests)
    # The client itself compares every run with its first.
    for one, eight in zip(alone, cpp_client.ask(model, requests, threads=8, repeat=5)):
        assert eight.error is None
        np.testing.assert_array_equal(eight.outputs["probabilities"], one.outputs["probabilities"])


@pytest.mark.rows(default=["prototypical_euclidean"])
@pytest.mark.parametrize("name", ["prototypical_euclidean", "maml"])
def test_eight_python_threads_give_the_bits_of_one(name, exported, image_task):
    served = tf.saved_model.load(str(exported(name)[1])).signatures["adapt_and_predict"]

    def ask(ways):
        return served(**{key: tf.constant(value) for key, value in images_of(*image_task(ways)).items()})

    # Different tasks at once: a state kept between requests would mix them.
    ways = [2, 3, 4, 5] * 8
    alone = {n: ask(n)["probabilities"].numpy() for n in set(ways)}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for n, answer in zip(ways, pool.map(ask, ways)):
            np.testing.assert_array_equal(answer["probabilities"].numpy(), alone[n])


@pytest.mark.parametrize("name", LEARNERS)
def test_serving_changes_no_variable(name, exported):
    graph = saved_model_pb2.SavedModel()
    graph.ParseFromString((exported(name)[1] / "saved_model.pb").read_bytes())
    functions = graph.meta_graphs[0].graph_def.library.function
    assigned = [
        (function.signature.name, node.name)
        for function in functions
        for node in function.node_def
        if node.op.startswith("Assign") and "restore" not in function.signature.name
    ]
    assert any(node.op == "ReadVariableOp" for function in functions for node in function.node_def)
    assert assigned == []
