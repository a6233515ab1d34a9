"""Programs that run as several workers on this machine."""

import os
import pathlib
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).with_name("worker_process.py")


def start(configs, *arguments):
    """The processes of `worker_process.py`, one for each `TF_CONFIG`; `None` for one without."""
    processes = []
    for config in configs:
        environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
        environment |= {} if config is None else {"TF_CONFIG": config}
        command = [sys.executable, PROGRAM, *map(str, arguments)]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    return processes


def finish(processes):
    """Waits for all, and gives what each wrote to stderr; none may fail."""
    errors = [process.communicate(timeout=400)[1] for process in processes]
    for process, error in zip(processes, errors):
        assert process.returncode == 0, error[-5000:]
    return errors
