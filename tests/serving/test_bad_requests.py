"""A bad request gets an error that names the input, and never an answer."""

import numpy as np
import pytest
import tensorflow as tf
from served_learners import served_state

NAN_IMAGE = np.full((16, 16, 1), np.nan, "float32")
PNG = tf.io.encode_png(np.zeros((20, 30, 3), "uint8")).numpy()
JPEG = tf.io.encode_jpeg(np.zeros((20, 30, 3), "uint8")).numpy()


def with_first(array, value):
    """The array with another first entry."""
    array = array.copy()
    array[0] = value
    return array


def strings(*values):
    return np.asarray(values, object)


# Of a 4-way task: signature, the input that goes wrong, what becomes of it, and what the error says.
BAD_REQUESTS = {
    "fewer labels": ("adapt_and_predict", "support_labels", lambda y: y[:-1], "one entry for each"),
    "more labels": ("adapt", "support_labels", lambda y: np.append(y, y[:1]), "one entry for each"),
    "negative label": ("adapt_and_predict", "support_labels", lambda y: with_first(y, -1), "from 0 to ways - 1"),
    "gap in the labels": (
        "adapt_and_predict",
        "support_labels",
        lambda y: np.where(y == 2, 4, y),
        "from 0 to ways - 1",
    ),
    "no label 0": ("adapt", "support_labels", lambda y: y + 1, "from 0 to ways - 1"),
    "huge label": ("adapt", "support_labels", lambda y: with_first(y, 2**31 - 1), "from 0 to ways - 1"),
    "labels of rank 2": ("adapt", "support_labels", lambda y: y[:, None], "not compatible"),
    "no support set": ("adapt_and_predict", "support_images", lambda x: x[:0], "at least one example"),
    "no labels": ("adapt", "support_labels", lambda y: y[:0], "one entry for each"),
    "no queries": ("adapt_and_predict", "query_images", lambda x: x[:0], "at least one example"),
    "no queries for a state": ("predict", "query_images", lambda x: x[:0], "at least one example"),
    "NaN in the support set": ("adapt", "support_images", lambda x: with_first(x, NAN_IMAGE), "must be finite"),
    "infinity in the support set": ("adapt_and_predict", "support_images", lambda x: with_first(x, np.inf), "finite"),
    "NaN in a query": ("adapt_and_predict", "query_images", lambda x: with_first(x, NAN_IMAGE), "must be finite"),
    "infinity in a query": ("predict", "query_images", lambda x: with_first(x, -np.inf), "must be finite"),
    "larger images": ("adapt", "support_images", lambda x: x.repeat(2, 1).repeat(2, 2), "not compatible"),
    "larger queries": ("predict", "query_images", lambda x: x.repeat(2, 1).repeat(2, 2), "not compatible"),
    "images of another aspect": ("predict", "query_images", lambda x: x.reshape(-1, 8, 32, 1), "not compatible"),
    "colour for grey": ("adapt_and_predict", "query_images", lambda x: x.repeat(3, 3), "not compatible"),
    "an image without its axis": ("predict", "query_images", lambda x: x[0], "not compatible"),
    "NaN in the state": ("predict", "state_0", lambda state: state + np.float32(np.nan), "must be finite"),
    "a state of another shape": ("predict", "state_0", lambda state: state[..., :-1], "not compatible"),
    "a state of another rank": ("predict", "state_0", lambda state: state[0], "not compatible"),
    "a state cut short": ("predict", "state_0", lambda state: state[:1], "state_0"),
    "no file": ("adapt_and_predict_bytes", "query_bytes", lambda files: files[:0], "at least one image"),
    "no support file": ("adapt_and_predict_bytes", "support_bytes", lambda files: files[:0], "at least one image"),
    "text for a file": ("adapt_and_predict_bytes", "query_bytes", lambda _: strings(PNG, b"a cat"), "PNG or JPEG"),
    "an empty file": ("adapt_and_predict_bytes", "query_bytes", lambda _: strings(PNG, b""), "PNG or JPEG"),
    "a GIF": ("adapt_and_predict_bytes", "query_bytes", lambda _: strings(b"GIF89a" + PNG), "PNG or JPEG"),
    "a PNG cut short": (
        "adapt_and_predict_bytes",
        "query_bytes",
        lambda _: strings(PNG[: len(PNG) // 2]),
        "Invalid PNG",
    ),
    "a PNG of its signature": ("adapt_and_predict_bytes", "query_bytes", lambda _: strings(PNG[:8]), ""),
    "a JPEG cut short": ("adapt_and_predict_bytes", "query_bytes", lambda _: strings(JPEG[:-300]), "Invalid JPEG"),
    "a JPEG of its signature": ("adapt_and_predict_bytes", "query_bytes", lambda _: strings(JPEG[:3]), "Invalid JPEG"),
    "fewer labels than files": ("adapt_and_predict_bytes", "support_labels", lambda y: y[:-1], "one entry for each"),
}


def requests_of(learner, task, bad_requests):
    """Good requests by signature, and the bad ones made of them."""
    support_x, support_y, query_x = task
    support = {"support_images": support_x, "support_labels": support_y}
    state = served_state(learner, support_x, support_y)
    good = {
        "adapt_and_predict": {**support, "query_images": query_x},
        "adapt": support,
        "predict": {**state, "query_images": query_x},
        "adapt_and_predict_bytes": {
            "support_bytes": strings(*[PNG] * len(support_x)),
            "support_labels": support_y,
            "query_bytes": strings(PNG, JPEG),
        },
    }
    bad = [
        (signature, {**good[signature], name: change(good[signature][name])})
        for signature, name, change, _ in bad_requests.values()
    ]
    return list(good.items()), bad


@pytest.fixture(scope="module", params=["prototypical_euclidean", "maml"])
def errors(request, exported, cpp_client, image_task):
    """The errors by the bad request's name, all of one process that goes on to answer good requests."""
    learner, model = exported(request.param)
    good, bad = requests_of(learner, image_task(4), BAD_REQUESTS)
    answers = cpp_client.ask(model, bad + good)
    assert [answer.error for answer in answers[len(bad) :]] == [None] * len(good)
    return dict(zip(BAD_REQUESTS, [answer.error for answer in answers]))


@pytest.mark.rows(default=["maml-NaN in a query", "maml-NaN in the state", "maml-a GIF", "maml-a JPEG cut short"])
@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_the_error_names_the_input(name, errors):
    _, argument, _, message = BAD_REQUESTS[name]
    error = errors[name]
    assert error is not None
    assert message in error
    assert argument in error


def test_another_dtype_than_declared_is_an_error_in_words(exported, cpp_client, image_task):
    _, model = exported("maml")
    support_x, support_y, query_x = image_task(3)
    inputs = {"support_images": support_x, "support_labels": support_y, "query_images": query_x}
    other = {"query_images": (255 * query_x).astype("uint8")}, {"support_labels": support_y.astype("int64")}
    pixels, labels = cpp_client.ask(model, [("adapt_and_predict", {**inputs, **changes}) for changes in other])
    assert "query_images has the dtype uint8" in pixels.error
    assert "support_labels has the dtype int64" in labels.error


def test_labels_beyond_the_head(exported, cpp_client, image_task):
    _, model = exported("maml")
    support_x, support_y, query_x = image_task(6)
    inputs = {"support_images": support_x, "support_labels": support_y, "query_images": query_x}
    (answer,) = cpp_client.ask(model, [("adapt_and_predict", inputs)])
    assert "`support_labels` must be from 0 to 4, for a head of 5 outputs" in answer.error


def test_a_state_with_other_ways_than_the_head(exported, cpp_client, image_task):
    learner, model = exported("maml")
    support_x, support_y, query_x = image_task(4)
    inputs = served_state(learner, support_x, support_y)
    last = f"state_{len(inputs) - 2}"
    assert inputs[last] == 4
    requests = [("predict", {**inputs, last: np.int32(ways), "query_images": query_x}) for ways in (-1, 0, 6)]
    for answer in cpp_client.ask(model, requests):
        assert f"`{last}` must be the number of classes, from 1 to 5" in answer.error


def test_no_prototypes(exported, cpp_client, image_task):
    learner, model = exported("prototypical_euclidean")
    support_x, support_y, query_x = image_task(2)
    state = served_state(learner, support_x, support_y)
    inputs = {**state, "state_0": np.zeros((0, 8), "float32"), "query_images": query_x}
    (answer,) = cpp_client.ask(model, [("predict", inputs)])
    assert "`state_0` must not be empty" in answer.error


def test_bad_regression_requests(exported, cpp_client):
    zeros = np.zeros((10, 1), "float32")
    inputs = {"support_inputs": zeros, "support_targets": zeros, "query_inputs": zeros}
    bad = [
        ("support_targets", zeros[:9], "`support_targets` must have one entry for each"),
        ("support_targets", zeros + np.nan, "`support_targets` must be finite"),
        ("support_targets", zeros.reshape(5, 2), "support_targets_shape"),
        ("support_inputs", zeros + np.inf, "`support_inputs` must be finite"),
        ("query_inputs", zeros[:0], "`query_inputs` must hold at least one example"),
        ("support_targets", zeros + np.float32(1e38), "`predictions` came out NaN or infinite"),
    ]
    requests = [("adapt_and_predict", {**inputs, name: value.astype("float32")}) for name, value, _ in bad]
    for answer, (_, _, message) in zip(cpp_client.ask(exported("maml_sinusoid")[1], requests), bad):
        assert answer.error is not None
        assert message in answer.error
