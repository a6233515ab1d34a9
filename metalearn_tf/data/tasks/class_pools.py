"""What tasks may be drawn from, as tables: domains, the pools of classes in each, and the rows of each class."""

import dataclasses

import numpy as np

from metalearn_tf.data.task_tree import classes_below


@dataclasses.dataclass(frozen=True)
class ClassPools:
    """Domains hold pools, pools hold classes, classes hold rows. Their numbers run on from one domain to the next.

    A task draws a domain, one of its pools, and classes of that pool. A pool is a whole domain, or one node of its
    tree.

    Attributes:
        thresholds: float64 `(domains - 1,)`, ascending; domain `d` gets the uniform numbers in `[0, 1)` from
            `thresholds[d - 1]` to `thresholds[d]`.
        pools: int64 `(domains + 1,)`; domain `d` holds the pools `pools[d]` to `pools[d + 1]`.
        members: int64 `(pools + 1,)`; pool `p` holds `classes[members[p] : members[p + 1]]`.
        classes: int64, the classes of all pools, one pool after the other.
        support: int64 pair `(starts, sizes)` of the support rows of each class.
        query: the same for the query rows; the object `support` itself if one dataset gives both.
    """

    thresholds: np.ndarray
    pools: np.ndarray
    members: np.ndarray
    classes: np.ndarray
    support: tuple
    query: tuple


def make_class_pools(datasets, query_datasets, fewest, within_parent, proportions):
    """The tables of some domains.

    Args:
        datasets: a list of datasets, one for each domain.
        query_datasets: the datasets of the queries, with the same classes in the same order; `datasets` itself if
            queries come from there.
        fewest: the smallest number of ways; a node of a tree must have at least this many classes.
        within_parent: whether the pools are the nodes of the domain's tree.
        proportions: the share of each domain in the tasks, in any unit; `None` for equal shares.
    """
    pools_of_domains, first_class = [], 0
    for dataset in datasets:
        if within_parent:
            nodes = classes_below(dataset.parents, dataset.class_names).values()
            pools = [np.asarray(node) for node in nodes if len(node) >= fewest]
        else:
            pools = [np.arange(dataset.num_classes)]
        pools_of_domains.append([first_class + pool for pool in pools])
        first_class += dataset.num_classes
    pools = [pool for domain in pools_of_domains for pool in domain]
    shares = np.ones(len(datasets)) if proportions is None else np.asarray(proportions, "float64")
    support = _rows(datasets)
    return ClassPools(
        thresholds=np.cumsum(shares / shares.sum())[:-1],
        pools=_ends(pools_of_domains),
        members=_ends(pools),
        classes=np.concatenate(pools).astype("int64"),
        support=support,
        query=support if query_datasets is datasets else _rows(query_datasets),
    )


def first_rows(datasets):
    """The first row of each dataset, if the datasets follow each other: int64 `(datasets + 1,)`."""
    return _ends(datasets)


def _rows(datasets):
    starts = [first + dataset.offsets[:-1] for first, dataset in zip(first_rows(datasets), datasets)]
    sizes = [dataset.class_sizes for dataset in datasets]
    return np.concatenate(starts).astype("int64"), np.concatenate(sizes).astype("int64")


def _ends(parts):
    return np.cumsum([0, *map(len, parts)]).astype("int64")
