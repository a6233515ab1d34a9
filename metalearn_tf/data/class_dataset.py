"""Labelled examples, arranged by class: what episodes are drawn from."""

import numpy as np
import tensorflow as tf


class ClassDataset:
    """Examples with their classes, held once and in memory, sorted by class.

    Example:

    ```python
    dataset = mtf.data.ClassDataset(images, labels, class_names=["cat", "dog", "owl"])
    train, test = dataset.split([0.5, 0.5], seed=0)  # by class: no class is in both
    ```

    Args:
        examples: array `(n, ...)`, `uint8` or floating for images and other numbers, or strings `(n,)`.
            `uint8` images stay `uint8` in memory; `episodes` turns them into `float32` in `[0, 1]`.
        labels: integers `(n,)`, any values; equal labels make a class. Classes are numbered `0 … num_classes - 1`
            in the order of their sorted labels.
        class_names: a sequence of one name per class, in the order of the sorted labels; by default the labels as text.
        parents: optional mapping from class name to the name of its parent (an alphabet, a superclass).
        domain: optional name of the domain that the examples come from.

    Attributes:
        examples: array `(n, ...)`, sorted by class.
        labels: `int32` array `(n,)`, the class of each example, in `[0, num_classes)`, ascending.
        offsets: `int64` array `(num_classes + 1,)`; class `c` holds the examples `offsets[c]` to `offsets[c + 1]`.

    Raises:
        ValueError: if the lengths differ, there is no example, an image has a NaN or infinite pixel, or the names
            or parents do not fit the classes.
        TypeError: if `labels` are not integers or `examples` have a dtype that is not accepted.
    """

    def __init__(self, examples, labels, class_names=None, parents=None, domain=None):
        examples, labels = _check_examples(examples), _check_labels(labels)
        if len(examples) != len(labels):
            raise ValueError(
                "`examples` and `labels` must have the same length. "
                f"Received: len(examples)={len(examples)}, len(labels)={len(labels)}"
            )
        values, classes = np.unique(labels, return_inverse=True)
        order = np.argsort(classes, kind="stable")
        already_sorted = np.array_equal(order, np.arange(len(order)))
        self.examples = examples if already_sorted else examples[order]
        self.labels = classes[order].astype("int32")
        self.offsets = np.searchsorted(self.labels, np.arange(len(values) + 1)).astype("int64")
        self.class_names = _check_class_names(class_names, values)
        self.parents = _check_parents(parents, self.class_names)
        self.domain = domain
        self._tensor = None

    @property
    def num_classes(self):
        return len(self.offsets) - 1

    @property
    def example_shape(self):
        """Shape of one example; `()` for strings."""
        return self.examples.shape[1:]

    def __len__(self):
        return len(self.examples)

    def __repr__(self):
        domain = f", domain={self.domain!r}" if self.domain else ""
        return (
            f"ClassDataset({len(self)} examples of shape {self.example_shape} ({self.examples.dtype}), "
            f"{self.num_classes} classes of {np.diff(self.offsets).min()} to {np.diff(self.offsets).max()}{domain})"
        )

    def as_tensor(self):
        """The examples as one tensor, made once and shared by every pipeline that reads them."""
        if self._tensor is None:
            self._tensor = tf.constant(self.examples)
        return self._tensor

    def class_examples(self, class_index):
        """The examples `(count, ...)` of one class, by its number or its name."""
        index = self._class_indices([class_index])[0]
        return self.examples[self.offsets[index] : self.offsets[index + 1]]

    def select(self, classes):
        """A `ClassDataset` of some of the classes.

        Args:
            classes: class numbers or class names. The result numbers them in the order given.

        Raises:
            ValueError: if a class is unknown, or named twice, or none is given.
        """
        indices = self._class_indices(classes)
        if not indices or len(set(indices)) != len(indices):
            raise ValueError(f"`classes` must name at least one class, and each once. Received: classes={classes}")
        parts = [self.examples[self.offsets[i] : self.offsets[i + 1]] for i in indices]
        names = [self.class_names[i] for i in indices]
        parents = {name: self.parents[name] for name in names} if self.parents else None
        labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return ClassDataset(np.concatenate(parts), labels, names, parents, self.domain)

    def split(self, fractions, seed=0):
        """Splits by class, so that no class is in two parts.

        Args:
            fractions: positive numbers with a sum of at most 1, one for each part.
            seed: integer; the same seed gives the same parts.

        Returns:
            A list of `ClassDataset`s, one for each fraction.

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
        for index in range(self.num_classes):
            members = self.offsets[index] + random.permutation(self.offsets[index + 1] - self.offsets[index])
            ends = np.round(np.cumsum(fractions) * len(members)).astype(int)
            for part, start, end in zip(parts, [0, *ends[:-1]], ends):
                if end <= start:
                    raise ValueError(
                        f"`fractions` must leave an example of every class to each part; class "
                        f"{self.class_names[index]!r} has {len(members)}. Received: fractions={fractions}"
                    )
                part.append(np.sort(members[start:end]))
        members = [np.concatenate(part) for part in parts]
        return [
            ClassDataset(self.examples[rows], self.labels[rows], self.class_names, self.parents, self.domain)
            for rows in members
        ]

    def merge(self, other):
        """Both datasets' classes in one; classes of the same name become one class.

        Raises:
            ValueError: if the examples differ in shape or dtype, or a class has two different parents.
        """
        if self.example_shape != other.example_shape or self.examples.dtype.kind != other.examples.dtype.kind:
            raise ValueError(
                "`other` must hold examples of the same shape and dtype. "
                f"Received: {self.example_shape} {self.examples.dtype} and {other.example_shape} {other.examples.dtype}"
            )
        names = list(dict.fromkeys([*self.class_names, *other.class_names]))
        parents = {**(self.parents or {}), **(other.parents or {})}
        for name, parent in (self.parents or {}).items():
            if parents[name] != parent:
                raise ValueError(f"Class {name!r} has two parents. Received: {parent!r} and {parents[name]!r}")
        numbers = {name: number for number, name in enumerate(names)}
        labels = [numbers[d.class_names[label]] for d in (self, other) for label in d.labels]
        examples = np.concatenate([self.examples, other.examples])
        domain = self.domain if self.domain == other.domain else None
        return ClassDataset(examples, np.asarray(labels), names, parents or None, domain)

    def _class_indices(self, classes):
        numbers = {name: number for number, name in enumerate(self.class_names)}
        indices = []
        for value in classes:
            if isinstance(value, str):
                index = numbers.get(value, -1)
            else:
                index = int(value) if isinstance(value, (int, np.integer)) else -1
            if not 0 <= index < self.num_classes:
                raise ValueError(
                    f"`classes` must be among the {self.num_classes} class numbers or names. Received: {value!r}"
                )
            indices.append(index)
        return indices


def from_arrays(examples, labels, class_names=None, parents=None, domain=None):
    """A `ClassDataset` of arrays; the arguments are those of `ClassDataset`."""
    return ClassDataset(examples, labels, class_names=class_names, parents=parents, domain=domain)


def _check_fractions(fractions):
    fractions = np.asarray(fractions, "float64")
    valid = fractions.ndim == 1 and len(fractions) > 0 and np.all(fractions > 0) and fractions.sum() <= 1 + 1e-9
    if not valid:
        raise ValueError(f"`fractions` must be positive with a sum of at most 1. Received: fractions={fractions}")
    return fractions


def _check_examples(examples):
    examples = np.asarray(examples)
    if examples.ndim == 0 or len(examples) == 0:
        raise ValueError(f"`examples` must hold at least one example. Received: shape {examples.shape}")
    if examples.dtype.kind in "USO":
        if not all(isinstance(value, (str, bytes)) for value in examples.ravel().tolist()):
            raise TypeError("`examples` of dtype object must be strings. Received: other Python objects")
        return examples.astype(object)
    if examples.dtype == np.uint8:
        return examples
    if examples.dtype.kind != "f":
        raise TypeError(
            f"`examples` must be uint8, floating or strings; convert with `examples.astype('float32')`. "
            f"Received: dtype={examples.dtype}"
        )
    if not np.isfinite(examples).all():
        rows = np.flatnonzero(~np.isfinite(examples.reshape(len(examples), -1)).all(axis=1))
        raise ValueError(f"`examples` must be finite. Received: NaN or infinity in examples {rows[:10].tolist()}")
    return examples.astype("float32", copy=False)


def _check_labels(labels):
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"`labels` must have shape (n,). Received: shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"`labels` must be integers. Received: dtype={labels.dtype}")
    return labels


def _check_class_names(class_names, values):
    if class_names is None:
        return [str(value) for value in values]
    names = [str(name) for name in class_names]
    if len(names) != len(values) or len(set(names)) != len(names):
        raise ValueError(
            f"`class_names` must hold one distinct name for each of the {len(values)} classes. "
            f"Received: {len(names)} names, {len(set(names))} distinct"
        )
    return names


def _check_parents(parents, class_names):
    if parents is None:
        return None
    missing = [name for name in class_names if name not in parents]
    if missing:
        raise ValueError(f"`parents` must name a parent for every class. Received: none for {missing[:10]}")
    return {name: parents[name] for name in class_names}
