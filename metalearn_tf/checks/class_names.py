"""The names of classes, and their numbers."""

import numpy as np


def check_class_names(class_names, classes):
    """The names as a list, once there is one for each class and none is there twice."""
    # The names in a string would be its letters.
    names = [class_names] if isinstance(class_names, str) else list(class_names)
    if len(names) != classes or len(set(names)) != len(names):
        raise ValueError(
            f"`class_names` must hold one distinct name for each of the {classes} classes. "
            f"Received: {len(names)} names, {len(set(names))} distinct, {names[:10]}"
        )
    return names


def numbers_of_names(names, known):
    """The place of each name among the known ones, an integer array; -1 for a name that is none of them."""
    numbers = {name: number for number, name in enumerate(known)}
    return np.array([numbers.get(name, -1) for name in names], "int64")
