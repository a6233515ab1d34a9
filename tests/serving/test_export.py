"""What an export writes, and that it writes all or nothing."""

import logging
import os

from metalearn_tf.serving import export_learner, warm_up

import numpy as np
import pytest
import tensorflow as tf
from served_learners import maml, prototypical


def files_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.full
def test_layout(exported):
    _, path = exported("maml")
    files = files_under(path)
    assert {"saved_model.pb", "model_card.md", "variables/variables.index"} <= set(files)
    assert not any(file.startswith("assets.extra") for file in files)  # warm_up=False
    assert files_under(path.parents[1]) == sorted(["maml", "maml/1", *(f"maml/1/{file}" for file in files)])
    assert os.stat(path).st_mode & 0o777 == 0o777 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_model_holds_the_weights_and_nothing_else(exported):
    learner, path = exported("maml")
    saved = [tuple(shape) for _, shape in tf.train.list_variables(str(path / "variables" / "variables"))]
    bookkeeping = [()]  # the graph of tracked objects, and no count of saves
    assert sorted(saved) == sorted(bookkeeping + [tuple(weight.shape) for weight in learner.weights])


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_a_path_that_exists_is_left_as_it_is(kind, tmp_path):
    path = tmp_path / "1"
    if kind == "file":
        path.write_text("mine")
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.mkdir()
    if kind == "folder":
        (path / "saved_model.pb").write_text("mine")
    before = files_under(tmp_path)

    class Untouchable:
        """The error comes before any work on the learner."""

    with pytest.raises(FileExistsError, match="`path` must not exist"):
        export_learner(Untouchable(), path)
    assert files_under(tmp_path) == before
    if kind == "folder":
        assert (path / "saved_model.pb").read_text() == "mine"


@pytest.mark.rows(default=["tensorflow.saved_model.save"])
@pytest.mark.parametrize("failing", ["tensorflow.saved_model.save", "metalearn_tf.serving.export.write_warm_up"])
def test_a_failing_export_leaves_nothing(failing, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_serving", reason="needs the extra `serving`")

    def fail(*args, **kwargs):
        raise OSError("the disk is full")

    monkeypatch.setattr(failing, fail)
    with pytest.raises(OSError, match="the disk is full"):
        prototypical().export(tmp_path / "models" / "mine" / "1", warm_up=True)
    assert files_under(tmp_path) == []


def test_a_path_that_appears_meanwhile_is_left_as_it_is(tmp_path, monkeypatch):
    path, save = tmp_path / "1", tf.saved_model.save

    def save_while_another_exports(*args, **kwargs):
        save(*args, **kwargs)
        path.mkdir()

    monkeypatch.setattr("tensorflow.saved_model.save", save_while_another_exports)
    with pytest.raises(FileExistsError, match="during the export"):
        prototypical().export(path, warm_up=False)
    assert files_under(tmp_path) == ["1"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"warm_up": "yes"}, ValueError, "`warm_up` must be None, True or False"),
        ({"report": 0.98}, ValueError, "`report` must be what `mtf.evaluation.evaluate_episodes` returns"),
        ({"report": [0.98]}, ValueError, "`report` must be"),
        ({"description": 3}, ValueError, "`description` must be text"),
        ({"regression": 1}, ValueError, "`regression` must be True or False"),
        ({"regression": True}, ValueError, "`regression` needs a learner whose network has outputs"),
    ],
)
def test_bad_options_are_refused_before_any_work(options, error, message, tmp_path, monkeypatch):
    monkeypatch.setattr("metalearn_tf.serving.export.learner_signatures", None)
    with pytest.raises(error, match=message):
        prototypical().export(tmp_path / "1", **options)
    assert files_under(tmp_path) == []


def test_without_the_extra(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(warm_up, "_PACKAGE", "no_such_package")
    with pytest.raises(ImportError, match=r'pip install "metalearn_tf\[serving\]"'):
        prototypical().export(tmp_path / "1", warm_up=True)
    assert files_under(tmp_path) == []
    with caplog.at_level(logging.INFO):
        assert warm_up.wants_warm_up(None) is False
    assert 'pip install "metalearn_tf[serving]"' in caplog.text


@pytest.mark.full
@pytest.mark.parametrize("learner", [prototypical, maml])
def test_every_signature_has_a_warm_up_request(learner, tmp_path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs the extra `serving`")
    learner().export(tmp_path / "1")
    served = tf.saved_model.load(str(tmp_path / "1")).signatures
    asked = set()
    for record in tf.data.TFRecordDataset(str(tmp_path / "1" / "assets.extra" / "tf_serving_warmup_requests")):
        request = logs.PredictionLog.FromString(record.numpy()).predict_log.request
        name = request.model_spec.signature_name
        asked.add(name)
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        answer = served[name](**inputs)
        if name != "adapt":
            assert np.isfinite(answer["probabilities"].numpy()).all()
            assert answer["probabilities"].shape == (5, 5)
    assert asked == set(served)


def test_random_layers_of_the_network_are_exported(tmp_path):
    """Their states are no weights in Keras's sense, and still part of the graph."""
    import metalearn_tf as mtf

    import keras

    inputs = keras.Input((6,))
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dropout(0.5)(inputs)))
    learner = mtf.learners.MAML(network)
    learner.export(tmp_path / "1", warm_up=False)
    random = np.random.default_rng(0)
    support_x, query_x = random.random((6, 6), dtype="float32"), random.random((4, 6), dtype="float32")
    labels = np.asarray([0, 1, 2, 2, 1, 0], "int32")
    answer = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"](
        support_inputs=tf.constant(support_x), support_labels=tf.constant(labels), query_inputs=tf.constant(query_x)
    )
    expected = tf.nn.softmax(learner((support_x[None], labels[None], query_x[None]))[0])
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=0, atol=1e-6)
