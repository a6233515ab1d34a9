"""Arguments that belong together are an object; single fields of it may be given by their names."""

import dataclasses


def with_fields(fields, **groups):
    """Replaces fields of dataclass instances.

    Args:
        fields: a dictionary of names and values.
        **groups: dataclass instances, by the names of the arguments that they are. No two have a field of one name.

    Returns:
        A list of the instances with the given fields, in order. Their own checks run.

    Raises:
        TypeError: if none of them has such a field.
    """
    owners = {field.name: name for name, group in groups.items() for field in dataclasses.fields(group)}
    unknown = [name for name in fields if name not in owners]
    if unknown:
        raise TypeError(
            f"unexpected keyword argument {unknown[0]!r}; beside the arguments of the signature, the fields of "
            f"{', '.join(f'`{name}`' for name in groups)} are accepted: {', '.join(owners)}"
        )
    return [
        dataclasses.replace(group, **{key: value for key, value in fields.items() if owners[key] == name})
        for name, group in groups.items()
    ]
