"""Exported classifiers and feature extractors answer without Python as they do with it, for pixels and for files."""

import io

import metalearn_tf as mtf
from metalearn_tf.serving import export_classifier, export_features, export_gan, export_meta_gan

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

NAMES = ["cat", "dög", "snow owl"]
SHAPE = (12, 12, 3)


def backbone(shape=SHAPE, features=5):
    inputs = keras.Input(shape)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=2)(inputs))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(features, dtype="float32")(x), name="backbone")


def classifier(last="softmax", shape=SHAPE):
    body = backbone(shape)
    inputs = keras.Input(shape)
    x = keras.layers.Dense(3, activation="softmax" if last == "softmax" else None, dtype="float32")(body(inputs))
    x = keras.layers.Softmax()(x) if last == "layer" else x
    model = keras.Model(inputs, x, name="classifier")
    # No weight stays at zero or one, so that each makes a difference.
    random = np.random.default_rng(1)
    model.set_weights([weight + random.uniform(0.0, 0.5, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def images():
    """uint8 images, and a PNG file of each."""
    images = np.random.default_rng(0).integers(0, 256, (6, *SHAPE), dtype="uint8")
    files = [io.BytesIO() for _ in images]
    for image, file in zip(images, files):
        Image.fromarray(image).save(file, "PNG")
    return images, np.asarray([file.getvalue() for file in files], dtype=object)


@pytest.mark.full
def test_a_classifier_answers_without_python(images, cpp_client, tmp_path):
    (pixels, files), model, limits = images, classifier(), (-1.0, 1.0)
    path = tmp_path / "1"
    export_classifier(
        model, path, class_names=NAMES, description="Trained on noise.", warm_up=False, image_range=limits
    )
    pixels = (pixels / 127.5 - 1.0).astype("float32")
    expected = model.predict(pixels, verbose=0)

    of_pixels, default, of_files, large, damaged, not_finite, empty, narrow = cpp_client.ask(
        path,
        [
            ("predict", {"images": pixels}),
            ("serving_default", {"images": pixels[:1]}),
            ("predict_bytes", {"image_bytes": files}),
            ("predict", {"images": pixels * 127.5}),
            ("predict_bytes", {"image_bytes": np.asarray([files[0][:200]], dtype=object)}),
            ("predict", {"images": np.where(pixels > 0.9, np.nan, pixels).astype("float32")}),
            ("predict", {"images": pixels[:0]}),
            ("predict", {"images": pixels[:, :, :8]}),
        ],
        threads=2,
        repeat=2,
    )
    np.testing.assert_allclose(of_pixels.outputs["probabilities"], expected, atol=1e-5)
    np.testing.assert_allclose(of_files.outputs["probabilities"], expected, atol=1e-5)
    np.testing.assert_allclose(default.outputs["probabilities"], expected[:1], atol=1e-5)
    assert of_pixels.outputs["labels"].dtype == np.int32
    np.testing.assert_array_equal(of_pixels.outputs["labels"], expected.argmax(axis=1))
    assert np.ptp(expected, axis=0).max() > 1e-3
    assert "`images` must be in [-1, 1]" in large.error
    assert "image_bytes_decode_png" in damaged.error
    assert "`images` must be finite" in not_finite.error
    assert "`images` must hold at least one image" in empty.error
    assert "images" in narrow.error


@pytest.mark.full
def test_features_come_without_python(images, cpp_client, tmp_path):
    (pixels, files), model = images, backbone()
    export_features(model, tmp_path / "1", warm_up=False)
    pixels = (pixels / 255.0).astype("float32")
    of_pixels, of_files, refused = cpp_client.ask(
        tmp_path / "1",
        [
            ("serving_default", {"images": pixels}),
            ("embed_bytes", {"image_bytes": files}),
            ("embed", {"images": pixels - 0.5}),
        ],
    )
    for answer in (of_pixels, of_files):
        assert answer.outputs["embeddings"].dtype == np.float32
        np.testing.assert_allclose(answer.outputs["embeddings"], model.predict(pixels, verbose=0), atol=1e-5)
    assert "`images` must be in [0, 1]" in refused.error


@pytest.mark.rows(default=["mixed_bfloat16-layer"])
@pytest.mark.parametrize("last", ["softmax", "layer", "logits"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_probabilities_are_those_of_the_model(last, policy, images, tmp_path):
    keras.mixed_precision.set_global_policy(policy)
    model, pixels = classifier(last), (images[0] / 255.0).astype("float32")
    export_classifier(model, tmp_path / "1", warm_up=False)
    answer = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"](tf.constant(pixels))
    expected = tf.cast(model(pixels), tf.float32)
    expected = tf.nn.softmax(expected) if last == "logits" else expected
    assert answer["probabilities"].dtype == tf.float32 and answer["labels"].dtype == tf.int32
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5 if policy == "float32" else 2e-2)
    np.testing.assert_allclose(tf.reduce_sum(answer["probabilities"], axis=1), 1.0, rtol=1e-2)


def test_a_fine_tuned_model_exports_itself(images, tmp_path):
    model = mtf.transfer.TransferClassifier(backbone(), classes=3, image_range=(-1.0, 1.0))
    model.export(tmp_path / "1", class_names=NAMES, warm_up=False)
    pixels = (images[0] / 127.5 - 1.0).astype("float32")
    answer = tf.saved_model.load(str(tmp_path / "1")).signatures["predict"](tf.constant(pixels))
    np.testing.assert_allclose(answer["probabilities"], model.predict(images[0], verbose=0), atol=1e-5)


@pytest.mark.full
def test_class_names_are_in_the_assets_and_in_the_card(tmp_path):
    export_classifier(classifier(), tmp_path / "1", class_names=NAMES, description="Trained on noise.", warm_up=False)
    assert (tmp_path / "1" / "assets" / "class_names.txt").read_text(encoding="utf-8").splitlines() == NAMES
    card = (tmp_path / "1" / "model_card.md").read_text(encoding="utf-8")
    assert "0 cat, 1 dög, 2 snow owl" in card and "Trained on noise." in card
    assert "`predict_bytes`" in card and "**[0, 1]**" in card and "3 classes" in card
    assert "`images` (n, 12, 12, 3) float32" in card and "`labels` (n,) int32" in card

    export_classifier(classifier(), tmp_path / "2", warm_up=False)
    assert not list((tmp_path / "2" / "assets").iterdir())
    assert "Labels are 0 to 2." in (tmp_path / "2" / "model_card.md").read_text()


def test_images_that_no_file_holds_have_no_signature_for_files(tmp_path):
    export_features(backbone((12, 12, 4)), tmp_path / "1", warm_up=False)
    assert set(tf.saved_model.load(str(tmp_path / "1")).signatures) == {"serving_default", "embed"}
    assert "bytes" not in (tmp_path / "1" / "model_card.md").read_text()


def test_images_of_any_size(tmp_path):
    model = backbone((None, None, 3))
    export_features(model, tmp_path / "1", warm_up=False)
    pixels = np.random.default_rng(0).random((2, 9, 17, 3), dtype="float32")
    answer = tf.saved_model.load(str(tmp_path / "1")).signatures["embed"](tf.constant(pixels))
    np.testing.assert_allclose(answer["embeddings"], model(pixels), atol=1e-5)


@pytest.mark.full
def test_warm_up_requests_are_answered(tmp_path):
    pytest.importorskip("tensorflow_serving", reason="needs the extra `serving`")
    from tensorflow_serving.apis import prediction_log_pb2

    export_classifier(classifier(), tmp_path / "1", warm_up=True, image_range=(-1.0, 1.0))
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    file = str(tmp_path / "1" / "assets.extra" / "tf_serving_warmup_requests")
    asked = set()
    for record in tf.data.TFRecordDataset(file):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        assert signatures[request.model_spec.signature_name](**inputs)["probabilities"].shape == (2, 3)
        asked.add(request.model_spec.signature_name)
    assert asked == set(signatures)


# === Refusals ===


@pytest.mark.parametrize("export", [export_classifier, export_features, export_gan, export_meta_gan])
def test_a_path_that_exists_is_refused_before_any_work(export, tmp_path):
    class Untouchable:
        """The error comes before any work on the model."""

    with pytest.raises(FileExistsError, match="`path` must not exist"):
        export(Untouchable(), tmp_path)
    with pytest.raises(ValueError, match="`description` must be text. Received: int"):
        export(Untouchable(), tmp_path / "1", description=3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "names", [["cat", "dog"], ["cat", "cat", "owl"], ["cat", "dog\n", "owl"], ["cat", "", "owl"], [0, 1, 2], "cat"]
)
def test_names_that_are_not_one_for_each_class_are_refused(names, tmp_path):
    with pytest.raises(ValueError, match="`class_names` must (hold one distinct name|be names of one line each)"):
        export_classifier(classifier(), tmp_path / "1", class_names=names)


@pytest.mark.parametrize("limits", [(1.0, 0.0), (0.0,), (0.0, float("inf"))])
def test_other_ranges_are_refused(limits, tmp_path):
    with pytest.raises(ValueError, match="`image_range` must be the lowest and the highest value"):
        export_features(backbone(), tmp_path / "1", image_range=limits)


def refused_models():
    vectors = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    maps = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(3, 3)])
    return {
        "no model": (np.zeros(3), "`model` must be a built keras.Model"),
        "not built": (keras.Sequential([keras.layers.Dense(3)]), "`model` must be a built keras.Model"),
        "vectors": (vectors, "`model` must take images .*Received: input shape .None, 4."),
        "feature maps": (maps, "`model` must take images .*output shape .None, 10, 10, 3."),
        "one output": (backbone(features=1), "`model` must have two outputs or more"),
        "sigmoid": (
            keras.Sequential([backbone(), keras.layers.Dense(3, activation="sigmoid")]),
            "`model` must end with a softmax, or .*Received: the last layer .*'sigmoid'",
        ),
    }


@pytest.mark.parametrize("kind", ["no model", "not built", "vectors", "feature maps", "one output", "sigmoid"])
def test_what_is_no_classifier_of_images_is_refused(kind, tmp_path):
    model, message = refused_models()[kind]
    with pytest.raises(ValueError, match=message):
        export_classifier(model, tmp_path / "1")
    assert not list(tmp_path.iterdir())


def test_a_subclassed_model_of_unknown_end_is_refused(tmp_path):
    class Classifier(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = backbone()
            self.built = True

        input_shape, output_shape = (None, *SHAPE), (None, 3)

    with pytest.raises(ValueError, match="`model` must end with a softmax"):
        export_classifier(Classifier(), tmp_path / "1")


def test_the_names_are_public():
    assert mtf.serving.export_classifier is export_classifier and mtf.serving.export_features is export_features
