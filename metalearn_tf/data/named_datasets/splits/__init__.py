"""Which classes of a benchmark are in which split: one JSON file per benchmark, with its source."""

import json
from importlib import resources


def read_split_lists(name):
    """The content of `<name>.json`: a dict with a list of names for each split."""
    return json.loads(resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
