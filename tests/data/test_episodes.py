"""What holds for every episode, whatever the dataset and the numbers asked for."""

import itertools

import metalearn_tf as mtf

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

few = hypothesis.settings(max_examples=12, deadline=None, derandomize=True)


def numbered(sizes):
    """A dataset whose examples say who they are: `[number of the example, its class]`, float32."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return mtf.data.ClassDataset(np.stack([np.arange(len(labels)), labels], axis=1).astype("float32"), labels)


def read(dataset, count):
    """The first `count` batches, as NumPy arrays."""
    return list(dataset.take(count).as_numpy_iterator())


def tasks_of(dataset, count, **options):
    """The first `count` tasks one by one, however they are batched."""
    batches = dataset.take(-(-count // options["tasks_per_batch"])).as_numpy_iterator()
    tasks = (task for (a, b, c), d in batches for task in zip(a, b, c, d))
    return list(itertools.islice(tasks, count))


def assert_equal_tasks(actual, expected):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected):
        for a, b in zip(one, other):
            np.testing.assert_array_equal(a, b)


@strategies.composite
def settings(draw):
    ways, shots, queries = (
        draw(strategies.integers(1, 6)),
        draw(strategies.integers(1, 4)),
        draw(strategies.integers(1, 5)),
    )
    extra = strategies.integers(0, 6)
    sizes = [shots + queries + draw(extra) for _ in range(ways + draw(extra))]
    return sizes, ways, shots, queries


@pytest.mark.full
@few
@hypothesis.given(settings(), strategies.integers(1, 9), strategies.integers(0, 2**31))
def test_invariants_of_every_task(setting, tasks_per_batch, seed):
    sizes, ways, shots, queries = setting
    dataset = mtf.data.episodes(numbered(sizes), ways, shots, queries, tasks_per_batch, seed)
    for (support_x, support_y, query_x), query_y in read(dataset, 2):
        assert support_x.shape == (tasks_per_batch, ways * shots, 2)
        assert query_x.shape == (tasks_per_batch, ways * queries, 2)
        assert support_y.dtype == query_y.dtype == np.int32
        # Labels stand class by class, without a permutation.
        np.testing.assert_array_equal(support_y, np.tile(np.repeat(np.arange(ways), shots), (tasks_per_batch, 1)))
        np.testing.assert_array_equal(query_y, np.tile(np.repeat(np.arange(ways), queries), (tasks_per_batch, 1)))
        for support, query in zip(support_x, query_x):
            numbers = np.concatenate([support, query])[:, 0]
            assert len(set(numbers)) == ways * (shots + queries)  # no example twice, in support and query together
            classes = support[:, 1].reshape(ways, shots)
            assert (classes == classes[:, :1]).all() and len(set(classes[:, 0])) == ways
            # The queries of a label are of the same class as its support examples.
            np.testing.assert_array_equal(query[:, 1].reshape(ways, queries), np.tile(classes[:, :1], queries))


@pytest.mark.full
@few
@hypothesis.given(strategies.integers(2, 80), strategies.integers(0, 1000))
def test_episode_i_of_a_seed_is_the_same_for_every_batch_size(tasks_per_batch, seed):
    dataset, count = numbered([5, 6, 7, 8]), 70  # more than one block of random numbers
    singles = tasks_of(mtf.data.episodes(dataset, 3, 1, 2, 1, seed), count, tasks_per_batch=1)
    batched = mtf.data.episodes(dataset, 3, 1, 2, tasks_per_batch, seed)
    assert_equal_tasks(tasks_of(batched, count, tasks_per_batch=tasks_per_batch), singles)


def test_every_pass_gives_the_same_episodes():
    tasks = mtf.data.episodes(numbered([5, 6, 7]), 2, 1, 2, tasks_per_batch=4, seed=3)
    first, again = (tasks_of(tasks, 12, tasks_per_batch=4) for _ in range(2))
    assert_equal_tasks(again, first)


def test_skipped_and_sharded_pipelines_give_the_same_episodes():
    tasks = mtf.data.episodes(numbered([5, 6, 7]), 2, 1, 2, tasks_per_batch=4, seed=3)
    batches = read(tasks, 8)
    for pipeline, chosen in ((tasks.skip(5), batches[5:8]), (tasks.shard(3, 1), batches[1:8:3])):
        for ((a, b, c), d), ((e, f, g), h) in zip(read(pipeline, len(chosen)), chosen, strict=True):
            assert_equal_tasks([(a, b, c, d)], [(e, f, g, h)])


@pytest.mark.full
def test_seeds_and_episodes_differ():
    dataset = numbered([20] * 20)
    tasks = {
        seed: tasks_of(mtf.data.episodes(dataset, 3, 1, 2, 50, seed), 200, tasks_per_batch=50) for seed in (0, 1, -1)
    }
    seen = {task[0].tobytes() + task[2].tobytes() for seed in tasks for task in tasks[seed]}
    assert len(seen) == 600


def chi_square_bound(degrees):
    """The 99.9 % quantile of the chi-square distribution (Wilson and Hilferty, 1931)."""
    return degrees * (1 - 2 / (9 * degrees) + 3.09 * np.sqrt(2 / (9 * degrees))) ** 3


def test_classes_and_examples_are_drawn_uniformly():
    sizes = np.array([4, 9, 5, 20, 7, 4, 12, 6])
    dataset = mtf.data.episodes(numbered(sizes), 3, 1, 2, tasks_per_batch=4000, seed=0)
    (support_x, _, query_x), _ = read(dataset, 1)[0]
    classes = support_x[..., 1].astype(int)
    for way in range(3):  # each label gets each class as often
        counts = np.bincount(classes[:, way], minlength=8)
        assert ((counts - 500) ** 2 / 500).sum() < chi_square_bound(7)
    support, query = support_x[..., 0].astype(int).ravel(), query_x[..., 0].astype(int).ravel()
    for part, draws in ((support, 1), (query, 2)):
        counts = np.bincount(part, minlength=sizes.sum())
        assert (counts > 0).all()
        for start, size in zip(np.cumsum(sizes) - sizes, sizes):
            within = counts[start : start + size]
            expected = within.sum() / size
            # Drawing without replacement narrows the spread by (size - draws) / (size - 1).
            spread = (size - draws) / (size - 1)
            assert ((within - expected) ** 2 / expected).sum() < spread * chi_square_bound(size - 1)


def test_each_part_is_uniform_over_pairs_of_classes():
    (support_x, _, _), _ = read(mtf.data.episodes(numbered([3] * 5), 2, 1, 1, tasks_per_batch=4000, seed=9), 1)[0]
    first, second = support_x[..., 1].astype(int).T
    counts = np.bincount(5 * first + second, minlength=25).reshape(5, 5)
    assert (np.diagonal(counts) == 0).all()
    off_diagonal = counts[~np.eye(5, dtype=bool)]
    assert ((off_diagonal - 200) ** 2 / 200).sum() < chi_square_bound(19)


def test_uint8_images_become_floats_between_0_and_1():
    images = np.arange(256, dtype="uint8").reshape(4, 64)[:, :, None].repeat(3, axis=2).reshape(4 * 64, 1, 3)
    dataset = mtf.data.ClassDataset(images, np.repeat(np.arange(4), 64))
    (support_x, _, query_x), _ = read(mtf.data.episodes(dataset, 4, 32, 32), 1)[0]
    assert support_x.dtype == query_x.dtype == np.float32
    values = np.concatenate([support_x, query_x], axis=1)[..., 0].ravel()
    np.testing.assert_allclose(np.sort(values), np.arange(256) / 255, rtol=1e-6)


def test_float_examples_come_out_as_they_are():
    random = np.random.default_rng(0)
    examples = random.normal(scale=1e4, size=(12, 3)).astype("float32")
    dataset = mtf.data.ClassDataset(examples, np.repeat(np.arange(3), 4))
    (support_x, _, query_x), _ = read(mtf.data.episodes(dataset, 3, 2, 2), 1)[0]
    assert support_x.dtype == np.float32
    rows = np.concatenate([support_x[0], query_x[0]])
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in examples}


def test_texts_come_out_as_strings():
    texts = [f"{label} {number}" for label in "abc" for number in range(4)]
    dataset = mtf.data.ClassDataset(texts, np.repeat(np.arange(3), 4))
    (support_x, _, query_x), _ = read(mtf.data.episodes(dataset, 3, 2, 2), 1)[0]
    assert support_x.shape == (1, 6)
    assert sorted(text.decode() for text in [*support_x[0], *query_x[0]]) == texts


def test_the_pipeline_is_endless_and_knows_its_shapes():
    tasks = mtf.data.episodes(numbered([4] * 3), 3, 1, 2, tasks_per_batch=5)
    assert tasks.cardinality() == tf.data.INFINITE_CARDINALITY
    (support_x, support_y, query_x), query_y = tasks.element_spec
    assert support_x.shape == (5, 3, 2) and query_x.shape == (5, 6, 2)
    assert support_y.shape == (5, 3) and query_y.shape == (5, 6)


def test_pipelines_share_one_copy_of_the_examples():
    dataset = numbered([4] * 3)
    tensor = dataset.as_tensor()
    for seed in (0, 1):
        read(mtf.data.episodes(dataset, 2, 1, 2, seed=seed), 1)
    assert dataset.as_tensor() is tensor


@pytest.mark.parametrize("argument", ["ways", "shots", "queries", "tasks_per_batch"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "two", None])
def test_numbers_must_be_positive_integers(argument, value):
    numbers = {"ways": 2, "shots": 1, "queries": 1, "tasks_per_batch": 1, argument: value}
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive integer. Received: "):
        mtf.data.episodes(numbered([4] * 3), **numbers)


def test_too_few_classes_are_refused():
    with pytest.raises(ValueError, match="`ways` must be at most the 3 classes of the dataset. Received: 4"):
        mtf.data.episodes(numbered([4] * 3), ways=4, shots=1, queries=1)


def test_too_few_examples_are_refused_with_the_class_and_the_fix():
    with pytest.raises(ValueError, match=r"`shots \+ queries`.*'1' with 3.*select.*Received: shots=2, queries=2"):
        mtf.data.episodes(numbered([4, 3, 4]), ways=2, shots=2, queries=2)


def test_what_is_no_class_dataset_is_refused():
    with pytest.raises(TypeError, match="`dataset` must be a ClassDataset. Received: ndarray"):
        mtf.data.episodes(np.zeros((4, 2)), ways=2, shots=1, queries=1)


@pytest.mark.parametrize("seed", [None, 0.5, "one"])
def test_the_seed_must_be_an_integer(seed):
    with pytest.raises((TypeError, ValueError), match="`seed` must be an integer. Received: "):
        mtf.data.episodes(numbered([4] * 3), ways=2, shots=1, queries=1, seed=seed)
