"""Checks of the arguments of `episodes`, made before anything is drawn."""

import numpy as np

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.class_index import ClassIndex
from metalearn_tf.data.task_tree import classes_below, roots
from metalearn_tf.data.tasks.task_plan import TaskSize


def check_integers(tasks_per_batch, seed):
    """Refuses batch sizes that are not positive and seeds that are not integers."""
    check_whole(tasks_per_batch=tasks_per_batch)
    check_whole(least=None, seed=seed)


def check_size(ways, shots, queries, uneven_shots):
    """The `TaskSize` from the user's arguments, each an integer or a pair `(smallest, largest)`."""
    numbers = {"ways": ways, "shots": shots, "queries": queries}
    pairs = {name: _check_range(name, number) for name, number in numbers.items()}
    ragged = any(isinstance(number, (tuple, list)) for number in numbers.values())
    if uneven_shots and not isinstance(shots, (tuple, list)):
        raise ValueError(f"`uneven_shots` needs `shots` as a pair (smallest, largest). Received: shots={shots!r}")
    return TaskSize(**pairs, uneven_shots=bool(uneven_shots), ragged=ragged)


def check_domains(dataset, proportions):
    """The domains as a list of datasets whose examples are alike."""
    datasets = list(dataset) if isinstance(dataset, (tuple, list)) else [dataset]
    if not datasets:
        raise ValueError("`dataset` must be a dataset, or a list of at least one. Received: an empty list")
    for domain in datasets:
        if not isinstance(domain, ClassIndex):
            raise TypeError(f"`dataset` must be a ClassDataset. Received: {type(domain).__name__}")
        _check_alike("The domains of `dataset`", datasets[0], domain)
    if proportions is not None:
        values = np.asarray(proportions)
        valid = values.dtype.kind in "iuf" and values.shape == (len(datasets),)
        if not valid or not np.all(np.isfinite(values) & (values > 0)):
            raise ValueError(
                f"`proportions` must be one positive number for each of the {len(datasets)} domains. "
                f"Received: {proportions!r}"
            )
    return datasets


def check_query_dataset(datasets, query_dataset):
    """The queries' dataset, its classes in the order of the support's."""
    if not isinstance(query_dataset, ClassIndex):
        raise TypeError(f"`query_dataset` must be a ClassDataset. Received: {type(query_dataset).__name__}")
    if len(datasets) != 1:
        raise ValueError(f"`query_dataset` needs a single `dataset`. Received: {len(datasets)} domains")
    dataset = datasets[0]
    if query_dataset is dataset:
        raise ValueError("`query_dataset` must be another dataset than `dataset`. Received: the same one")
    _check_alike("`dataset` and `query_dataset`", dataset, query_dataset)
    known = set(query_dataset.class_names)
    missing = [name for name in dataset.class_names if name not in known]
    if missing:
        raise ValueError(
            "`query_dataset` must have every class of `dataset`; leave classes out with `dataset.select(...)`. "
            f"Received: {len(missing)} classes without queries, among them {missing[:10]}"
        )
    same_order = query_dataset.class_names == dataset.class_names
    return query_dataset if same_order else query_dataset.select(dataset.class_names)


def check_enough_classes(datasets, size, within_parent):
    """Refuses domains, or parents, that have too few classes for a task."""
    smallest, largest = size.ways
    for number, dataset in enumerate(datasets):
        name = _name(datasets, number)
        if not within_parent:
            if dataset.num_classes < largest:
                raise ValueError(
                    f"`ways` must be at most the {dataset.num_classes} classes of {name}. Received: {largest}"
                )
            continue
        if dataset.parents is None:
            raise ValueError(f"`within_parent` needs `ClassDataset(parents=...)`. Received: {name} without parents")
        # If the root above a class has enough classes, the class can be drawn, even if its other parents are too
        # small.
        below = classes_below(dataset.parents, dataset.class_names)
        small = {root: len(below[root]) for root in roots(dataset.parents) if len(below[root]) < smallest}
        if small:
            listed = ", ".join(f"{root!r} with {count}" for root, count in list(small.items())[:10])
            raise ValueError(
                f"`ways` must be at most the number of classes of every parent; {len(small)} parents of {name} have "
                f"fewer than {smallest}: {listed}. Leave their classes out with `dataset.select(...)`. "
                f"Received: ways={smallest if smallest == largest else size.ways}"
            )


def check_enough_examples(datasets, query_datasets, size):
    """Refuses classes with too few examples for a task."""
    (_, shots), (_, queries) = size.shots, size.queries
    if query_datasets is datasets:
        needs = [("shots + queries", datasets, shots + queries)]
    else:
        needs = [("shots", datasets, shots), ("queries", query_datasets, queries)]
    for argument, parts, needed in needs:
        for number, dataset in enumerate(parts):
            sizes = dataset.class_sizes
            if sizes.min() >= needed:
                continue
            small = [name for name, count in zip(dataset.class_names, sizes) if count < needed]
            of = f" of {_name(parts, number)}" if len(parts) > 1 else ""
            raise ValueError(
                f"`{argument}` must be at most the number of examples of every class; {len(small)} classes{of} have "
                f"fewer, among them {small[0]!r} with {sizes[dataset.class_names.index(small[0])]}. "
                f"Leave them out with `dataset.select(...)`. Received: shots={shots}, queries={queries}"
            )


def _name(datasets, number):
    if len(datasets) == 1:
        return "the dataset"
    return f"the domain {datasets[number].domain or number!r}"


def _check_range(name, number):
    if not isinstance(number, (tuple, list)):
        check_whole(**{name: number})
        return int(number), int(number)
    integers = all(isinstance(value, (int, np.integer)) for value in number)
    if len(number) != 2 or not integers or not 1 <= number[0] <= number[1]:
        raise ValueError(
            f"`{name}` must be a positive integer or a pair of them, (smallest, largest). Received: {number!r}"
        )
    return int(number[0]), int(number[1])


def _check_alike(what, one, other):
    if one.example_shape != other.example_shape or one.dtype != other.dtype:
        raise ValueError(
            f"{what} must hold examples of one shape and dtype; load them with one `image_size`. Received: "
            f"{one.domain or 'a dataset'} with {one.example_shape} {one.dtype} and "
            f"{other.domain or 'a dataset'} with {other.example_shape} {other.dtype}"
        )
