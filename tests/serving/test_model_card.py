"""The model card says what a user has to know, and its code runs."""

import http.server
import json
import re
import threading

from metalearn_tf.serving.model_card import model_card
from metalearn_tf.serving.signatures import learner_signatures

import numpy as np
import pytest
import tensorflow as tf
from served_learners import LEARNERS, conv4, maml, prototypical


class Report:
    def to_markdown(self):
        return "| accuracy |\n|---|\n| 97.5 ± 0.2 % |\n"


def test_what_it_says():
    learner = maml(conv4, "support")
    card = model_card(learner, learner_signatures(learner), "omniglot", "Trained\non Omniglot.", [Report(), Report()])
    assert card.startswith("# omniglot\n")
    for part in (
        "A `MAML` of metalearn_tf",
        "[Finn et al., 2017](https://arxiv.org/abs/1703.03400)",
        "## Training\n\nTrained\non Omniglot.\n",
        "| `inner_learning_rate` | `0.1` |",
        "`conv4`, (n, 16, 16, 1) → (n, 5)",
        "| trained weights | 1,909 |",
        "| ways | up to 5 |",
        "## Normalisation: support\n\nQueries are normalised by the mean and variance of the support set",
        "`support_images` (S, 16, 16, 1) float32, `support_labels` (S,) int32",
        "`probabilities` (Q, ways) float32, `labels` (Q,) int32",
        "| `state_0` | (3, 3, 1, 8) | float32 |",
        "**[0, 1]**",
        "at most 5 of them",
        "-e MODEL_NAME=omniglot",
        "/v1/models/omniglot:predict",
        f"TensorFlow {tf.__version__}",
    ):
        assert part in card
    assert card.count("| 97.5 ± 0.2 % |") == 2


def test_what_it_leaves_out():
    learner = prototypical()
    card = model_card(learner, learner_signatures(learner), "glyphs")
    assert "| ways | any number |" in card
    assert "queries of a request are predicted together" in " ".join(card.split())
    assert "| `state_0` | (n, 8) | float32 |" in card
    assert "## Training" not in card
    assert "## Evaluation" not in card


def test_regression():
    learner = LEARNERS["maml_sinusoid"]()
    card = model_card(learner, learner_signatures(learner, regression=True), "sinusoids")
    assert "`support_inputs` (S, 1) float32, `support_targets` (S, 1) float32" in card
    assert "`predictions` (Q, 1) float32" in card
    assert "## Normalisation: none" in card
    for part in ("bytes", "label", "| ways", "Pixels"):
        assert part not in card


@pytest.fixture
def rest_server():
    """A server of SavedModels that reads and writes TensorFlow Serving's columnar JSON, on any free port."""
    signatures = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/mine:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served = signatures[body["signature_name"]]
            specs = served.structured_input_signature[1]
            inputs = {name: tf.constant(value, specs[name].dtype) for name, value in body["inputs"].items()}
            outputs = {name: tensor.numpy().tolist() for name, tensor in served(**inputs).items()}
            # A single output comes without its name.
            answer = json.dumps({"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            """Silent."""

    with http.server.HTTPServer(("localhost", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield signatures, server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["prototypical_euclidean", "maml"])
def test_its_request_is_answered(name, exported, image_task, rest_server):
    learner, path = exported(name)
    signatures, port = rest_server
    signatures.update(tf.saved_model.load(str(path)).signatures)
    card = model_card(learner, learner_signatures(learner), "mine")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert "http://localhost:8501/" in code
    support_x, support_y, query_x = image_task(4)
    names = {"support_x": support_x, "support_y": support_y, "query_x": query_x, "answers": []}
    code = (
        code.replace(":8501/", f":{port}/")
        .replace("answer = ask", "answers += [ask")
        .replace("queries})", "queries})]")
    )
    exec(code, names)
    expected = tf.nn.softmax(learner((support_x[None], support_y[None], query_x[None]))[0])
    assert len(names["answers"]) == 2
    for answer in names["answers"]:
        np.testing.assert_allclose(answer["probabilities"], expected, rtol=0, atol=1e-5)
        assert np.shape(answer["labels"]) == (len(query_x),)
