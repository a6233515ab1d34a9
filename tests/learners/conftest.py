"""Which runs of the contract are long gates."""

import pytest

# These two run all of the contract by default. The others share its code, and run it with one normalisation.
_IN_FULL = ("MAML", "PrototypicalNetwork")


def pytest_collection_modifyitems(items):
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if item.module.__name__ != "test_contract" or parameters.get("build", _IN_FULL[0]) in _IN_FULL:
            continue
        if {"support", "running"} & set(item.callspec.id.split("-")):
            item.add_marker(pytest.mark.slow)
