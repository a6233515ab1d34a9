"""Datasets of several domains."""


def domain_names(argument, datasets, least=1):
    """Checks that each dataset has its own domain, and returns the names of the domains.

    Args:
        argument: name of the argument, for the errors.
        datasets: list of objects with a `domain`.
        least: the smallest number of datasets.

    Raises:
        ValueError: if there are fewer datasets, a domain has no name, or two have the same name.
    """
    names = [dataset.domain for dataset in datasets]
    if len(names) < least or None in names or len(set(names)) != len(names):
        raise ValueError(
            f"`{argument}` must hold {least} or more datasets, each with a domain of its own; "
            f"`ClassDataset(domain=...)` gives it one. Received: {len(names)}, of the domains {names}"
        )
    return names
