"""Tasks of images: of one class or one domain, in the range of GANs, the same on every machine."""

import metalearn_tf as mtf

import numpy as np
import pytest


@pytest.fixture
def dataset():
    """Four classes of six images; a pixel says which class and which example."""
    images = np.zeros([24, 4, 4, 1], "uint8")
    images[:, 0, 0, 0] = 50 * (np.arange(24) // 6)
    images[:, 1, 1, 0] = np.arange(24)
    return mtf.data.ClassDataset(images, np.arange(24) // 6, domain="marks")


def first(tasks):
    return next(iter(tasks))


def test_a_task_is_different_images_of_one_class_in_the_range_of_gans(dataset):
    tasks = first(mtf.data.image_tasks(dataset, shots=5, tasks_per_batch=16)).numpy()
    assert tasks.shape == (16, 5, 4, 4, 1) and tasks.dtype == np.float32
    pixels = np.rint((tasks + 1) * 127.5).astype(int)
    assert all(len(set(task[:, 0, 0, 0])) == 1 for task in pixels)
    assert all(len(set(task[:, 1, 1, 0])) == 5 for task in pixels)
    assert len({task[0, 0, 0, 0] for task in pixels}) == 4
    assert tasks.min() == -1.0 and tasks.max() <= 1.0


def test_queries_are_others_of_the_same_class(dataset):
    images, queries = first(mtf.data.image_tasks(dataset, shots=4, queries=2, tasks_per_batch=8))
    assert images.shape == (8, 4, 4, 4, 1) and queries.shape == (8, 2, 4, 4, 1)
    for task, others in zip(images.numpy(), queries.numpy()):
        assert set(task[:, 0, 0, 0]) == set(others[:, 0, 0, 0])
        assert not set(task[:, 1, 1, 0]) & set(others[:, 1, 1, 0])


def test_a_task_per_domain_mixes_the_classes_of_one_domain(dataset):
    other = mtf.data.ClassDataset(255 - dataset.examples, dataset.labels, domain="inverse")
    tasks = first(mtf.data.image_tasks([dataset, other], 12, tasks_per_batch=8, per="domain")).numpy()
    corner = tasks[:, :, 3, 3, 0]  # black in one domain, white in the other
    assert all(len(set(task)) == 1 for task in corner) and len(set(corner[:, 0])) == 2
    assert any(len(set(task[:, 0, 0, 0])) > 1 for task in tasks)


@pytest.mark.rows(default=["1-0"])
@pytest.mark.parametrize("queries", [0, 2])
@pytest.mark.parametrize("shots", [1, 3])
def test_labelled_tasks_hold_different_images_of_several_classes(shots, queries, dataset):
    tasks = first(mtf.data.image_tasks(dataset, shots, queries, tasks_per_batch=8, ways=3))
    (images, labels), *asked = tasks if queries else (tasks,)
    assert images.shape == (8, 3 * shots, 4, 4, 1) and labels.dtype == np.int32
    np.testing.assert_array_equal(labels, 8 * [shots * [0, 1, 2]])
    if queries:
        np.testing.assert_array_equal(asked[0][1], 8 * [queries * [0, 1, 2]])
        images, labels = (np.concatenate(parts, axis=1) for parts in zip((images, labels), asked[0]))
    pixels = np.rint((np.asarray(images) + 1) * 127.5).astype(int)[..., 0]
    for task, classes in zip(pixels, np.asarray(labels)):
        assert len(set(task[:, 1, 1])) == 3 * (shots + queries)
        of_label = [set(task[classes == label, 0, 0]) for label in range(3)]
        assert [len(marks) for marks in of_label] == [1, 1, 1] and len(set.union(*of_label)) == 3


def test_labels_stand_for_other_classes_in_each_task(dataset):
    images, _ = first(mtf.data.image_tasks(dataset, 1, tasks_per_batch=32, ways=3))
    assert len(set(np.asarray(images)[:, 0, 0, 0, 0])) == 4


@pytest.mark.full
def test_tasks_do_not_depend_on_the_batch(dataset):
    one = np.concatenate([t.numpy() for t in mtf.data.image_tasks(dataset, 3, seed=5).take(6)])
    six = first(mtf.data.image_tasks(dataset, 3, tasks_per_batch=6, seed=5)).numpy()
    np.testing.assert_array_equal(one, six)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": 1}, "`shots` must be an integer of at least 2"),
        ({"shots": 4, "queries": -1}, "`queries`"),
        ({"shots": 4, "per": "alphabet"}, "`per`"),
        ({"shots": 4, "ways": 1}, "`ways` must be an integer of at least 2"),
        ({"shots": 4, "ways": 5}, "`ways` must be at most"),
        ({"shots": 4, "ways": 2, "per": "domain"}, '"class" with `ways`'),
        ({"shots": 5, "queries": 2}, "at most the images of every class, 6"),
        ({"shots": 20, "queries": 5, "per": "domain"}, "of every domain, 24"),
    ],
)
def test_bad_arguments_are_refused(dataset, options, message):
    with pytest.raises(ValueError, match=message):
        mtf.data.image_tasks(dataset, **options)


def test_texts_are_no_images():
    with pytest.raises(ValueError, match="must hold images"):
        mtf.data.image_tasks(mtf.data.ClassDataset(np.asarray(["a", "b", "c"], object), [0, 0, 0]), 2)


def as_floats(dataset, low=0.0, high=1.0):
    examples = dataset.examples.astype("float32") / 255 * (high - low) + low
    return mtf.data.ClassDataset(examples, dataset.labels, domain=f"in [{low}, {high}]")


@pytest.mark.full
def test_floats_are_brought_to_the_range_that_bytes_are_brought_to(dataset, tmp_path):
    mtf.data.write_shards(zip(as_floats(dataset).examples, dataset.labels), tmp_path)
    shards = mtf.data.from_shards(tmp_path)
    # In parts of 255: the marks of the classes and the examples.
    pixels = first(mtf.data.image_tasks(dataset, 4, image_range=(0, 255))).numpy()
    assert 24 > pixels[0, :, 1, 1, 0].max() > 0.9 and len(set(pixels[0, :, 0, 0, 0])) == 1
    for data, limits in ((as_floats(dataset), (-1.0, 1.0)), (as_floats(dataset, -1.0), (-1.0, 1.0)), (shards, (0, 1))):
        images = first(mtf.data.image_tasks(data, 4, image_range=limits))
        np.testing.assert_allclose(images, pixels / 255 * (limits[1] - limits[0]) + limits[0], atol=1e-6)
    as_they_are = first(mtf.data.image_tasks(as_floats(dataset, -3.0, 3.0), 4, image_range=None))
    np.testing.assert_allclose(as_they_are, pixels / 255 * 6 - 3, atol=1e-5)


def test_pixels_in_another_range_or_of_two_are_refused(dataset):
    for wrong in (as_floats(dataset, 0, 255), [as_floats(dataset), as_floats(dataset, -1.0)]):
        with pytest.raises(ValueError, match="`dataset` must hold .*range|`dataset` must hold images of uint8, in"):
            mtf.data.image_tasks(wrong, 2)
    with pytest.raises(ValueError, match="`image_range` must be the range that uint8 images are brought to"):
        mtf.data.image_tasks(dataset, 2, image_range=None)
    with pytest.raises(ValueError, match="`image_range` must be the lowest and the highest"):
        mtf.data.image_tasks(dataset, 2, image_range=(1, 0))
