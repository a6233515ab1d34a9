"""Trees above the classes: what is kept, what lies below a node, and what is refused."""

from metalearn_tf.data import ClassDataset
from metalearn_tf.data.task_tree import check_parents, classes_below, roots

import numpy as np
import pytest

TREE = {
    "ant": "insect",
    "bee": "insect",
    "cat": "mammal",
    "oak": "plant",
    "insect": "animal",
    "mammal": "animal",
    "unused": "nothing",
}
NAMES = ["ant", "bee", "cat", "oak"]


def dataset(parents=TREE, names=NAMES):
    return ClassDataset(np.arange(3 * len(names), dtype="float32"), np.repeat(np.arange(len(names)), 3), names, parents)


def test_the_tree_above_the_classes_is_kept():
    assert dataset().parents == {name: parent for name, parent in TREE.items() if name != "unused"}


def test_classes_below_each_node_at_any_depth():
    assert classes_below(dataset().parents, NAMES) == {
        "insect": [0, 1],
        "animal": [0, 1, 2],
        "mammal": [2],
        "plant": [3],
    }
    assert roots(dataset().parents) == ["animal", "plant"]


def test_parts_carry_their_tree():
    chosen = dataset().select(["oak", "bee"])
    assert chosen.parents == {"oak": "plant", "bee": "insect", "insect": "animal"}
    for part in [*dataset().split([0.5, 0.5]), *dataset().split_examples([0.5, 0.5])]:
        assert part.parents == check_parents(TREE, part.class_names)


def test_merged_trees_join():
    other = dataset({"dog": "mammal", "mammal": "animal", "animal": "being"}, ["dog"])
    assert dataset().merge(other).parents == {**dataset().parents, "dog": "mammal", "animal": "being"}


def test_merge_refuses_two_parents_of_one_node():
    with pytest.raises(ValueError, match="'mammal' has two parents. Received: 'animal' and 'vertebrate'"):
        dataset().merge(dataset({"dog": "mammal", "mammal": "vertebrate"}, ["dog"]))


@pytest.mark.parametrize(
    "parents, error, message",
    [
        ({"ant": "insect"}, ValueError, "a parent for every class. Received: none for .'bee', 'cat', 'oak'"),
        ({**TREE, "animal": "insect"}, ValueError, "no cycle. Received: ant -> insect -> animal -> insect"),
        ({**TREE, "ant": "ant"}, ValueError, "no cycle. Received: ant -> ant"),
        ({**TREE, "ant": "bee"}, ValueError, "not name a class as a parent.*Received: 'ant': 'bee'"),
        ({**TREE, "animal": "oak"}, ValueError, "not name a class as a parent.*Received: 'animal': 'oak'"),
        ({**TREE, "ant": 3}, TypeError, "name parents by strings. Received: 'ant': 3"),
        (["insect"] * 4, TypeError, "map class names to parent names. Received: list"),
    ],
)
def test_what_is_no_tree_is_refused(parents, error, message):
    with pytest.raises(error, match=f"`parents` must .*{message}"):
        dataset(parents)
