"""The kinds of data that the functions and models of transfer take, and what they say of others."""

import metalearn_tf as mtf
from metalearn_tf.checks.labels import check_labels
from metalearn_tf.transfer.backbone_checks import check_backbone_examples
from metalearn_tf.transfer.data_kinds import read_examples
from metalearn_tf.transfer.transfer_checks import check_validation

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_transfer import quadrants
from transfer_models import MODELS, OF_DOMAINS, WITH_LABELS, WITHOUT_LABELS, fit, labelled, plain_backbone

# TensorFlow's own, of data pipelines, which stay graphs.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")

X, Y = quadrants(12)
SHORT = {"epochs": 1, "batch_size": 6}


class Sequence(keras.utils.PyDataset):
    """Batches of six, two of them; or without an end."""

    def __init__(self, *parts, endless=False):
        super().__init__()
        self.parts, self.endless = parts, endless

    @property
    def num_batches(self):
        return None if self.endless else 2

    def __getitem__(self, number):
        return tuple(part[6 * number : 6 * number + 6] for part in self.parts)


def batches(*parts, size=6):
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


def generator(*parts):
    yield parts


# === What is taken ===


@pytest.mark.parametrize(
    "make",
    [
        lambda: mtf.data.ClassDataset(X, Y),
        lambda: batches(X, Y),
        lambda: batches(X, Y).filter(lambda x, y: True),
        lambda: Sequence(X, Y),
    ],
    ids=["ClassDataset", "tf.data", "of unknown length", "PyDataset"],
)
def test_each_kind_is_read_as_its_arrays(make):
    data = read_examples("x", make(), 4)
    order, expected = np.argsort(data.y, kind="stable"), np.argsort(Y, kind="stable")
    np.testing.assert_array_equal(np.asarray(data.x)[order], X[expected])
    np.testing.assert_array_equal(np.asarray(data.y)[order], Y[expected])
    features = mtf.transfer.extract_features(plain_backbone(), make())
    np.testing.assert_allclose(features[order], mtf.transfer.extract_features(plain_backbone(), X)[expected], atol=1e-6)


def test_shards_are_read(tmp_path):
    mtf.data.write_shards(zip(X, Y), tmp_path / "shards")
    data = read_examples("x", mtf.data.from_shards(tmp_path / "shards"), 4)
    np.testing.assert_array_equal(data.x, X[np.argsort(Y, kind="stable")])
    np.testing.assert_array_equal(data.y, np.sort(Y))


@pytest.mark.parametrize("kind", [np.asarray, tf.constant, np.ndarray.tolist, keras.Variable])
def test_what_stands_for_an_array_is_one(kind):
    floats = X.astype("float32") / 255
    np.testing.assert_allclose(check_backbone_examples("x", kind(floats), plain_backbone()), floats)
    np.testing.assert_array_equal(check_labels("y", kind(Y), 12)[0], Y)


def test_fine_tune_takes_datasets_and_matches_classes_by_name(eager):
    names = ["ant", "bee", "cat", "dog"]
    train = mtf.data.ClassDataset(X, Y, names)
    # The same classes in another order, and not all: numbers alone would be wrong.
    other = train.select(["dog", "bee"])
    classifier = mtf.transfer.fine_tune(plain_backbone(), train, validation_data=other, **SHORT)
    arrays = mtf.transfer.fine_tune(
        plain_backbone(), train.examples, train.labels, validation_data=(other.examples, [3] * 3 + [1] * 3), **SHORT
    )
    assert classifier.history.history == arrays.history.history
    x = lambda argument, examples: examples  # noqa: E731
    assert check_validation(other, 4, x, 4, names)[1].tolist() == [3] * 3 + [1] * 3
    with pytest.raises(ValueError, match=r"`validation_data` must hold classes of .*Received: the classes \['owl'\]"):
        check_validation(mtf.data.ClassDataset(X, 0 * Y, ["owl"]), 4, x, 4, names)


def test_weights_in_the_data_are_sample_weights(eager):
    weights = np.linspace(0.0, 2.0, 12).astype("float32")
    tuned = [
        mtf.transfer.fine_tune(plain_backbone(), *data, **SHORT, **options)
        for data, options in (((batches(X, Y, weights),), {}), ((X, Y), {"sample_weight": weights}))
    ]
    for one, other in zip(tuned[0].get_weights(), tuned[1].get_weights()):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("method", ["supervised", "autoencoder"])
def test_pretrain_takes_batches(method, eager):
    weights = []
    for data in ((X, Y), (batches(X, Y),)):
        backbone = plain_backbone()
        mtf.transfer.pretrain(backbone, *data, method=method, **SHORT)
        weights.append(backbone.get_weights())
    for one, other in zip(*weights):
        np.testing.assert_array_equal(one, other)


def test_domain_adaptation_takes_datasets(eager):
    weights = []
    for source, target in (((X, Y), X), (batches(X, Y), mtf.data.ClassDataset(X, np.arange(12)))):
        model = MODELS["mmd"](plain_backbone())
        model.compile("sgd")
        model.fit(source, target, batch_size=6, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_numbers_of_words_stay_integers(eager):
    inputs = keras.Input((3,), dtype="int32")
    words = keras.layers.Flatten()(keras.layers.Embedding(9, 2)(inputs))
    backbone = keras.Model(inputs, keras.layers.Dense(4)(words))
    x = np.random.default_rng(0).integers(0, 9, (12, 3))
    assert mtf.transfer.extract_features(backbone, x).shape == (12, 4)
    assert mtf.transfer.fine_tune(backbone, x, Y, **SHORT).predict(x, verbose=0).shape == (12, 4)
    with pytest.raises(ValueError, match="`x` must be integers, which the network takes. Received: dtype=float64"):
        mtf.transfer.extract_features(backbone, x / 2)


# === What is refused ===

ENDLESS = r"`{0}` must have an end; `dataset.take\(batches\)`"
TO_TAKE = r"`{1}` must say how many batches of `{0}` to take, which has no end; or `dataset.take\(batches\)`"
DATA = {
    "endless": (lambda: batches(X, Y).repeat(), ENDLESS),
    "endless PyDataset": (lambda: Sequence(X, Y, endless=True), ENDLESS),
    "unbatched": (lambda: batches(X, Y).unbatch(), r"`{0}` must be batched: `dataset.batch\(64\)`"),
    "of dicts": (lambda: batches(X, Y).map(lambda x, y: {"image": x, "label": y}), "`{0}` must"),
    "empty": (lambda: batches(X, Y).take(0), "`{0}` must hold at least one batch"),
    "generator": (lambda: generator(X, Y), "`{0}.*` must be .*array.*Received: generator"),
    "dict": (lambda: {"image": X}, "`{0}.*` must be .*array.*Received: dict"),
    "text and a number": (
        lambda: ["a", float("nan"), "b"],
        "`{0}.*` must be .*floating.*dtype=string",
    ),
    "ragged": (lambda: [[1.0], [1.0, 2.0], [3.0]], "`{0}.*` must be one array, of parts of the same shape"),
    "path": (lambda: "photos", "`{0}.*` must be .*array.*Received: str"),
}
DOORS = {
    "fine_tune": ("x", lambda data: mtf.transfer.fine_tune(plain_backbone(), data, None if is_stream(data) else Y)),
    "pretrain": ("x", lambda data: mtf.transfer.pretrain(plain_backbone(), data)),
    "extract_features": ("x", lambda data: mtf.transfer.extract_features(plain_backbone(), data)),
    "target_x": ("target_x", lambda data: adapted().fit((X, Y), data)),
}


def is_stream(data):
    return isinstance(data, (tf.data.Dataset, keras.utils.PyDataset))


def adapted():
    model = MODELS["mmd"](plain_backbone())
    model.compile("sgd")
    return model


@pytest.mark.rows(
    default=["dict-pretrain", "endless PyDataset-extract_features", "path-pretrain", "ragged-extract_features"]
)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", DATA)
def test_other_kinds_are_named(door, kind):
    argument, call = DOORS[door]
    make, message = DATA[kind]
    with pytest.raises(ValueError, match=message.format(argument)):
        call(make())


@pytest.mark.parametrize("kind", ["endless", "endless PyDataset"])
@pytest.mark.parametrize("name", MODELS)
def test_validation_and_evaluation_come_to_an_end(name, kind):
    """Keras would never end."""
    model = MODELS[name](plain_backbone())
    model.compile("sgd")
    data = DATA[kind][0]()
    with pytest.raises(ValueError, match=TO_TAKE.format("validation_data", "validation_steps")):
        fit(name, model, validation_data=data)
    for method in (model.evaluate, model.predict):
        with pytest.raises(ValueError, match=TO_TAKE.format("x", "steps")):
            method(data)
    if name not in OF_DOMAINS:
        with pytest.raises(ValueError, match=TO_TAKE.format("x", "steps_per_epoch")):
            model.fit(data)


LABELS = {
    "one-hot": (np.eye(4)[Y], r"np.argmax\(y, axis=-1\).*shape \(12, 4\)"),
    "several classes": (np.eye(4)[Y] + np.eye(4)[0], r"class for each example(; an example has one class)?\. Received"),
    "a column": (Y[:, None], r"`np.squeeze\(y, axis=-1\)` makes.*shape \(12, 1\)"),
    "whole floats": (Y.astype("float32"), r"`y.astype\('int32'\)`.*float32"),
    "booleans": (Y > 1, r"`y.astype\('int32'\)`.*bool"),
    "names": (np.asarray(list("abcd"))[Y], r"np.unique\(y, return_inverse=True\)"),
    "targets": (Y + 0.5, "the number of its class for each example"),
}


@pytest.mark.rows(default=["targets", "names"])
@pytest.mark.parametrize("labels", LABELS)
def test_other_labels_are_answered_with_what_to_write(labels):
    y, message = LABELS[labels]
    calls = {
        "y": lambda: mtf.transfer.fine_tune(plain_backbone(), X, y),
        r"validation_data\[1\]": lambda: mtf.transfer.fine_tune(plain_backbone(), X, Y, validation_data=(X, y)),
        "source_y": lambda: adapted().fit((X, y), X),
        "labels": lambda: mtf.transfer.linear_probe(X.reshape(12, -1) / 255.0, y),
    }
    for argument, call in calls.items():
        with pytest.raises(ValueError, match=f"`{argument}` must be integers of shape.*{message}"):
            call()
    for name in WITH_LABELS:
        model = MODELS[name](plain_backbone())
        model.compile("sgd")
        with pytest.raises(ValueError, match=f"must be integers of shape.*{message}"):
            fit(name, model, y=y)
        with pytest.raises(ValueError, match=f"must be integers of shape.*{message}"):
            model.evaluate(X, y)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"class_weight": {0: 1.0}, "sample_weight": np.ones(12)}, "`sample_weight` must come from one place"),
        ({"class_weight": [1.0, 2.0]}, "`class_weight` must be a dict"),
        ({"class_weight": {"cat": 1.0}}, "`class_weight` must be a dict"),
        ({"sample_weight": np.ones(5)}, "`sample_weight` must have a number for each label, .*12"),
        ({"sample_weight": -np.ones(12)}, "`sample_weight` must not be negative"),
        ({"x": mtf.data.ClassDataset(X, Y)}, "`y` must be None, as `x` has the labels"),
        ({"y": None}, "`y` must be the labels of `x`"),
        ({"x": batches(X, Y), "y": Y}, "`y` must be None, as `x` has the labels"),
    ],
)
def test_weights_and_labels_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mtf.transfer.fine_tune(plain_backbone(), **{"x": X, "y": Y, **options})


# === Pixels at each door of a model ===

PIXELS = {
    "int64": (X.astype("int64"), "uint8, or floating in .*Received: dtype=int64"),
    "bool": (X > 100, "uint8, or floating in .*Received: dtype=bool"),
    "0 to 255": (X.astype("float32"), r"must be in \[0, 1\]; uint8 images"),
    "NaN": (np.full(X.shape, np.nan), "must be finite.*NaN"),
    "another size": (X[:, :2], r"must have the shape \(n, 4, 4, 1\)"),
}


@pytest.mark.rows(default=["int64-classifier", "another size-contrastive", "0 to 255-classifier", "NaN-mmd"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("pixels", PIXELS)
def test_each_door_refuses_pixels_that_the_backbone_was_not_trained_on(name, pixels):
    x, message = PIXELS[pixels]
    model = MODELS[name](plain_backbone())
    model.compile("sgd")
    before = model.get_weights()
    data = labelled(name, x, Y)
    calls = {
        "fit": lambda: fit(name, model, x=x, y=Y),
        "validation_data": lambda: fit(name, model, validation_data=data),
        "evaluate": lambda: model.evaluate(*data),
        "evaluate a dataset": lambda: model.evaluate(batches(*data)),
        "predict": lambda: model.predict(x),
        "predict a dataset": lambda: model.predict(tf.data.Dataset.from_tensor_slices(x).batch(6)),
        "predict on a batch": lambda: model.predict_on_batch(x),
        "test on a batch": lambda: model.test_on_batch(*data),
    }
    if pixels != "another size":
        calls["call"] = lambda: model(x)
    if name in (*WITHOUT_LABELS, "classifier", "unfreezing"):
        calls["fit a dataset"] = lambda: model.fit(batches(*data))
        calls["fit a generator"] = lambda: model.fit(generator(*data), steps_per_epoch=1)
        calls["fit a PyDataset"] = lambda: model.fit(Sequence(*data))
        calls["train on a batch"] = lambda: model.train_on_batch(*data)
    for door, call in calls.items():
        with pytest.raises(ValueError, match=message):
            call()
            pytest.fail(f"{door} has taken them")
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


# Keras's, of the end of data whose length it did not know.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_generator_loses_no_batch_to_the_check(eager):
    model = MODELS["classifier"](plain_backbone())
    model.compile("sgd")
    model.fit(((X[i : i + 4], Y[i : i + 4]) for i in (0, 4, 8)), verbose=0)
    assert int(model.optimizer.iterations) == 3


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("name", ["classifier", *WITHOUT_LABELS])
def test_examples_come_alone_or_in_tuples_from_a_generator(name, eager):
    model = MODELS[name](plain_backbone())
    expected = model.predict(X, verbose=0)
    for data in ((X[i : i + 4] for i in (0, 4, 8)), ([X[i : i + 4]] for i in (0, 4, 8))):
        np.testing.assert_allclose(model.predict(data, verbose=0), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"`x` must be batched: `dataset.batch\(64\)`"):
        model.predict(tf.data.Dataset.from_tensor_slices(X))


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_texts_come_from_a_generator_as_lists_and_arrays_of_strings(eager):
    texts = ["a red one", "a blue one", "red", "blue"]
    model = mtf.transfer.TransferClassifier(mtf.networks.bag_of_words(texts), 2)
    expected = model.predict(texts, verbose=0)
    for batch in (np.array(texts), np.array(texts, object)):
        np.testing.assert_allclose(model.predict((part for part in [batch]), verbose=0), expected, atol=1e-6)


def test_numbers_in_bytes_that_are_no_images_are_not_rescaled():
    backbone = mtf.networks.mlp((3,), (4,))
    x = np.ones((4, 3), "uint8")
    model = mtf.transfer.TransferClassifier(backbone, 2)
    for call in (model, model.predict, lambda x: mtf.transfer.extract_features(backbone, x)):
        with pytest.raises(ValueError, match=r"`x` must be floating; `x.astype\('float32'\)`.*dtype=uint8"):
            call(x)
