"""The names of classes, and their numbers."""

import numpy as np


def check_class_names(class_names, classes):
    """Checks that each class has one name and no name is there twice, and returns the names as a list."""
    # A string would be taken for a list of its letters.
    names = [class_names] if isinstance(class_names, str) else list(class_names)
    if len(names) != classes or len(set(names)) != len(names):
        raise ValueError(
            f"`class_names` must hold one distinct name for each of the {classes} classes. "
            f"Received: {len(names)} names, {len(set(names))} distinct, {names[:10]}"
        )
    return names


def numbers_of_names(names, known):
    """The index of each name in the known names, as an integer array; -1 for an unknown name."""
    numbers = {name: number for number, name in enumerate(known)}
    return np.array([numbers.get(name, -1) for name in names], "int64")
