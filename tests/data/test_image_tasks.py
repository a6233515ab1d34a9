"""Tasks of images: of one class or one domain, in the range of GANs, the same on every machine."""

import numpy as np
import pytest

import metalearn_tf as mtf


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
