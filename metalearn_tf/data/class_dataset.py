"""Labelled examples, arranged by class: what episodes are drawn from."""

import numpy as np
import tensorflow as tf

from metalearn_tf.checks.arrays import check_finite
from metalearn_tf.checks.check_texts import check_texts, texts_as_objects
from metalearn_tf.checks.class_names import numbers_of_names
from metalearn_tf.checks.examples import check_not_empty
from metalearn_tf.checks.label_advice import label_advice
from metalearn_tf.data.class_index import ClassIndex, names_of_classes


class ClassDataset(ClassIndex):
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
        parents: optional mapping from class name to the name of its parent (an alphabet, a superclass), and from
            parent to grandparent for a deeper tree: `{"cat": "mammal", "owl": "bird", "mammal": "animal", …}`. A root
            has no entry; several roots are allowed. Entries that are above no class are ignored. A class cannot also be
            a parent.
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
        examples = as_examples(examples)
        labels = _check_labels(labels, len(examples))
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
        offsets = np.searchsorted(self.labels, np.arange(len(values) + 1)).astype("int64")
        super().__init__(offsets, names_of_classes(class_names, values), parents, domain)
        self._tensor = None

    def __getstate__(self):
        # Unpickling a tensor would start TensorFlow in the other process before that process can set its threads.
        return {**self.__dict__, "_tensor": None}

    @property
    def example_shape(self):
        """Shape of one example; `()` for strings."""
        return self.examples.shape[1:]

    @property
    def dtype(self):
        """NumPy's dtype of the examples: `uint8`, `float32`, or `object` for strings."""
        return self.examples.dtype

    def as_tensor(self):
        """The examples as one tensor, made once and shared by every pipeline that reads them."""
        if self._tensor is None:
            # Made outside of a graph that is being traced, because the next graph needs the tensor too.
            with tf.init_scope():
                self._tensor = tf.constant(self.examples)
        return self._tensor

    def gather(self, rows):
        return tf.gather(self.as_tensor(), rows)

    def class_examples(self, class_index):
        """The examples `(count, ...)` of one class, by its number or its name."""
        index = self._class_indices([class_index])[0]
        return self.examples[self.offsets[index] : self.offsets[index + 1]]

    def merge(self, other):
        """One dataset with the classes of both. Classes of one name are joined; classes without examples are left out.

        Raises:
            ValueError: if the examples differ in shape or dtype, or if a class or parent has different parents in the
                two datasets.
        """
        if self.example_shape != other.example_shape or self.examples.dtype.kind != other.examples.dtype.kind:
            raise ValueError(
                "`other` must hold examples of the same shape and dtype. "
                f"Received: {self.example_shape} {self.examples.dtype} and {other.example_shape} {other.examples.dtype}"
            )
        names = list(dict.fromkeys([*self._names_of_examples(), *other._names_of_examples()]))
        parents = {**(self.parents or {}), **(other.parents or {})}
        for name, parent in (self.parents or {}).items():
            if parents[name] != parent:
                raise ValueError(f"{name!r} has two parents. Received: {parent!r} and {parents[name]!r}")
        # A class without examples gets the number -1 here, but no label refers to it.
        labels = [numbers_of_names(d.class_names, names)[d.labels] for d in (self, other)]
        examples = np.concatenate([self.examples, other.examples])
        domain = self.domain if self.domain == other.domain else None
        return ClassDataset(examples, np.concatenate(labels), names, parents or None, domain)

    def with_classes(self, class_names):
        """The same examples, with classes numbered as in `class_names`. Gives two datasets the same class numbers.

        Args:
            class_names: distinct names, which include all classes of this dataset. Other names become classes without
                examples: a validation set may lack some of the training classes. Episodes cannot draw such classes.

        Raises:
            ValueError: if a class of this dataset is not among the names, or a name is there twice.
        """
        names = list(class_names)
        if names == self.class_names:
            return self
        numbers = numbers_of_names(self.class_names, names)
        missing = [name for name, number in zip(self.class_names, numbers) if number < 0]
        if missing or len(set(names)) < len(names):
            raise ValueError(
                "`class_names` must be distinct, and name every class of the dataset; `select` takes some of them. "
                f"Received: no {missing[:10]} in class_names={names[:10]}"
            )
        labels = numbers.astype("int32")[self.labels]
        order = np.argsort(labels, kind="stable")
        dataset = self._part(order, labels[order], [names[number] for number in np.unique(labels)])
        # The constructor numbers classes without gaps; here the gaps of empty classes are put back.
        dataset.labels = labels[order]
        offsets = np.searchsorted(dataset.labels, np.arange(len(names) + 1)).astype("int64")
        ClassIndex.__init__(dataset, offsets, names, self.parents, self.domain)
        return dataset

    def _names_of_examples(self):
        return [name for name, size in zip(self.class_names, self.class_sizes) if size]

    def _part(self, rows, labels, class_names):
        return ClassDataset(self.examples[rows], labels, class_names, self.parents, self.domain)


def from_arrays(examples, labels, class_names=None, parents=None, domain=None):
    """A `ClassDataset` of arrays; the arguments are those of `ClassDataset`."""
    return ClassDataset(examples, labels, class_names=class_names, parents=parents, domain=domain)


def as_examples(examples):
    """Examples in the form in which a `ClassDataset` holds them. Raises the same errors as its constructor."""
    examples = np.asarray(texts_as_objects(examples))
    check_not_empty("examples", examples)
    if examples.dtype.kind in "USTO":
        return check_texts("examples", examples)
    if examples.dtype == np.uint8:
        return examples
    if examples.dtype.kind != "f":
        raise TypeError(
            f"`examples` must be uint8, floating or strings; convert with `examples.astype('float32')`. "
            f"Received: dtype={examples.dtype}"
        )
    check_finite("examples", examples)
    return examples.astype("float32", copy=False)


def _check_labels(labels, count):
    labels = np.asarray(labels)
    advice = label_advice(labels, (count,), "labels")
    if labels.ndim != 1:
        raise ValueError(
            f"`labels` must have shape (n,), one class number for each example{advice}. Received: shape {labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(f"`labels` must be integers{advice}. Received: dtype={labels.dtype}")
    return labels
