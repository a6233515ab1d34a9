"""Datasets of several domains."""


def domain_names(argument, datasets, least=1):
    """The names of the domains of datasets, each of which has one of its own.

    Args:
        argument: name of the argument, for the errors.
        datasets: list of objects with a `domain`.
        least: how many there must be.

    Raises:
        ValueError: if there are fewer, or a domain has no name or that of another.
    """
    names = [dataset.domain for dataset in datasets]
    if len(names) < least or None in names or len(set(names)) != len(names):
        raise ValueError(
            f"`{argument}` must hold {least} or more datasets, each with a domain of its own; "
            f"`ClassDataset(domain=...)` gives it one. Received: {len(names)}, of the domains {names}"
        )
    return names
