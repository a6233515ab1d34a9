"""`load`: arguments, where the data is looked for, damaged data, and the real datasets."""

import json
import random
import sys
from importlib import resources

import metalearn_tf as mtf
from metalearn_tf.data.named_datasets.load import load
from metalearn_tf.data.named_datasets.tfds_source import prepared_directory
from metalearn_tf.data.resizing import check_image_size, crop_and_resize

import numpy as np
import pytest
import tensorflow as tf

NAMES = [
    "20newsgroups",
    "caltech101",
    "cifar10",
    "cifar100",
    "cifar_fs",
    "fashion_mnist",
    "fc100",
    "glyphs",
    "mnist",
    "omniglot",
]


def write_prepared(root, name, splits, version="3.0.1", side=28):
    """Writes a small dataset as TFDS prepares it; `splits` maps a split to the labels of its examples."""
    tfds = pytest.importorskip("tensorflow_datasets")
    directory = root / name / version
    directory.mkdir(parents=True)
    names = [str(digit) for digit in range(10)]
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(side, side, 1)), "label": tfds.features.ClassLabel(names=names)}
    )
    infos = []
    for split, labels in splits.items():
        images = np.random.default_rng(len(labels)).integers(0, 256, (len(labels), side, side, 1), "uint8")
        with tf.io.TFRecordWriter(str(directory / f"{name}-{split}.tfrecord-00000-of-00001")) as writer:
            for image, label in zip(images, labels):
                example = features.encode_example({"image": image, "label": int(label)})
                writer.write(features.serialize_example(example))
        template = tfds.core.ShardedFileTemplate(
            data_dir=directory, dataset_name=name, split=split, filetype_suffix="tfrecord"
        )
        infos.append(
            tfds.core.SplitInfo(name=split, shard_lengths=[len(labels)], num_bytes=0, filename_template=template)
        )
    tfds.folder_dataset.write_metadata(data_dir=directory, features=features, split_infos=infos)
    return directory


@pytest.fixture
def small_mnist(tmp_path):
    write_prepared(tmp_path, "mnist", {"train": np.arange(200) % 10, "test": np.arange(30) % 10})
    return tmp_path


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_unknown_names_list_the_known_ones():
    for name in ("imagenet", None, ["mnist"]):
        with pytest.raises(ValueError, match="`name` must be one of") as error:
            load(name, "train")
        assert all(repr(known) in str(error.value) for known in NAMES)


def test_unknown_splits_and_options_list_the_accepted_ones(small_mnist):
    with pytest.raises(ValueError, match=r"'train', 'validation', 'test'.*Received: split='val'"):
        load("mnist", "val", data_dir=small_mnist)
    with pytest.raises(ValueError, match=r"`protocol`, `rotations`, `cache_dir`. Received: rotate"):
        load("omniglot", "train", data_dir=small_mnist, rotate=True)
    with pytest.raises(ValueError, match=r"'mnist' are: none. Received: protocol"):
        load("mnist", "train", data_dir=small_mnist, protocol="lake")
    with pytest.raises(ValueError, match=r"\('vinyals', 'lake'\). Received: protocol='mine'"):
        load("omniglot", "train", data_dir=small_mnist, protocol="mine")
    with pytest.raises(ValueError, match="`rotations` must be True or False"):
        load("omniglot", "train", data_dir=small_mnist, rotations=90)
    with pytest.raises(ValueError, match="square"):
        load("omniglot", "train", data_dir=small_mnist, rotations=True, image_size=(28, 32))


@pytest.mark.parametrize("image_size", [0, -3, 2.5, "28", (28,), (28, 28, 1), (28, 0)])
def test_image_size_is_checked(image_size):
    with pytest.raises(ValueError, match="`image_size` must be"):
        load("mnist", "train", image_size=image_size)


def test_image_size_accepts_numpy_integers_and_pairs():
    assert check_image_size(np.int64(32)) == (32, 32)
    assert check_image_size([20, 30]) == (20, 30)
    assert check_image_size(None) is None


def test_examples_are_split_as_published_and_validation_comes_out_of_train(small_mnist):
    parts = {split: load("mnist", split, data_dir=small_mnist) for split in ("train", "validation", "test")}
    assert [len(part) for part in parts.values()] == [180, 20, 30]
    assert all(part.num_classes == 10 and part.domain == "mnist" for part in parts.values())
    rows = [{image.tobytes() for image in part.examples} for part in parts.values()]
    assert len(set.union(*rows)) == 230
    again = load("mnist", "validation", data_dir=str(small_mnist))
    np.testing.assert_array_equal(again.examples, parts["validation"].examples)


def test_the_environment_names_the_folder(small_mnist, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(small_mnist))
    assert len(load("mnist", "test")) == 30


def test_any_version_is_read_and_the_newest_is_preferred(tmp_path):
    write_prepared(tmp_path, "mnist", {"test": np.arange(10)}, version="9.9.0")
    write_prepared(tmp_path, "mnist", {"test": np.arange(20) % 10}, version="9.10.0")
    (tmp_path / "mnist" / "10.0.0").mkdir()  # not prepared to the end
    assert prepared_directory("mnist", tmp_path).endswith("9.10.0")
    assert len(load("mnist", "test", data_dir=tmp_path)) == 20


def test_image_size_resizes(small_mnist):
    assert load("mnist", "test", data_dir=small_mnist, image_size=14).example_shape == (14, 14, 1)
    halved = load("mnist", "test", data_dir=small_mnist, image_size=14).examples.astype(float)
    whole = load("mnist", "test", data_dir=small_mnist).examples.astype(float)
    expected = whole.reshape(-1, 14, 2, 14, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(halved, expected, atol=0.51)


def test_crop_takes_the_middle():
    wide = np.zeros((2, 4, 10, 3), "uint8")
    wide[:, :, 3:7] = 200
    np.testing.assert_array_equal(crop_and_resize(wide, (4, 4)), np.full((2, 4, 4, 3), 200))
    np.testing.assert_array_equal(crop_and_resize(wide[0].transpose(1, 0, 2), (2, 2)), np.full((2, 2, 3), 200))
    assert crop_and_resize(wide, (8, 16)).shape == (2, 8, 16, 3)
    assert crop_and_resize(np.full((1, 50, 1), 7, "uint8"), (3, 5)).numpy().max() == 7


def test_missing_data_without_a_network_says_where_it_looked_and_what_to_do(tmp_path, monkeypatch):
    requests = pytest.importorskip("requests")

    def no_network(*args, **kwargs):
        raise requests.exceptions.ConnectionError("name resolution failed")

    monkeypatch.setattr(requests, "head", no_network)
    with pytest.raises(FileNotFoundError, match=r"download_and_prepare.*TFDS_DATA_DIR") as error:
        load("omniglot", "train", data_dir=tmp_path)
    assert str(tmp_path / "omniglot") in str(error.value)


@pytest.mark.parametrize("damage", ["short", "changed", "removed"])
def test_damaged_data_names_the_folder(small_mnist, damage):
    record = small_mnist / "mnist" / "3.0.1" / "mnist-test.tfrecord-00000-of-00001"
    content = record.read_bytes()
    if damage == "short":
        record.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        record.write_bytes(content[:500] + bytes(255 - byte for byte in content[500:510]) + content[510:])
    else:
        record.unlink()
    with pytest.raises(ValueError, match="cannot be read") as error:
        load("mnist", "test", data_dir=small_mnist)
    assert str(record.parent) in str(error.value)


def test_glyphs_are_reached_by_name(monkeypatch):
    received = []
    module = sys.modules["metalearn_tf.data.named_datasets.load"]
    monkeypatch.setattr(module, "load_glyphs", lambda *arguments: received.append(arguments))
    load("glyphs", "train", image_size=32, cache_dir="somewhere")
    load("glyphs", "test")
    assert received == [("train", 32, "somewhere"), ("test", 28, None)]
    with pytest.raises(ValueError, match="square"):
        load("glyphs", "train", image_size=(28, 32))


def test_caltech101_list_is_whole_and_keeps_views_of_one_animal_together():
    lists = json.loads(
        resources.files(mtf).joinpath("data/named_datasets/splits/caltech101.json").read_text(encoding="utf-8")
    )
    parts = [lists[split] for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [64, 16, 20]
    assert len(set().union(*parts)) == 100
    assert not set(lists["left_out"]) & set().union(*parts)
    for pair in ({"cougar_body", "cougar_face"}, {"crocodile", "crocodile_head"}, {"flamingo", "flamingo_head"}):
        assert sum(pair <= set(part) for part in parts) == 1


# The real datasets, where they are.


@pytest.mark.full
def test_omniglot_vinyals(tfds_data_dir, cache_dir):
    parts = [
        load("omniglot", split, data_dir=tfds_data_dir, cache_dir=cache_dir)
        for split in ("train", "validation", "test")
    ]
    assert [part.num_classes for part in parts] == [1100, 100, 423]
    names = sorted(name for part in parts for name in part.class_names)
    assert len(set(names)) == 1623
    random.Random(1).shuffle(names)  # the stated recipe
    assert set(names[:1100]) == set(parts[0].class_names)
    assert set(names[1200:]) == set(parts[2].class_names)
    for part in parts:
        assert part.example_shape == (28, 28, 1) and part.examples.dtype == np.uint8
        assert np.diff(part.offsets).tolist() == [20] * part.num_classes
        assert part.domain == "omniglot"
        assert all(name.startswith(f"{part.parents[name]}/character") for name in part.class_names)
        # white ink on black
        assert 5 < part.examples.mean() < 40 and part.examples.max() == 255


def test_omniglot_classes_are_the_characters(tfds_data_dir, cache_dir):
    """One character, against its drawings as TFDS gives them."""
    tfds = pytest.importorskip("tensorflow_datasets")
    dataset = load("omniglot", "test", data_dir=tfds_data_dir, protocol="lake", cache_dir=cache_dir)
    builder = tfds.builder_from_directory(prepared_directory("omniglot", tfds_data_dir))
    alphabet, number = dataset.class_names[100].split("/character")
    alphabet = builder.info.features["alphabet"].str2int(alphabet)
    data = builder.as_dataset(split="test", decoders={"image": tfds.decode.SkipDecoding()})
    data = data.filter(lambda e: e["alphabet"] == alphabet and e["alphabet_char_id"] == int(number) - 1)
    drawings = [255 - tf.io.decode_png(example["image"]).numpy()[..., :1] for example in data]
    images = crop_and_resize(np.stack(drawings), (28, 28)).numpy()
    assert {image.tobytes() for image in images} == {image.tobytes() for image in dataset.class_examples(100)}


def test_omniglot_lake(tfds_data_dir, cache_dir):
    parts = [
        load("omniglot", split, data_dir=tfds_data_dir, protocol="lake", cache_dir=cache_dir)
        for split in ("train", "validation", "test")
    ]
    assert [part.num_classes for part in parts] == [802, 162, 659]
    alphabets = [set(part.parents.values()) for part in parts]
    assert [len(part) for part in alphabets] == [25, 5, 20]
    assert len(set.union(*alphabets)) == 50
    assert {"Latin", "Greek", "Korean"} <= alphabets[0] and {"Tibetan", "Tengwar"} <= alphabets[2]


def test_omniglot_rotations_are_new_classes(tfds_data_dir, cache_dir):
    plain = load("omniglot", "validation", data_dir=tfds_data_dir, cache_dir=cache_dir)
    turned = load("omniglot", "validation", data_dir=tfds_data_dir, rotations=True, cache_dir=cache_dir)
    assert turned.num_classes == 400
    name = plain.class_names[7]
    for turns, suffix in enumerate(["", "/rot90", "/rot180", "/rot270"]):
        expected = np.rot90(plain.class_examples(name), turns, axes=(1, 2))
        np.testing.assert_array_equal(turned.class_examples(name + suffix), expected)
        assert turned.parents[name + suffix] == plain.parents[name]


def test_omniglot_comes_from_the_cache(tfds_data_dir, cache_dir, monkeypatch):
    first = load("omniglot", "validation", data_dir=tfds_data_dir, cache_dir=cache_dir)
    monkeypatch.setattr("metalearn_tf.data.named_datasets.omniglot.read_images", None)
    second = load("omniglot", "validation", data_dir=tfds_data_dir, cache_dir=cache_dir)
    np.testing.assert_array_equal(first.examples, second.examples)


@pytest.mark.rows(default=["fashion_mnist-shape1"])
@pytest.mark.parametrize(
    "name, shape", [("mnist", (28, 28, 1)), ("fashion_mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))]
)
def test_example_split_datasets(tfds_data_dir, name, shape):
    dataset = load(name, "test", data_dir=tfds_data_dir)
    assert dataset.example_shape == shape and dataset.examples.dtype == np.uint8
    # MNIST's published counts; the others have 1,000 a class
    mnist = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.diff(dataset.offsets).tolist() == (mnist if name == "mnist" else [1000] * 10)
    assert "truck" in dataset.class_names if name == "cifar10" else dataset.class_names[0] in ("0", "T-shirt/top")


@pytest.mark.full
def test_caltech101(tfds_data_dir, cache_dir):
    validation = load("caltech101", "validation", data_dir=tfds_data_dir, cache_dir=cache_dir)
    small = load("caltech101", "validation", data_dir=tfds_data_dir, image_size=(24, 32), cache_dir=cache_dir)
    assert validation.num_classes == small.num_classes == 16
    assert validation.example_shape == (84, 84, 3) and small.example_shape == (24, 32, 3)
    assert len(validation) == len(small) == 877
    assert "background_google" not in validation.class_names
