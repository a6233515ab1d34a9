"""Features against the network's own predictions, and the cache against all that they depend on."""

import functools
import logging

import metalearn_tf as mtf
from metalearn_tf.transfer.extract_features import _fingerprint

import keras
import numpy as np
import pytest

extract_features = mtf.transfer.extract_features


def conv4(**options):
    return mtf.networks.conv4((16, 16, 1), filters=4, normalization="running", **options)


@pytest.fixture
def backbone():
    return conv4()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (11, 16, 16, 1), "uint8")


@pytest.fixture
def computations(monkeypatch):
    """Counts how often features are computed."""
    module = __import__("metalearn_tf.transfer.extract_features", fromlist=["compute_features"])
    counted = []

    def compute(*arguments):
        counted.append(1)
        return original(*arguments)

    original = module.compute_features
    monkeypatch.setattr(module, "compute_features", compute)
    return counted


def predictions(backbone, images, limits=(0.0, 1.0)):
    scaled = images.astype("float32") / 255.0 * (limits[1] - limits[0]) + limits[0]
    return backbone.predict(scaled, verbose=0)


# === Features ===


@pytest.mark.parametrize("batch_size", [4, 11, 256])
def test_features_are_the_predictions_whatever_the_batches(backbone, images, batch_size):
    features = extract_features(backbone, images, batch_size=batch_size)
    assert features.shape == (11, backbone.output_shape[1]) and features.dtype == np.float32
    np.testing.assert_allclose(features, predictions(backbone, images), rtol=1e-4, atol=1e-5)


def test_uint8_images_come_to_the_range_of_the_backbone(backbone, images):
    limits = (-1.0, 1.0)
    expected = predictions(backbone, images, limits)
    scaled = images.astype("float32") / 127.5 - 1.0
    for x in (images, scaled):
        np.testing.assert_allclose(extract_features(backbone, x, image_range=limits), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"`x` must be in \[0, 1\]"):
        extract_features(backbone, scaled)


def test_the_mode_is_inference_and_nothing_is_changed(images):
    inputs = keras.Input((16, 16, 1))
    x = keras.layers.BatchNormalization()(keras.layers.Dropout(0.5)(inputs))
    backbone = keras.Model(inputs, keras.layers.Flatten()(x))
    before = backbone.get_weights()
    expected = images.reshape(11, -1) / 255.0 / np.sqrt(1.001)
    np.testing.assert_allclose(extract_features(backbone, images), expected, rtol=1e-5)
    assert all(np.array_equal(one, other) for one, other in zip(before, backbone.get_weights(), strict=True))


def test_mixed_precision_gives_float32(images):
    single = conv4()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    mixed = conv4()
    mixed.set_weights(single.get_weights())
    features = extract_features(mixed, images)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, extract_features(single, images), atol=0.1)


def test_vectors_and_texts_have_features_too():
    vectors = np.float64([[3.0, -4.0], [0.0, 100.0]])
    network = mtf.networks.mlp((2,), units=(3,))
    expected = network.predict(vectors, verbose=0)
    np.testing.assert_allclose(extract_features(network, vectors), expected, rtol=1e-5)
    words = mtf.networks.bag_of_words(["red green", "green blue"])
    assert extract_features(words, ["red", "blue", "green red"]).shape == (3, words.output_shape[1])


@pytest.mark.full
def test_networks_of_keras_applications_are_backbones():
    backbone = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg")
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), "uint8")
    features = extract_features(backbone, images, image_range=(-1.0, 1.0))
    np.testing.assert_allclose(features, predictions(backbone, images, (-1.0, 1.0)), rtol=1e-3, atol=1e-4)


def test_networks_of_keras_hub_are_backbones(tmp_path):
    keras_hub = pytest.importorskip("keras_hub", reason="needs the extra `hub`")
    trunk = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), "uint8")
    with pytest.raises(ValueError, match=r"features of shape \(batch, d\).*GlobalAveragePooling2D"):
        extract_features(trunk, images)
    backbone = keras.Model(trunk.input, keras.layers.GlobalAveragePooling2D()(trunk.output))
    for _ in range(2):
        features = extract_features(backbone, images, cache_dir=tmp_path)
        np.testing.assert_allclose(features, predictions(backbone, images), rtol=1e-3, atol=1e-4)


def test_features_that_are_not_finite_are_refused(tmp_path):
    network = mtf.networks.mlp((1,), units=(2,), activation="linear")
    network.set_weights([np.full((1, 2), 1e38, "float32"), np.zeros(2, "float32")])
    with pytest.raises(ValueError, match=r"finite features.*examples \[1, 2\]"):
        extract_features(network, [[1.0], [10.0], [-10.0]], cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("batch_size", [0, 2.5])
def test_a_batch_has_a_number_of_examples(backbone, images, batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        extract_features(backbone, images, batch_size=batch_size)


# === The cache ===


def test_the_second_run_computes_nothing(backbone, images, tmp_path, computations):
    first = extract_features(backbone, images, cache_dir=tmp_path)
    backbone.compile("adam", "mse")  # of no account for the features, as is the size of the batches
    np.testing.assert_array_equal(extract_features(backbone, images, cache_dir=tmp_path, batch_size=4), first)
    assert len(computations) == 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_a_loaded_backbone_finds_the_features_of_the_saved_one(backbone, images, tmp_path, computations):
    extract_features(backbone, images, cache_dir=tmp_path / "cache")
    backbone.save(tmp_path / "backbone.keras")
    extract_features(keras.models.load_model(tmp_path / "backbone.keras"), images, cache_dir=tmp_path / "cache")
    assert len(computations) == 1


def one_weight_changed(backbone):
    changed = conv4()
    weights = backbone.get_weights()
    weights[0].ravel()[5] += 1e-6
    changed.set_weights(weights)
    return changed


def of_another_activation(backbone):
    inputs = backbone.input
    return keras.Model(inputs, keras.layers.ReLU()(backbone(inputs)))


def in_bfloat16(backbone):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    mixed = conv4()
    mixed.set_weights(backbone.get_weights())
    return mixed


def with_other_statistics(backbone):
    changed = conv4()
    changed.set_weights(backbone.get_weights())
    changed.non_trainable_variables[0].assign(changed.non_trainable_variables[0] + 0.5)
    return changed


@pytest.mark.rows(default=["of_another_activation", "one_weight_changed"])
@pytest.mark.parametrize("change", [one_weight_changed, with_other_statistics, of_another_activation, in_bfloat16])
def test_features_of_another_network_are_never_reused(backbone, images, tmp_path, computations, change):
    extract_features(backbone, images, cache_dir=tmp_path)
    other = change(backbone)
    features = extract_features(other, images, cache_dir=tmp_path)
    np.testing.assert_array_equal(features, extract_features(other, images))
    assert len(computations) == 3 and len(list(tmp_path.iterdir())) == 2


def test_features_of_other_examples_or_another_range_are_never_reused(backbone, images, tmp_path, computations):
    scaled = images.astype("float32") / 255.0
    changed = images.copy()
    changed[3, 2, 1] ^= 1
    for x in (images, changed, images[::-1], scaled):
        extract_features(backbone, x, cache_dir=tmp_path)
    extract_features(backbone, images, cache_dir=tmp_path, image_range=(-1.0, 1.0))
    assert len(computations) == len(list(tmp_path.iterdir())) == 5


def test_texts_are_told_apart_by_their_words_and_the_network_by_its_vocabulary():
    networks = [mtf.networks.bag_of_words([words]) for words in ("red green", "red blue")]
    networks[1].set_weights(networks[0].get_weights())
    texts = [np.array(words, object) for words in (["red", "green"], ["redg", "reen"], ["red green"])]
    keys = {_fingerprint(network, x, (0, 1)) for network in networks for x in texts}
    assert len(keys) == 6


def cut_short(content):
    return content[: len(content) // 2]


def flipped(content, at):
    place = int(at * len(content))
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.rows(default=["cut", "first"])
@pytest.mark.parametrize(
    "damage",
    [cut_short, lambda content: b"", *(functools.partial(flipped, at=at) for at in (0.0, 0.4, 0.6, 0.999))],
    ids=["cut", "empty", "first", "middle", "late", "last"],
)
def test_a_damaged_file_is_reported_and_made_again(backbone, images, tmp_path, computations, damage, caplog):
    expected = extract_features(backbone, images, cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    with caplog.at_level(logging.WARNING):
        features = extract_features(backbone, images, cache_dir=tmp_path)
    if len(computations) == 2:
        assert str(path) in caplog.text
        assert path.read_bytes()[-100:] == content[-100:]
    np.testing.assert_array_equal(features, expected)
    assert len(computations) == 2 or damage.keywords["at"] == 0.999


def test_a_run_that_is_stopped_leaves_no_half_of_a_file(backbone, images, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt()))
        extract_features(backbone, images, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


# === As a dataset ===


def test_a_dataset_keeps_its_order_names_and_tree(backbone, toy_dataset):
    parents = {name: f"parent {int(name) % 3}" for name in toy_dataset.class_names}
    dataset = mtf.data.ClassDataset(
        toy_dataset.examples, toy_dataset.labels, toy_dataset.class_names, parents, domain="toys"
    )
    features = mtf.transfer.feature_dataset(backbone, dataset)
    np.testing.assert_array_equal(features.examples, extract_features(backbone, dataset))
    np.testing.assert_array_equal(features.labels, dataset.labels)
    assert (features.class_names, features.parents, features.domain) == (dataset.class_names, parents, "toys")
    with pytest.raises(ValueError, match="`dataset` must be a `ClassDataset`. Received: ndarray"):
        mtf.transfer.feature_dataset(backbone, dataset.examples)


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("algorithm", ["PrototypicalNetwork", "MAML"])
def test_meta_learners_train_on_features(backbone, toy_dataset, algorithm):
    features = mtf.transfer.feature_dataset(backbone, toy_dataset)
    outputs = 3 if algorithm == "MAML" else None
    network = mtf.networks.mlp(features.example_shape, units=(8,), outputs=outputs)
    learner = getattr(mtf.learners, algorithm)(network)
    learner.compile()
    before = learner.get_weights()
    history = learner.fit(mtf.data.episodes(features, 3, 2, 2, 4), steps_per_epoch=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert any(not np.array_equal(one, other) for one, other in zip(learner.get_weights(), before, strict=True))
