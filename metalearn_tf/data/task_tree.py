"""Trees above the classes: parents, their parents, and the classes below each node."""

import itertools
from collections.abc import Mapping


def check_parents(parents, class_names):
    """The part of a tree that stands above some classes.

    Args:
        parents: mapping from the name of a class, or of a node above, to the name of its parent; or `None`. A root
            has no entry. Several roots make a forest.
        class_names: the names of the classes, the leaves of the tree.

    Returns:
        A dict of the entries that are above the classes; `None` if `parents` is `None`.

    Raises:
        ValueError: if a class has no parent or is itself a parent, or if a node is above itself.
        TypeError: if `parents` is not a mapping between names.
    """
    if parents is None:
        return None
    if not isinstance(parents, Mapping):
        raise TypeError(f"`parents` must map class names to parent names. Received: {type(parents).__name__}")
    missing = [name for name in class_names if name not in parents]
    if missing:
        raise ValueError(f"`parents` must name a parent for every class. Received: none for {missing[:10]}")
    kept, classes = {}, set(class_names)
    for name in class_names:
        path = [name]
        while path[-1] in parents and path[-1] not in kept:
            parent = parents[path[-1]]
            if not isinstance(parent, str):
                raise TypeError(f"`parents` must name parents by strings. Received: {path[-1]!r}: {parent!r}")
            if parent in path:
                raise ValueError(f"`parents` must have no cycle. Received: {' -> '.join([*path, parent])}")
            if parent in classes:
                raise ValueError(
                    f"`parents` must not name a class as a parent; give the parent a name of its own. "
                    f"Received: {path[-1]!r}: {parent!r}, and {parent!r} is a class"
                )
            path.append(parent)
        kept.update(itertools.pairwise(path))
    return kept


def classes_below(parents, class_names):
    """The classes below each node of a tree.

    Args:
        parents: dict, as `check_parents` returns it.
        class_names: the names of the classes.

    Returns:
        A dict from the name of each node to the ascending numbers of the classes below it, at any depth.
    """
    below = {}
    for number, name in enumerate(class_names):
        while name in parents:
            name = parents[name]
            below.setdefault(name, []).append(number)
    return below


def roots(parents):
    """The names of the nodes without a parent, in the order of the tree's entries."""
    return list(dict.fromkeys(parent for parent in parents.values() if parent not in parents))
