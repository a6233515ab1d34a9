"""Tasks within a parent, of several domains, and of drawn ways and shots."""

import metalearn_tf as mtf
from metalearn_tf.data.tasks.class_pools import make_class_pools
from metalearn_tf.data.tasks.episode_checks import check_size
from metalearn_tf.data.tasks.task_plan import BLOCK, plan_block

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

few = hypothesis.settings(max_examples=6, deadline=None, derandomize=True)


def numbered(sizes, domain_number=0, **options):
    """A dataset whose examples say who they are: `[1 + number of the example, its class, its domain]`, float32."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    examples = np.stack([1 + np.arange(len(labels)), labels, np.full(len(labels), domain_number)], axis=1)
    return mtf.data.ClassDataset(examples.astype("float32"), labels, **options)


def tree(sizes_of_parents):
    """One-level tree: parent `p0` has the first classes, and so on; 4 examples a class."""
    owners = np.repeat(np.arange(len(sizes_of_parents)), sizes_of_parents)
    return numbered([4] * len(owners), parents={str(c): f"p{p}" for c, p in enumerate(owners)}), owners


def first(tasks):
    """The first batch, as NumPy arrays."""
    return next(iter(tasks.take(1).as_numpy_iterator()))


# === Trees ===


@pytest.mark.full
@few
@hypothesis.given(strategies.lists(strategies.integers(2, 6), min_size=1, max_size=4), strategies.integers(0, 2**31))
def test_the_classes_of_a_task_are_of_one_parent(sizes, seed):
    dataset, owners = tree(sizes)
    (support_x, _, query_x), _ = first(mtf.data.episodes(dataset, 2, 1, 1, 256, seed, within_parent=True))
    classes = np.concatenate([support_x, query_x], axis=1)[..., 1].astype(int)
    parents = owners[classes]
    assert (parents == parents[:, :1]).all() and set(parents[:, 0]) == set(range(len(sizes)))
    assert set(classes.ravel()) == set(range(len(owners)))


def test_parents_are_drawn_uniformly_whatever_their_size():
    dataset, owners = tree([2, 10, 3])
    (support_x, _, _), _ = first(mtf.data.episodes(dataset, 2, 1, 1, 3000, 1, within_parent=True))
    counts = np.bincount(owners[support_x[:, 0, 1].astype(int)])
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(3000 * 2 / 9)


def test_deeper_trees_draw_from_every_node_with_enough_classes():
    parents = {"0": "a", "1": "a", "2": "b", "3": "b", "4": "b", "a": "top", "b": "top"}
    dataset = numbered([3] * 5, parents=parents)
    (support_x, _, _), _ = first(mtf.data.episodes(dataset, 3, 1, 1, 600, 0, within_parent=True))
    tasks = [frozenset(task) for task in support_x[..., 1].astype(int).tolist()]
    of_b = sum(task == {2, 3, 4} for task in tasks)
    assert len(set(tasks)) == 10  # "top" gives every three of the five classes, "a" is too small and left out
    assert abs(of_b / 600 - (1 / 2 + 1 / 2 / 10)) < 4 * np.sqrt(0.25 / 600)


def test_a_node_gives_at_most_the_ways_it_has():
    dataset, owners = tree([2, 6])
    (support_x, support_y, _), _, _ = first(mtf.data.episodes(dataset, (2, 5), 1, 1, 400, 0, within_parent=True))
    ways, small = support_y.max(axis=1) + 1, owners[support_x[:, 0, 1].astype(int)] == 0
    assert set(ways[small]) == {2} and set(ways[~small]) == {2, 3, 4, 5}


def test_a_parent_with_too_few_classes_is_named():
    dataset, _ = tree([2, 6, 1])
    with pytest.raises(ValueError, match=r"2 parents .* fewer than 3: 'p0' with 2, 'p2' with 1. .*select.*ways=3"):
        mtf.data.episodes(dataset, 3, 1, 1, within_parent=True)
    with pytest.raises(ValueError, match=r"1 parents .* fewer than 2: 'p2' with 1. .*Received: ways=\(2, 4\)"):
        mtf.data.episodes(dataset, (2, 4), 1, 1, within_parent=True)
    with pytest.raises(ValueError, match=r"`within_parent` needs `ClassDataset\(parents=...\)`"):
        mtf.data.episodes(numbered([4] * 3), 2, 1, 1, within_parent=True)


# === Domains ===


@pytest.mark.rows(default=["None-expected0"])
@pytest.mark.parametrize("proportions, expected", [(None, [1 / 3] * 3), ([2, 1, 1], [0.5, 0.25, 0.25])])
def test_each_task_is_of_one_domain_in_the_proportions_given(proportions, expected):
    domains = [numbered([4] * classes, number) for number, classes in enumerate((3, 5, 9))]
    (support_x, _, query_x), _ = first(mtf.data.episodes(domains, 3, 1, 2, 2000, 4, proportions=proportions))
    examples = np.concatenate([support_x, query_x], axis=1).astype(int)
    assert (examples[..., 2] == examples[:, :1, 2]).all()
    shares = np.bincount(examples[:, 0, 2]) / 2000
    assert np.abs(shares - expected).max() < 4 * np.sqrt(0.25 / 2000)
    for number, domain in enumerate(domains):
        found = examples[examples[:, 0, 2] == number].reshape(-1, 3)
        assert set(map(tuple, found)) == set(map(tuple, domain.examples.astype(int)))


def test_one_domain_in_a_list_gives_the_episodes_of_the_dataset():
    dataset = numbered([5] * 4)
    batches = [first(mtf.data.episodes(given, 3, 1, 2, 8, 2)) for given in (dataset, [dataset])]
    np.testing.assert_array_equal(batches[0][0][0], batches[1][0][0])
    np.testing.assert_array_equal(batches[0][0][2], batches[1][0][2])


def test_queries_of_another_domain_are_of_the_same_classes_by_name():
    photos = numbered([2, 3, 4], 0, class_names=["ant", "bee", "cat"])
    sketches = numbered([3, 5, 4, 6], 1, class_names=["cat", "bee", "dog", "ant"])
    tasks = mtf.data.episodes(photos, 2, 2, 3, 200, 0, query_dataset=sketches)
    (support_x, _, query_x), _ = first(tasks)
    assert (support_x[..., 2] == 0).all() and (query_x[..., 2] == 1).all()
    support = np.array(photos.class_names)[support_x[..., 1].astype(int)].reshape(200, 2, 2)
    query = np.array(sketches.class_names)[query_x[..., 1].astype(int)].reshape(200, 2, 3)
    assert (support == support[..., :1]).all() and (query == support[..., :1]).all()
    assert set(query.ravel()) == {"ant", "bee", "cat"}
    assert all(len(set(task)) == 6 for task in query_x[..., 0].tolist())


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"dataset": []}, ValueError, "`dataset` must be .*Received: an empty list"),
        ({"dataset": [numbered([4] * 3), 3]}, TypeError, "`dataset` must be a ClassDataset. Received: int"),
        ({"proportions": [1]}, ValueError, "`proportions` must be one positive number for each of the 2 domains"),
        ({"proportions": [1, 0]}, ValueError, "`proportions` must .*Received: .1, 0"),
        ({"proportions": [1, float("nan")]}, ValueError, "`proportions` must "),
        ({"proportions": ["a", "b"]}, ValueError, "`proportions` must "),
        ({"query_dataset": numbered([4] * 3)}, ValueError, "`query_dataset` needs a single `dataset`. Received: 2"),
        ({"ways": 4}, ValueError, "`ways` must be at most the 3 classes of the domain 'photos'. Received: 4"),
        ({"shots": 4}, ValueError, "2 classes of the domain 'photos' have fewer, among them '0' with 4.*select"),
    ],
)
def test_domains_that_do_not_fit_are_refused(arguments, error, message):
    domains = [numbered([9] * 5, 0), numbered([4, 9, 4], 1, domain="photos")]
    with pytest.raises(error, match=message):
        mtf.data.episodes(**{"dataset": domains, "ways": 2, "shots": 1, "queries": 1, **arguments})


def test_domains_of_different_shapes_are_named():
    images = [
        mtf.data.ClassDataset(np.zeros((4, size, size, 1), "uint8"), [0, 0, 1, 1], domain=name)
        for name, size in (("glyphs", 28), ("photos", 32))
    ]
    message = r"one shape and dtype.*Received: glyphs with \(28, 28, 1\) uint8 and photos with \(32, 32, 1\) uint8"
    with pytest.raises(ValueError, match=message):
        mtf.data.episodes(images, 2, 1, 1)
    with pytest.raises(ValueError, match=message):
        mtf.data.episodes(images[0], 2, 1, 1, query_dataset=images[1])


def test_query_datasets_that_do_not_fit_are_refused():
    photos = numbered([4] * 3, class_names=["ant", "bee", "cat"])
    with pytest.raises(ValueError, match="every class of `dataset`.*select.*among them .'bee'"):
        mtf.data.episodes(photos, 2, 1, 1, query_dataset=numbered([4] * 2, class_names=["ant", "cat"]))
    with pytest.raises(ValueError, match="must be another dataset"):
        mtf.data.episodes(photos, 2, 1, 1, query_dataset=photos)
    with pytest.raises(TypeError, match="`query_dataset` must be a ClassDataset. Received: list"):
        mtf.data.episodes(photos, 2, 1, 1, query_dataset=[photos])
    with pytest.raises(ValueError, match="`queries` must be at most the number of examples of every class"):
        mtf.data.episodes(photos, 2, 1, 3, query_dataset=numbered([2] * 3, class_names=photos.class_names))


# === Ragged tasks ===

number_or_pair = strategies.one_of(
    strategies.integers(1, 4), strategies.tuples(strategies.integers(1, 3), strategies.integers(3, 4))
)


def bounds(number):
    return number if isinstance(number, tuple) else (number, number)


@pytest.mark.full
@few
@hypothesis.given(number_or_pair, number_or_pair, number_or_pair, strategies.booleans(), strategies.integers(0, 2**31))
def test_invariants_of_ragged_tasks(ways, shots, queries, uneven_shots, seed):
    hypothesis.assume(any(isinstance(number, tuple) for number in (ways, shots, queries)))
    uneven_shots = uneven_shots and isinstance(shots, tuple)
    largest = [bounds(number)[1] for number in (ways, shots, queries)]
    dataset = numbered([8, 9, 10, 11, 12])
    tasks = mtf.data.episodes(dataset, ways, shots, queries, 100, seed, uneven_shots=uneven_shots)
    (support_x, support_y, query_x), query_y, weight = first(tasks)
    assert support_x.shape == (100, largest[0] * largest[1], 3) and query_x.shape == (100, largest[0] * largest[2], 3)
    assert support_y.dtype == query_y.dtype == np.int32 and weight.dtype == np.float32
    np.testing.assert_array_equal(weight, query_y >= 0)
    seen = [set(), set(), set()]
    for x, y, a, b in zip(support_x, support_y, query_x, query_y):
        for part, labels in ((x, y), (a, b)):
            real = labels >= 0
            assert (np.diff(real.astype(int)) <= 0).all()  # padding stands at the end
            assert (part[~real] == 0).all() and (labels[~real] == -1).all() and (part[real, 0] > 0).all()
            assert (np.diff(labels[real]) >= 0).all()
        numbers = np.concatenate([x[y >= 0], a[b >= 0]])[:, 0]
        assert len(set(numbers)) == len(numbers)
        drawn, per_class, asked = y.max() + 1, np.bincount(y[y >= 0]), np.bincount(b[b >= 0])
        assert len(asked) == drawn and len(set(asked)) == 1 and (uneven_shots or len(set(per_class)) == 1)
        seen = [s | set(np.atleast_1d(values).tolist()) for s, values in zip(seen, (drawn, per_class, asked))]
        classes = [set(x[y == label, 1]) | set(a[b == label, 1]) for label in range(drawn)]
        assert all(len(of_label) == 1 for of_label in classes) and len(set.union(*classes)) == drawn
    assert seen == [set(range(low, high + 1)) for low, high in map(bounds, (ways, shots, queries))]


def test_uneven_shots_differ_within_a_task():
    (_, support_y, _), _, _ = first(mtf.data.episodes(numbered([9] * 4), 3, (1, 5), 2, 50, 0, uneven_shots=True))
    assert any(len(set(np.bincount(labels[labels >= 0]))) == 3 for labels in support_y)


@pytest.mark.rows(default=["100"])
@pytest.mark.parametrize("tasks_per_batch", [3, 50, 100])
def test_ragged_episodes_of_domains_are_the_same_for_every_batch_size(tasks_per_batch):
    domains = [tree([3, 4])[0], tree([5, 2, 3])[0]]

    def read(tasks_per_batch):
        tasks = mtf.data.episodes(domains, (2, 4), (1, 2), 2, tasks_per_batch, 7, within_parent=True)
        batches = list(tasks.take(-(-100 // tasks_per_batch)).as_numpy_iterator())
        return [np.concatenate(parts)[:100] for parts in zip(*((*x, y, w) for x, y, w in batches))]

    for one, other in zip(read(tasks_per_batch), read(1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_empty_strings_pad_texts():
    texts = mtf.data.ClassDataset([f"{c} {n}" for c in "ab" for n in range(6)], np.repeat([0, 1], 6))
    (support_x, support_y, _), _, _ = first(mtf.data.episodes(texts, 2, (1, 3), 1, 20))
    assert (support_x[support_y < 0] == b"").all() and (support_x[support_y >= 0] != b"").all()


@pytest.mark.parametrize("pair", [(0, 2), (3, 2), (1, 2, 3), (1,), (1.0, 2), ("1", "2"), ()])
@pytest.mark.parametrize("argument", ["ways", "shots", "queries"])
def test_wrong_pairs_are_refused(argument, pair):
    numbers = {"ways": 2, "shots": 1, "queries": 1, argument: pair}
    with pytest.raises(ValueError, match=rf"`{argument}` must be .*pair.*\(smallest, largest\). Received: \("):
        mtf.data.episodes(numbered([9] * 4), **numbers)


def test_bounds_are_checked_against_the_largest_numbers():
    with pytest.raises(ValueError, match="`ways` must be at most the 4 classes of the dataset. Received: 5"):
        mtf.data.episodes(numbered([9] * 4), (2, 5), 1, 1)
    with pytest.raises(ValueError, match=r"`shots \+ queries`.*Received: shots=8, queries=2"):
        mtf.data.episodes(numbered([9] * 4), 2, (1, 8), (1, 2))
    with pytest.raises(ValueError, match="`uneven_shots` needs `shots` as a pair.*Received: shots=1"):
        mtf.data.episodes(numbered([9] * 4), 2, 1, 1, uneven_shots=True)


# === The plan ===


def test_the_tasks_of_a_seed_stay_the_same_from_one_release_to_the_next():
    datasets = [numbered([7, 9, 8, 6, 20, 11])]
    pools = make_class_pools(datasets, datasets, 3, False, None)
    plan = plan_block(0, pools, check_size(3, 2, 3, False), 5)
    assert plan.number.numpy().tolist() == list(range(BLOCK))
    # Of the first release.
    (support_x, _, query_x), _ = first(mtf.data.episodes(datasets[0], 3, 2, 3, 2, 5).skip(40))
    assert (support_x[..., 0] - 1).tolist() == [[29, 25, 23, 17, 5, 0], [24, 25, 56, 53, 1, 6]]
    assert (query_x[..., 0] - 1).tolist() == [[28, 24, 27, 20, 22, 16, 4, 6, 3], [27, 28, 26, 52, 57, 58, 0, 4, 3]]
