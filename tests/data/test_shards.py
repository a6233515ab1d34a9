"""Shards: the same episodes as from memory, parts without copies, and damage that is told from the file's name."""

import tracemalloc

import metalearn_tf as mtf

import numpy as np
import pytest
import tensorflow as tf

PARENTS = {"ant": "insect", "bee": "insect", "cat": "mammal", "insect": "animal", "mammal": "animal"}


@pytest.fixture
def photos():
    images = np.random.default_rng(0).integers(0, 256, (30, 5, 4, 3), dtype="uint8")
    labels = np.random.default_rng(1).permutation(np.repeat([7, -1, 3], 10))
    return images, labels, mtf.data.ClassDataset(images, labels, ["ant", "bee", "cat"], PARENTS, "photos")


@pytest.fixture
def directory(photos, tmp_path):
    images, labels, _ = photos
    folder = tmp_path / "shards"
    mtf.data.write_shards(zip(images, labels), folder, ["ant", "bee", "cat"], PARENTS, "photos", shard_bytes=500)
    return folder


def assert_same_episodes(one, other, **options):
    options = {"ways": 2, "shots": 1, "queries": 3, "tasks_per_batch": 5, "seed": 1, **options}
    batches = (mtf.data.episodes(dataset, **options).take(2).as_numpy_iterator() for dataset in (one, other))
    for a, b in zip(*batches, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


@pytest.mark.full
def test_episodes_are_those_of_the_dataset_in_memory(photos, directory):
    dataset = mtf.data.from_shards(directory)
    assert len(list(directory.glob("*.bin"))) == 4  # 8 images of 60 bytes in each
    assert (dataset.num_classes, len(dataset), dataset.example_shape, dataset.dtype) == (3, 30, (5, 4, 3), np.uint8)
    assert (dataset.class_names, dataset.parents, dataset.domain) == (["ant", "bee", "cat"], PARENTS, "photos")
    assert_same_episodes(dataset, photos[2])
    assert_same_episodes(dataset, photos[2], ways=(2, 3), shots=(1, 4), uneven_shots=True)
    assert_same_episodes([dataset, photos[2]], [photos[2], dataset], proportions=[1, 2])


@pytest.mark.full
def test_parts_are_those_of_the_dataset_in_memory(photos, directory):
    dataset = mtf.data.from_shards(directory)
    assert_same_episodes(dataset.select(["cat", "ant"]), photos[2].select(["cat", "ant"]))
    for one, other in zip(dataset.split([0.34, 0.66], seed=2), photos[2].split([0.34, 0.66], seed=2)):
        assert (one.class_names, one.parents) == (other.class_names, other.parents)
    for one, other in zip(dataset.split_examples([0.5, 0.5]), photos[2].split_examples([0.5, 0.5])):
        assert_same_episodes(one, other)


def test_a_class_dataset_is_written_with_its_names(photos, tmp_path):
    mtf.data.write_shards(photos[2], tmp_path / "shards")
    dataset = mtf.data.from_shards(tmp_path / "shards")
    assert (dataset.class_names, dataset.parents, dataset.domain) == (["ant", "bee", "cat"], PARENTS, "photos")
    assert_same_episodes(dataset, photos[2])


def test_floating_vectors_keep_their_values(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((vectors, np.repeat([0, 1, 2], 4)))
    mtf.data.write_shards(data.as_numpy_iterator(), tmp_path / "shards")
    memory = mtf.data.ClassDataset(vectors, np.repeat([0, 1, 2], 4))
    assert_same_episodes(mtf.data.from_shards(tmp_path / "shards"), memory, queries=2)


def test_a_missing_or_short_shard_is_named(directory):
    shard = directory / "shard-00002.bin"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match="shard-00002.bin' must have 480 bytes; .*Received: 479 bytes"):
        mtf.data.from_shards(directory)
    shard.unlink()
    with pytest.raises(ValueError, match="shard-00002.bin' must have 480 bytes; .*Received: no such file"):
        mtf.data.from_shards(directory)


@pytest.mark.parametrize("damage, message", [("flip", "is damaged at example"), ("cut", "is cut short")])
def test_a_shard_damaged_later_is_named_when_it_is_read(directory, damage, message):
    dataset = mtf.data.from_shards(directory)
    for shard in directory.glob("*.bin"):
        content = np.frombuffer(shard.read_bytes(), "uint8").copy()
        content[::10] ^= 1
        shard.write_bytes(content.tobytes() if damage == "flip" else b"")
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"shard-0000\d.bin' {message}"):
        next(iter(mtf.data.episodes(dataset, 2, 1, 1)))


def test_a_damaged_or_missing_index_is_named(directory):
    index = directory / "index.npz"
    content = index.read_bytes()
    place = content.index(b"classes.npy") + 200  # in the numbers of the array
    flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    for damaged in (content[: len(content) // 2], b"", flipped):
        index.write_bytes(damaged)
        with pytest.raises(ValueError, match="The index .*index.npz' is damaged"):
            mtf.data.from_shards(directory)
    index.unlink()
    with pytest.raises(ValueError, match="`directory` must hold shards.*Received: no file .*index.npz"):
        mtf.data.from_shards(directory)


@pytest.mark.parametrize(
    "examples, error, message",
    [
        ([], ValueError, "`examples` must hold at least one"),
        ([("text", 0)], TypeError, "`examples` must be uint8 or floating; .*strings"),
        ([(np.zeros(2, "int64"), 0)], TypeError, "`examples` must be uint8, floating"),
        ([(np.array([0.0, np.nan]), 0)], ValueError, "`examples` must be finite"),
        ([(np.zeros(2), 0), (np.zeros(3), 0)], ValueError, r"of one shape and dtype, \(2,\) float32.*as number 1"),
        ([(np.zeros(2), 0.5)], TypeError, "Labels must be integers. Received: 0.5 as number 0"),
        ([(np.zeros(2), "a")], TypeError, "Labels must be integers. Received: 'a' as number 0"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, examples, error, message):
    with pytest.raises(error, match=message):
        mtf.data.write_shards(examples, tmp_path / "shards")
    with pytest.raises(ValueError, match="Received: no file"):
        mtf.data.from_shards(tmp_path / "shards")


def test_a_folder_in_use_is_not_written_to(directory):
    with pytest.raises(ValueError, match="`directory` must be empty or new. Received: "):
        mtf.data.write_shards([(np.zeros(2), 0)], directory)


def test_examples_of_a_stream_are_never_in_memory_together(tmp_path):
    """500 of 10 kB: neither writing nor opening nor taking parts holds a tenth of them."""
    stream = ((np.full(10_000, number % 251, "uint8"), number % 5) for number in range(500))
    tracemalloc.start()
    try:
        mtf.data.write_shards(stream, tmp_path / "shards", shard_bytes=95_000)
        dataset = mtf.data.from_shards(tmp_path / "shards")
        dataset.split([0.6, 0.4]), dataset.split_examples([0.5, 0.5]), dataset.select([3, 1])
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    sizes = sorted(shard.stat().st_size for shard in (tmp_path / "shards").glob("*.bin"))
    assert sizes[-1] == 90_000 and sum(sizes) == 500 * 10_000
