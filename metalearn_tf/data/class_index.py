"""What in-memory and sharded datasets share: classes, their examples' places, and parts of them."""

import numpy as np

from metalearn_tf.checks.class_names import check_class_names
from metalearn_tf.data.task_tree import check_parents


class ClassIndex:
    """Which rows of a table of examples belong to which class.

    A subclass holds the examples, `example_shape` and `dtype`, and defines `gather` and `_part`. Rows count the
    examples in the order of their classes.

    Args:
        offsets: integers `(num_classes + 1,)`; class `c` holds the rows `offsets[c]` to `offsets[c + 1]`.
        class_names: one distinct name per class.
        parents: see `ClassDataset`.
        domain: optional name of the domain.
    """

    def __init__(self, offsets, class_names, parents, domain):
        self.offsets = offsets
        self.class_names = class_names
        # A class without examples may be there only to keep the numbering, so it needs no place in the tree.
        self.parents = check_parents(parents, [name for name, size in zip(class_names, np.diff(offsets)) if size])
        self.domain = domain
        self._numbers = {}

    @property
    def num_classes(self):
        """The number of classes."""
        return len(self.offsets) - 1

    @property
    def class_sizes(self):
        """The number of examples of each class, integers `(num_classes,)`."""
        return np.diff(self.offsets)

    def __len__(self):
        return int(self.offsets[-1])

    def __repr__(self):
        domain = f", domain={self.domain!r}" if self.domain else ""
        return (
            f"{type(self).__name__}({len(self)} examples of shape {self.example_shape} ({self.dtype}), "
            f"{self.num_classes} classes of {self.class_sizes.min()} to {self.class_sizes.max()}{domain})"
        )

    def gather(self, rows):
        """Examples by their rows, inside a graph.

        Args:
            rows: int64 `(n,)`, in `[0, len(dataset))`.

        Returns:
            A tensor `(n, ...)` in the dtype of the examples.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `gather`.")

    def _part(self, rows, labels, class_names):
        """The dataset of some rows, with new class numbers `labels`."""
        raise NotImplementedError(f"{type(self).__name__} must define `_part`.")

    def select(self, classes):
        """A dataset of some of the classes, with the tree above them.

        Args:
            classes: class numbers or class names. The result numbers them in the order given.

        Raises:
            ValueError: if a class is unknown, named twice or without examples, or none is given.
        """
        indices = self._class_indices(classes)
        if not indices or len(set(indices)) != len(indices):
            raise ValueError(f"`classes` must name at least one class, and each once. Received: classes={classes}")
        starts, ends = self.offsets[indices], self.offsets[np.asarray(indices) + 1]
        empty = [self.class_names[i] for i, start, end in zip(indices, starts, ends) if start == end]
        if empty:
            raise ValueError(f"`classes` must have examples. Received: {empty[:10]}, which have none")
        rows = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends)])
        labels = np.repeat(np.arange(len(indices)), ends - starts)
        return self._part(rows, labels, [self.class_names[i] for i in indices])

    def split(self, fractions, seed=0):
        """Splits by class, so that no class is in two parts.

        Args:
            fractions: positive numbers with a sum of at most 1, one for each part.
            seed: integer; the same seed gives the same parts.

        Returns:
            A list of datasets, one for each fraction.

        Raises:
            ValueError: if the fractions are not positive, exceed 1, or leave a part without a class.
        """
        fractions = _check_fractions(fractions)
        ends = np.round(np.cumsum(fractions) * self.num_classes).astype(int)
        starts = np.concatenate([[0], ends[:-1]])
        if np.any(ends <= starts):
            raise ValueError(
                f"`fractions` must leave at least one of the {self.num_classes} classes to each part. "
                f"Received: fractions={fractions}"
            )
        order = np.random.default_rng(seed).permutation(self.num_classes)
        return [self.select(sorted(order[start:end].tolist())) for start, end in zip(starts, ends)]

    def split_examples(self, fractions, seed=0):
        """Splits the examples of every class, so that every class is in every part.

        The arguments are those of `split`; each class is shuffled with `seed` before it is divided.

        Raises:
            ValueError: if the fractions do not fit or leave a class without an example in some part.
        """
        fractions = _check_fractions(fractions)
        random = np.random.default_rng(seed)
        parts = [[] for _ in fractions]
        for index, size in enumerate(self.class_sizes):
            members = self.offsets[index] + random.permutation(size)
            ends = np.round(np.cumsum(fractions) * len(members)).astype(int)
            for part, start, end in zip(parts, [0, *ends[:-1]], ends):
                if end <= start:
                    raise ValueError(
                        f"`fractions` must leave an example of every class to each part; class "
                        f"{self.class_names[index]!r} has {len(members)}. Received: fractions={fractions}"
                    )
                part.append(np.sort(members[start:end]))
        return [
            self._part(
                np.concatenate(part), np.repeat(np.arange(self.num_classes), list(map(len, part))), self.class_names
            )
            for part in parts
        ]

    def _class_indices(self, classes):
        indices = []
        for value in classes:
            if isinstance(value, str):
                index = self._number_of(value)
            else:
                index = int(value) if isinstance(value, (int, np.integer)) else -1
            if not 0 <= index < self.num_classes:
                raise ValueError(
                    f"`classes` must be among the {self.num_classes} class numbers or names. Received: {value!r}"
                )
            indices.append(index)
        return indices

    def _number_of(self, name):
        """The number of a class by its name, -1 for an unknown one."""
        number = self._numbers.get(name, -1)
        # The table of all names is made once, and made again only if classes were renamed.
        if number < 0 or self.class_names[number] != name:
            self._numbers = {name: number for number, name in enumerate(self.class_names)}
            number = self._numbers.get(name, -1)
        return number


def names_of_classes(class_names, values):
    """One distinct name for each class; by default the labels as text."""
    if class_names is None:
        return [str(value) for value in values]
    names = class_names if isinstance(class_names, str) else [str(name) for name in class_names]
    return check_class_names(names, len(values))


def _check_fractions(fractions):
    fractions = np.asarray(fractions, "float64")
    valid = fractions.ndim == 1 and len(fractions) > 0 and np.all(fractions > 0) and fractions.sum() <= 1 + 1e-9
    if not valid:
        raise ValueError(f"`fractions` must be positive with a sum of at most 1. Received: fractions={fractions}")
    return fractions
