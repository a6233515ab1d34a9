"""The cores that this process may use."""

import math
import os
import pathlib

# Where Linux says it; nowhere on other systems.
_CONTROL_GROUPS = pathlib.Path("/", "sys", "fs", "cgroup")
_OWN_GROUP = pathlib.Path("/", "proc", "self", "cgroup")


def usable_cores():
    """How many cores this process may use; at least 1.

    Not those of the machine, as `os.cpu_count` counts: a job of a cluster is bound to some of them, and a container
    has a share of their time. More threads than that wait for each other.

    Returns:
        The least of the cores that the process is bound to (`os.process_cpu_count` where Python has it, which also
        heeds `PYTHON_CPU_COUNT`) and of the time that its control groups grant it, rounded up.
    """
    if hasattr(os, "process_cpu_count"):  # from Python 3.13
        cores = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):  # on Linux
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min([cores, *map(math.ceil, _granted_shares())])


def _granted_shares():
    """The cores' worth of time that control groups grant, one number for each limit; of both versions of them."""
    # Inside a container its group is the root; outside, each group above may have a limit of its own.
    for folder in (_CONTROL_GROUPS, *_groups_of_process()):
        quota = _numbers(folder / "cpu.max") or _numbers(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
        if quota and min(quota) > 0:
            yield quota[0] / quota[1]


def _groups_of_process():
    """The folders of this process's groups that limit its time, and of those above."""
    if not _OWN_GROUP.exists():
        return
    for line in _OWN_GROUP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            group = pathlib.PurePosixPath(path.lstrip("/"))
            for part in (group, *group.parents):
                yield _CONTROL_GROUPS / controllers / part


def _numbers(*files):
    """The quota and the period of a group in one file or two; `None` where there is no limit."""
    if not all(file.is_file() for file in files):
        return None
    words = [word for file in files for word in file.read_text().split()]
    return None if "max" in words or len(words) != 2 else [int(word) for word in words]
