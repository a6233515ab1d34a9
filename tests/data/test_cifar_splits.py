"""CIFAR-FS and FC100: the published lists, and the loading on a small archive in CIFAR-100's own format."""

import json
from importlib import resources

import metalearn_tf as mtf
from metalearn_tf.data.named_datasets.load import load

import numpy as np
import pytest
import tensorflow as tf


def words(text):
    return text.split()


FINE = words("""apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower
sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm""")
COARSE = words("""aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes
large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1
vehicles_2""")
# CIFAR-100's superclass of each class, and the superclasses of FC100's splits in the numbers of its authors' script.
COARSE_OF_FINE = [
    *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15),
    *(0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17),
    *(10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19),
    *(18, 1, 2, 15, 6, 0, 17, 8, 14, 13),
]
FC100 = {
    "train": {1, 2, 3, 4, 5, 6, 9, 10, 15, 17, 18, 19},
    "validation": {8, 11, 13, 16},
    "test": {0, 7, 12, 14},
}
SPLITS = ("train", "validation", "test")
PER_CLASS = {"train": 10, "test": 2}


def split_lists(name):
    return json.loads(
        resources.files(mtf).joinpath(f"data/named_datasets/splits/{name}.json").read_text(encoding="utf-8")
    )


def archive_arrays(split):
    """Labels and images of the small archive: the class number is in the first pixel."""
    random = np.random.default_rng(0 if split == "train" else 1)
    fine = random.permutation(np.repeat(np.arange(100), PER_CLASS[split]))
    images = random.integers(0, 256, (len(fine), 32, 32, 3), "uint8")
    images[:, 0, 0, 0] = fine
    return fine, images


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """A folder as the extracted `cifar-100-binary.tar.gz`, with fewer images."""
    folder = tmp_path_factory.mktemp("archive") / "cifar-100-binary"
    folder.mkdir()
    (folder / "fine_label_names.txt").write_text("\n".join(FINE) + "\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(COARSE) + "\n")
    for split in PER_CLASS:
        fine, images = archive_arrays(split)
        with open(folder / f"{split}.bin", "wb") as file:
            for label, image in zip(fine, images):
                file.write(bytes([COARSE_OF_FINE[label], label]) + image.transpose(2, 0, 1).tobytes())
    return folder.parent


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """The same images as TFDS's `cifar100` keeps them when it has prepared them."""
    tfds = pytest.importorskip("tensorflow_datasets")
    root = tmp_path_factory.mktemp("tfds")
    directory = root / "cifar100" / "3.0.2"
    directory.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(names=FINE),
            "coarse_label": tfds.features.ClassLabel(names=COARSE),
        }
    )
    infos = []
    for split in PER_CLASS:
        with tf.io.TFRecordWriter(str(directory / f"cifar100-{split}.tfrecord-00000-of-00001")) as writer:
            for index, (label, image) in enumerate(zip(*archive_arrays(split))):
                example = {"id": f"{split}_{index}", "image": image, "label": int(label)}
                example["coarse_label"] = COARSE_OF_FINE[label]
                writer.write(features.serialize_example(features.encode_example(example)))
        template = tfds.core.ShardedFileTemplate(
            data_dir=directory, dataset_name="cifar100", split=split, filetype_suffix="tfrecord"
        )
        lengths = [100 * PER_CLASS[split]]
        infos.append(tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=0, filename_template=template))
    tfds.folder_dataset.write_metadata(data_dir=directory, features=features, split_infos=infos)
    return root


@pytest.mark.parametrize("name, counts", [("cifar_fs", [64, 16, 20]), ("fc100", [60, 20, 20])])
def test_lists_divide_the_hundred_classes(name, counts):
    parts = [split_lists(name)[split] for split in SPLITS]
    assert [len(part) for part in parts] == counts
    assert sorted(name for part in parts for name in part) == FINE


def test_cifar_fs_has_the_published_classes():
    """The authors' lists, as two public repositories give them (see the file's `sources`)."""
    lists = split_lists("cifar_fs")
    validation = """otter motorcycle television lamp crocodile shark butterfly beaver beetle tractor flatfish maple_tree
        camel crab sea cattle"""
    test = """baby bed bicycle chimpanzee fox leopard man pickup_truck plain poppy rocket rose snail sweet_pepper table
        telephone wardrobe whale woman worm"""
    assert lists["validation"] == sorted(words(validation))
    assert lists["test"] == sorted(words(test))


@pytest.mark.parametrize("split", SPLITS)
def test_fc100_has_the_published_superclasses(split):
    lists = split_lists("fc100")
    assert set(lists["superclasses"][split]) == {COARSE[number] for number in FC100[split]}
    expected = [name for name, superclass in zip(FINE, COARSE_OF_FINE) if superclass in FC100[split]]
    assert lists[split] == expected


@pytest.mark.rows(default=["validation-cifar_fs", "test-fc100", "test-cifar_fs"])
@pytest.mark.parametrize("name", ["cifar_fs", "fc100"])
@pytest.mark.parametrize("split", SPLITS)
def test_benchmarks_hold_all_images_of_their_classes(data_dir, name, split):
    dataset = load(name, split, data_dir=data_dir)
    assert dataset.class_names == split_lists(name)[split]
    assert dataset.examples.dtype == np.uint8 and dataset.example_shape == (32, 32, 3)
    assert np.diff(dataset.offsets).tolist() == [12] * dataset.num_classes  # of both published splits
    numbers = [FINE.index(dataset.class_names[label]) for label in dataset.labels]
    assert dataset.examples[:, 0, 0, 0].tolist() == numbers
    assert dataset.parents == {c: COARSE[COARSE_OF_FINE[FINE.index(c)]] for c in dataset.class_names}
    assert dataset.domain == name


def test_fc100_has_no_superclass_in_two_splits(data_dir):
    parents = [set(load("fc100", split, data_dir=data_dir).parents.values()) for split in SPLITS]
    assert [len(part) for part in parents] == [12, 4, 4]
    assert len(set.union(*parents)) == 20


def test_cifar100_is_split_by_example_with_superclasses(data_dir):
    parts = {split: load("cifar100", split, data_dir=data_dir) for split in SPLITS}
    assert [len(part) for part in parts.values()] == [900, 100, 200]
    for part in parts.values():
        assert part.class_names == FINE and len(set(part.parents.values())) == 20
    images = archive_arrays("test")[1]
    assert {image.tobytes() for image in parts["test"].examples} == {image.tobytes() for image in images}
    together = {image.tobytes() for split in ("train", "validation") for image in parts[split].examples}
    assert together == {image.tobytes() for image in archive_arrays("train")[1]}


def test_image_size(data_dir):
    assert load("cifar_fs", "validation", data_dir=data_dir, image_size=20).example_shape == (20, 20, 3)


def test_an_archive_of_the_original_format_is_prepared_and_read(archive, data_dir, tmp_path, monkeypatch):
    """TFDS's own builder reads the archive; only the download is left out."""
    pytest.importorskip("importlib_resources", reason="TensorFlow Datasets needs it for preparing")
    tfds = pytest.importorskip("tensorflow_datasets")
    requests = pytest.importorskip("requests")
    monkeypatch.setattr(requests, "head", lambda *args, **kwargs: None)
    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", lambda self, url: str(archive))
    prepared = load("fc100", "test", data_dir=tmp_path)
    reference = load("fc100", "test", data_dir=data_dir)
    assert prepared.class_names == reference.class_names and prepared.parents == reference.parents
    for name in prepared.class_names:
        images = [{image.tobytes() for image in d.class_examples(name)} for d in (prepared, reference)]
        assert images[0] == images[1] and len(images[0]) == 12


def test_data_without_some_classes_is_refused(tmp_path, data_dir):
    """CIFAR-100's folder with the label names of something else."""
    source = data_dir / "cifar100" / "3.0.2"
    target = tmp_path / "cifar100" / "3.0.2"
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    (target / "label.labels.txt").write_text("\n".join(f"class_{number}" for number in range(100)) + "\n")
    with pytest.raises(ValueError, match="does not have the classes"):
        load("cifar_fs", "test", data_dir=tmp_path)
