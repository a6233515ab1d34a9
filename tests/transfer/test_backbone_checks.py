"""What the functions of transfer take, and what they refuse."""

import metalearn_tf as mtf
from metalearn_tf.transfer.backbone_checks import check_backbone, check_backbone_examples

import keras
import numpy as np
import pytest


@pytest.fixture
def backbone():
    return mtf.networks.conv4((16, 16, 3), filters=2)


def feature_map():
    return mtf.networks.conv4((16, 16, 3), filters=2, feature_map=True)


def two_inputs():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    return keras.Model(inputs, keras.layers.Add()(inputs))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: "conv4", "`backbone` must be a keras.Model. Received: str"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "`backbone` must be built"),
        (feature_map, r"features of shape \(batch, d\).*GlobalAveragePooling2D.*Received"),
        (two_inputs, r"one input and one output.*\[\(None, 3\), \(None, 3\)\]"),
    ],
)
def test_what_is_no_backbone_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        check_backbone(make())


@pytest.mark.parametrize(
    "make",
    [
        lambda: mtf.networks.conv4((16, 16, 3), filters=2, normalization="running"),
        lambda: mtf.networks.mlp((5,)),
        lambda: mtf.networks.bag_of_words(["a word"]),
    ],
)
def test_networks_of_features_pass(make):
    check_backbone(make())


def test_uint8_images_stay_and_floating_ones_become_float32(backbone):
    images = np.zeros((2, 16, 16, 3), "uint8")
    assert check_backbone_examples("x", images, backbone) is images
    assert check_backbone_examples("x", images.astype("float64"), backbone, (-1, 1)).dtype == np.float32


def test_vectors_and_texts_have_no_range():
    vectors = np.float64([[-300.0, 7.0]])
    checked = check_backbone_examples("x", vectors, mtf.networks.mlp((2,)))
    assert checked.dtype == np.float32 and checked.tolist() == vectors.tolist()
    texts = check_backbone_examples("x", ["one", "two"], mtf.networks.bag_of_words(["one"]))
    assert texts.dtype == object and texts.tolist() == ["one", "two"]


def images(shape=(2, 16, 16, 3), value=0.0, dtype="float32"):
    return np.full(shape, value, dtype)


@pytest.mark.parametrize(
    "x, message",
    [
        (images((2, 8, 9, 3)), r"\(n, 16, 16, 3\).*image_size=\(16, 16\).*Received: shape \(2, 8, 9, 3\)"),
        (images((2, 16, 16, 1)), r"\(n, 16, 16, 3\) that the network takes. Received: shape \(2, 16, 16, 1\)"),
        (images((16, 16, 3)), r"Received: shape \(16, 16, 3\)"),
        (images((0, 16, 16, 3)), "at least one example"),
        (images(value=-0.5), r"`x` must be in \[0, 1\].*-0.5"),
        (images(value=200.0), r"`x` must be in \[0, 1\]; uint8.*200"),
        (images(value=np.nan), "`x` must be finite.*NaN"),
        (images(dtype="int64"), "uint8, or floating.*int64"),
    ],
)
def test_images_of_another_size_or_range_are_refused(backbone, x, message):
    with pytest.raises(ValueError, match=message):
        check_backbone_examples("x", x, backbone)


@pytest.mark.parametrize("limits", [(1, 0), (0, np.inf), (0, np.nan), (1,)])
def test_a_range_that_is_none_is_refused(backbone, limits):
    with pytest.raises(ValueError, match="`image_range`"):
        check_backbone_examples("x", images(), backbone, limits)


@pytest.mark.parametrize("x, message", [([[1, 2]], "floating.*int64"), ([[1.0, np.inf]], "finite")])
def test_vectors_must_be_finite_and_floating(x, message):
    with pytest.raises(ValueError, match=message):
        check_backbone_examples("x", x, mtf.networks.mlp((2,)))


def test_texts_must_be_strings():
    with pytest.raises(ValueError, match="strings"):
        check_backbone_examples("x", [1.0], mtf.networks.bag_of_words(["one"]))


@pytest.mark.parametrize("normalization", ["transductive", "support"])
def test_features_that_depend_on_the_batch_are_refused_where_there_is_no_task(normalization):
    network = mtf.networks.conv4((16, 16, 3), filters=2, normalization=normalization)
    backbone = keras.Model(network.input, keras.layers.Dense(2)(network.output))
    x, y = np.zeros((4, 16, 16, 3), "uint8"), np.arange(4) % 2
    transfer, dataset = mtf.transfer, mtf.data.ClassDataset(x, y)
    calls = {
        "fine_tune": lambda: transfer.fine_tune(backbone, x, y),
        "pretrain": lambda: transfer.pretrain(backbone, x, y),
        "extract_features": lambda: transfer.extract_features(backbone, x),
        "feature_dataset": lambda: transfer.feature_dataset(backbone, dataset),
        "TransferClassifier": lambda: transfer.TransferClassifier(backbone, 2),
        "DomainAdaptation": lambda: transfer.DomainAdaptation(backbone, 2),
        "ContrastiveModel": lambda: transfer.ContrastiveModel(backbone),
        "DenoisingAutoencoder": lambda: transfer.DenoisingAutoencoder(backbone),
        "export_features": lambda: mtf.serving.export_features(backbone, "nowhere"),
        "export_classifier": lambda: mtf.serving.export_classifier(backbone, "nowhere"),
    }
    message = rf"must give each example.*with_task_normalization\(network, \"running\"\)`.*'{normalization}'"
    for call in calls.values():
        with pytest.raises(ValueError, match=message):
            call()
    # Those of a task are normalised together by intent.
    transfer.Baseline(network)
    transfer.BaselinePlusPlus(network)
