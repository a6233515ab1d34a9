"""The cores that a process may use, on machines made of files."""

import os

from metalearn_tf.engine import usable_cores as module
from metalearn_tf.engine.usable_cores import usable_cores

import pytest


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Sixteen cores to run on, and control groups to be written."""
    monkeypatch.setattr(module, "_CONTROL_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(module, "_OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16, raising=False)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def test_without_limits_all_that_the_process_is_bound_to(machine):
    assert usable_cores() == 16


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux alone binds processes to cores so")
def test_a_process_bound_to_one_core_uses_one(monkeypatch):
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cgroup/cpu.max": "max 100000\n"}, 16),
        ({"cgroup/cpu.max": "100000 100000\n"}, 1),  # a container of one core
        ({"cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"cgroup/cpu.max": "250000 100000\n"}, 3),
        ({"cgroup/cpu.max": "9900000 100000\n"}, 16),
        ({"own": "0::/user/job\n", "cgroup/user/job/cpu.max": "max 100000", "cgroup/user/cpu.max": "400000 100000"}, 4),
        ({"own": "3:cpu,cpuacct:/job\n0::/\n", "cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "200000\n",
          "cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n"}, 2),
        ({"own": "3:cpu:/\n", "cgroup/cpu/cpu.cfs_quota_us": "-1\n", "cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 16),
    ],
)  # fmt: skip
def test_the_time_that_control_groups_grant(files, expected, machine):
    for name, text in files.items():
        machine(name, text)
    assert usable_cores() == expected


def test_no_other_way_to_count_cores_is_used():
    import ast
    import pathlib

    import metalearn_tf

    for path in pathlib.Path(metalearn_tf.__file__).parent.rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        if path.name != "usable_cores.py":
            assert not names & {"cpu_count", "process_cpu_count", "sched_getaffinity"}, path
