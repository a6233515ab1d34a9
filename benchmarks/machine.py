"""What the benchmarks share: the machine, and processes of their own."""

import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import sys


def describe_machine():
    """One line: processor, cores, memory, versions."""
    text = _about_processor()
    names = re.findall(r"model name\s*: (.+)", text)
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in text.split()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras", "numpy"))
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores ({', '.join(flags)}), "
        f"{memory:.0f} GiB, Python {platform.python_version()}, {versions}, load {os.getloadavg()[0]:.2f}"
    )


def dtypes():
    """The types that this processor computes by itself: an emulated bfloat16 would not end in ten minutes."""
    has_bfloat16 = {"avx512_bf16", "amx_bf16", "bf16"} & set(_about_processor().split())
    return ("float32", "bfloat16") if has_bfloat16 else ("float32",)


def _about_processor():
    """What Linux says of the processor; elsewhere nothing. Not by the library, which would start TensorFlow here."""
    information = pathlib.Path("/proc/cpuinfo")
    return information.read_text() if information.exists() else ""


def run(command, **kwargs):
    """The standard output of a command; its error output goes to ours when it fails."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    if result.returncode:
        sys.stderr.write(result.stderr)
        raise SystemExit(f"{' '.join(map(str, command))} failed with status {result.returncode}")
    return result.stdout
