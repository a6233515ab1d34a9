"""ClassDataset: order, selection, splits, merging, and what it refuses."""

import tracemalloc

from metalearn_tf.data import ClassDataset, episodes, from_arrays
from metalearn_tf.networks.multi_task_head import task_of_class

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

few = hypothesis.settings(max_examples=50, deadline=None, derandomize=True)


@pytest.fixture
def animals():
    """Labels of any values, in no order; examples that tell their place."""
    labels = [30, -2, 7, 30, 7, 7]
    return ClassDataset(
        np.arange(6, dtype="float32"),
        labels,
        class_names=["ant", "bee", "cat"],
        parents={"ant": "insect", "bee": "insect", "cat": "mammal"},
        domain="photos",
    )


def numbered(sizes):
    return ClassDataset(np.arange(sum(sizes), dtype="float32"), np.repeat(np.arange(len(sizes)), sizes))


def contents(dataset):
    """Class name to the set of its examples."""
    return {name: set(dataset.class_examples(name).tolist()) for name in dataset.class_names}


# === Order ===


def test_examples_are_sorted_by_class_and_keep_their_order_within(animals):
    assert animals.num_classes == 3 and len(animals) == 6
    assert animals.examples.tolist() == [1, 2, 4, 5, 0, 3]
    assert animals.labels.tolist() == [0, 1, 1, 1, 2, 2] and animals.labels.dtype == np.int32
    assert animals.offsets.tolist() == [0, 1, 4, 6] and animals.offsets.dtype == np.int64
    assert animals.class_examples("bee").tolist() == animals.class_examples(1).tolist() == [2, 4, 5]


@few
@hypothesis.given(strategies.lists(strategies.integers(-5, 5), min_size=1, max_size=30))
def test_no_example_leaves_its_class(labels):
    dataset = ClassDataset(np.arange(len(labels), dtype="float32"), np.array(labels))
    assert dataset.class_names == [str(value) for value in sorted(set(labels))]
    for name in dataset.class_names:
        assert dataset.class_examples(name).tolist() == [i for i, label in enumerate(labels) if str(label) == name]


def test_shapes_and_types_of_examples():
    images = np.zeros((4, 5, 6, 3), "uint8")
    dataset = ClassDataset(images, [0, 0, 1, 1])
    assert dataset.example_shape == (5, 6, 3) and dataset.examples.dtype == np.uint8
    assert dataset.as_tensor().shape == (4, 5, 6, 3)
    assert ClassDataset(images.astype("float64"), [0, 0, 1, 1]).examples.dtype == np.float32
    texts = ClassDataset(["b", "a"], [1, 0])
    assert texts.example_shape == () and texts.examples.tolist() == ["a", "b"]
    assert texts.as_tensor().numpy().tolist() == [b"a", b"b"]


def test_the_callers_arrays_stay_as_they_are():
    examples, labels = np.arange(4, dtype="float32"), np.array([1, 0, 1, 0])
    dataset = ClassDataset(examples, labels)
    assert examples.tolist() == [0, 1, 2, 3] and labels.tolist() == [1, 0, 1, 0]
    assert dataset.examples.tolist() == [1, 3, 0, 2]


def test_a_dataset_describes_itself(animals):
    text = repr(animals)
    assert "6 examples" in text and "3 classes of 1 to 3" in text and "photos" in text


def test_from_arrays_takes_the_same_arguments(animals):
    dataset = from_arrays(
        np.arange(6, dtype="float32"), [30, -2, 7, 30, 7, 7], ["ant", "bee", "cat"], animals.parents, domain="photos"
    )
    assert contents(dataset) == contents(animals)
    assert (dataset.parents, dataset.domain) == (animals.parents, animals.domain)


# === select ===


def test_select_numbers_classes_in_the_order_given(animals):
    for classes in (["cat", "ant"], [2, 0], np.array([2, 0]), ["cat", 0]):
        chosen = animals.select(classes)
        assert chosen.class_names == ["cat", "ant"]
        assert chosen.examples.tolist() == [0, 3, 1] and chosen.labels.tolist() == [0, 0, 1]
        assert chosen.parents == {"cat": "mammal", "ant": "insect"} and chosen.domain == "photos"


@pytest.mark.parametrize("classes", [[], ["ant", "ant"], ["ant", 0], ["dog"], [3], [-1], [1.5], [None]])
def test_select_refuses_unknown_repeated_and_no_classes(animals, classes):
    with pytest.raises((TypeError, ValueError), match="`classes` must .*Received: "):
        animals.select(classes)


@pytest.mark.parametrize("class_index", ["dog", 3, -1])
def test_class_examples_refuses_unknown_classes(animals, class_index):
    with pytest.raises(ValueError, match="`class.*` must .*Received: "):
        animals.class_examples(class_index)


# === split ===


@few
@hypothesis.given(
    strategies.integers(3, 40),
    strategies.sampled_from([(0.5, 0.5), (0.34, 0.33, 0.33), (0.6, 0.4)]),
    strategies.integers(0, 99),
)
def test_split_parts_classes_without_loss(classes, fractions, seed):
    dataset = numbered([2] * classes)
    parts = dataset.split(fractions, seed=seed)
    names = [name for part in parts for name in part.class_names]
    assert len(parts) == len(fractions) and sorted(names) == sorted(dataset.class_names)
    assert {name: values for part in parts for name, values in contents(part).items()} == contents(dataset)
    for part, fraction in zip(parts, fractions):
        assert abs(part.num_classes - fraction * classes) <= 1


def test_split_follows_its_seed():
    dataset = numbered([1] * 30)
    names = [[part.class_names for part in dataset.split([0.5, 0.5], seed=seed)] for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


def test_split_may_leave_classes_out():
    (part,) = numbered([1] * 10).split([0.3])
    assert part.num_classes == 3


def test_split_keeps_names_parents_and_domain(animals):
    for part in animals.split([0.34, 0.66]):
        assert part.domain == "photos"
        assert part.parents == {name: animals.parents[name] for name in part.class_names}


BAD_FRACTIONS = [[0.5, 0.0], [0.5, -0.1], [0.8, 0.3], [], 0.5, [[0.5, 0.5]], [float("nan"), 0.5]]


@pytest.mark.parametrize("fractions", BAD_FRACTIONS)
@pytest.mark.parametrize("method", ["split", "split_examples"])
def test_splits_refuse_bad_fractions(method, fractions):
    with pytest.raises(ValueError, match="`fractions` must .*Received: "):
        getattr(numbered([10] * 10), method)(fractions)


def test_split_refuses_a_part_without_classes():
    with pytest.raises(ValueError, match="`fractions` must leave at least one of the 3 classes.*Received: "):
        numbered([5] * 3).split([0.9, 0.1])


# === split_examples ===


@few
@hypothesis.given(strategies.lists(strategies.integers(4, 20), min_size=1, max_size=6), strategies.integers(0, 99))
def test_split_examples_parts_every_class_without_loss(sizes, seed):
    dataset = numbered(sizes)
    first, second = dataset.split_examples([0.5, 0.5], seed=seed)
    assert first.class_names == second.class_names == dataset.class_names
    for name, values in contents(dataset).items():
        one, other = contents(first)[name], contents(second)[name]
        assert one | other == values and not one & other
        assert abs(len(one) - len(values) / 2) <= 0.5


def test_split_examples_shuffles_by_its_seed():
    dataset = numbered([30, 30])
    halves = [contents(dataset.split_examples([0.5, 0.5], seed=seed)[0]) for seed in (0, 0, 1)]
    assert halves[0] == halves[1] != halves[2]
    assert halves[0]["0"] != set(range(15))


def test_split_examples_names_the_class_that_is_too_small(animals):
    with pytest.raises(ValueError, match="`fractions` must leave an example of every class.*'ant' has 1.*Received: "):
        animals.split_examples([0.5, 0.5])


# === merge ===


def test_merge_joins_classes_of_the_same_name(animals):
    other = ClassDataset(
        np.array([10, 11, 12], "float32"), [0, 1, 0], ["bee", "dog"], {"bee": "insect", "dog": "mammal"}, "photos"
    )
    merged = animals.merge(other)
    assert merged.class_names == ["ant", "bee", "cat", "dog"]
    assert contents(merged) == {"ant": {1}, "bee": {2, 4, 5, 10, 12}, "cat": {0, 3}, "dog": {11}}
    assert merged.parents == {"ant": "insect", "bee": "insect", "cat": "mammal", "dog": "mammal"}
    assert merged.domain == "photos"
    assert len(animals) == 6 and len(other) == 3


def test_merge_of_two_domains_has_none():
    one, other = (ClassDataset(np.zeros(1, "float32"), [0], ["a"], domain=domain) for domain in ("x", "y"))
    assert one.merge(other).domain is None and one.merge(one).domain == "x"


def test_merge_names_the_classes_without_parents(animals):
    other = ClassDataset(np.zeros(1, "float32"), [0], ["dog"])
    with pytest.raises(ValueError, match="parents.*Received: .*'dog'"):
        animals.merge(other)


@pytest.mark.parametrize(
    "examples",
    [np.zeros((1, 2), "float32"), np.zeros((1,), "uint8"), np.array(["text"])],
    ids=["shape", "uint8", "text"],
)
def test_merge_refuses_other_shapes_and_types(animals, examples):
    with pytest.raises(ValueError, match="`other` must hold examples of the same shape and dtype. Received: "):
        animals.merge(ClassDataset(examples, [0]))


def test_merge_refuses_two_parents_of_one_class(animals):
    other = ClassDataset(np.zeros(1, "float32"), [0], ["bee"], {"bee": "letter"})
    with pytest.raises(ValueError, match="'bee' has two parents. Received: 'insect' and 'letter'"):
        animals.merge(other)


# === What is refused ===


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"examples": np.zeros((0, 2), "float32")}, ValueError, "`examples` must hold at least one example"),
        ({"examples": np.float32(1)}, ValueError, "`examples` must hold at least one example"),
        ({"examples": np.zeros((3, 2), "float32")}, ValueError, "`examples` and `labels` must have the same length"),
        ({"examples": np.zeros((2, 2), "int64")}, TypeError, "`examples` must be uint8, floating or strings"),
        ({"examples": np.zeros((2, 2), "complex64")}, TypeError, "`examples` must be uint8, floating or strings"),
        (
            {"examples": np.array([None, {}], object)},
            ValueError,
            "must be strings.*Received: None at 0, {} at 1",
        ),
        ({"examples": np.array([[0, 1], [np.nan, 0]])}, ValueError, r"`examples` must be finite.*Received: .*\[1\]"),
        ({"examples": np.array([[0, np.inf], [0, 0]])}, ValueError, r"`examples` must be finite.*Received: .*\[0\]"),
        ({"examples": ["a text", " \n"]}, ValueError, r"`examples` must not hold empty texts.*\[1\]"),
        ({"labels": [[0], [1]]}, ValueError, r"`labels` must have shape \(n,\).*`np.squeeze\(labels, axis=-1\)`"),
        ({"labels": [[0.0, 1.0], [1.0, 0.0]]}, ValueError, r"shape \(n,\).*`np.argmax\(labels, axis=-1\)`"),
        ({"labels": [0.0, 1.0]}, TypeError, r"`labels` must be integers.*`labels.astype\('int32'\)`"),
        ({"labels": [0.5, 1.0]}, TypeError, r"`labels` must be integers\."),
        ({"labels": [True, False]}, TypeError, "`labels` must be integers"),
        ({"labels": ["a", "b"]}, TypeError, r"`labels` must be integers.*`np.unique\(labels, return_inverse=True\)"),
        ({"class_names": ["one"]}, ValueError, "`class_names` must hold one distinct name for each of the 2 classes"),
        ({"class_names": ["one", "one"]}, ValueError, "`class_names` must hold one distinct name"),
        ({"parents": {"0": "digit"}}, ValueError, "`parents` must name a parent for every class"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=f"(?s){message}") as raised:
        ClassDataset(**{"examples": np.zeros((2, 2), "float32"), "labels": [0, 1], **arguments})
    assert "Received: " in str(raised.value)


def test_a_list_of_texts_takes_the_memory_of_its_texts():
    texts = ["short"] * 100 + ["long" * 1000]
    assert ClassDataset(texts, np.arange(101) % 2).examples.dtype == object
    tracemalloc.start()
    ClassDataset(texts, np.arange(101) % 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 101 * 4000 / 4  # an array of strings: 4 bytes for each of 4,000 characters, 101 times


class ReadNames(list):
    """Names that count how often all of them are read."""

    times = 0

    def __iter__(self):
        self.times += 1
        return super().__iter__()


def test_to_look_at_each_class_takes_time_in_proportion_to_the_classes():
    """A dictionary of all names at each call made an hour of 100,000 classes."""
    dataset = ClassDataset(np.arange(12.0)[:, None], np.arange(12) // 2, class_names=list("abcdef"))
    dataset.class_names = ReadNames(dataset.class_names)
    for index in range(6):
        assert dataset.class_examples(index).tolist() == dataset.select([index]).examples.tolist()
    assert dataset.class_names.times == 0
    for index, name in enumerate("abcdef"):
        assert dataset.class_examples(name)[0, 0] == dataset.select([name]).examples[0, 0] == 2 * index
    assert dataset.class_names.times == 1
    # Renamed in place, the classes have their new names.
    dataset.class_names[:2] = ["b", "a"]
    assert dataset.class_examples("b")[0, 0] == 0 and dataset.class_examples("a")[0, 0] == 2


def test_names_of_the_order_that_there_is_copy_nothing(animals):
    assert animals.with_classes(tuple(animals.class_names)) is animals


def test_classes_without_examples_are_left_out_of_a_merge_and_refused_in_episodes(animals):
    pets = animals.select(["bee", "cat"])
    more = pets.with_classes(["yak", "cat", "bee"])
    assert more.merge(pets).class_names == ["cat", "bee"]
    assert more.parents == pets.parents and more.select(["cat"]).parents == {"cat": "mammal"}
    with pytest.raises(ValueError, match="'yak' with 0.*`dataset.select"):
        episodes(more, ways=2, shots=1, queries=1)
    with pytest.raises(ValueError, match="a parent for each class. Received: none for .'yak'."):
        task_of_class(more)
    for names in (["cat"], ["cat", "bee", "cat"]):
        with pytest.raises(ValueError, match="`class_names` must be distinct.*Received: "):
            pets.with_classes(names)
