"""The cores that this process may use."""

import math
import os
import pathlib

# Only Linux has this folder.
_CONTROL_GROUPS = pathlib.Path("/", "sys", "fs", "cgroup")
_OWN_GROUP = pathlib.Path("/", "proc", "self", "cgroup")


def usable_cores():
    """How many cores this process may use; at least 1.

    `os.cpu_count` counts all cores of the machine. But a cluster job may use only some of them, and a container gets
    only a share of their time. More threads than this would wait for each other.

    Returns:
        The smaller of two numbers: the cores that the process is bound to (by `os.process_cpu_count` if Python has it,
        which also reads `PYTHON_CPU_COUNT`), and the CPU time of its control groups, rounded up.
    """
    if hasattr(os, "process_cpu_count"):  # from Python 3.13
        cores = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):  # on Linux
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min([cores, *map(math.ceil, _granted_shares())])


def _granted_shares():
    """The CPU time that control groups (versions 1 and 2) grant, in cores: one number for each limit."""
    # Inside a container, its group is the root. Outside, each parent group may have its own limit.
    for folder in (_CONTROL_GROUPS, *_groups_of_process()):
        quota = _numbers(folder / "cpu.max") or _numbers(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
        if quota and min(quota) > 0:
            yield quota[0] / quota[1]


def _groups_of_process():
    """The folders of the control groups that limit this process's time, and of their parents."""
    if not _OWN_GROUP.exists():
        return
    for line in _OWN_GROUP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            group = pathlib.PurePosixPath(path.lstrip("/"))
            for part in (group, *group.parents):
                yield _CONTROL_GROUPS / controllers / part


def _numbers(*files):
    """The quota and the period of a group, from one or two files; `None` if there is no limit."""
    if not all(file.is_file() for file in files):
        return None
    words = [word for file in files for word in file.read_text().split()]
    return None if "max" in words or len(words) != 2 else [int(word) for word in words]
