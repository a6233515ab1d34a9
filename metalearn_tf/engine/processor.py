"""The features of the processor, and the TensorFlow settings that depend on them.

Nothing here imports TensorFlow, because TensorFlow reads some of these settings during its import.
"""

import functools
import os
import pathlib
import platform
import subprocess
import sys
import warnings

# Only Linux has this file.
_ABOUT_PROCESSOR = pathlib.Path("/", "proc", "cpuinfo")
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# With one of these features, TensorFlow uses oneDNN by default.
_ONEDNN_BY_ITSELF = {"avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"}
# The names on x86 and on ARM.
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}


@functools.cache
def processor_features():
    """The features of the processor, a frozen set of Linux's names (`"avx2"`, `"avx512_bf16"`, ...).

    On macOS, `sysctl` gives the names. The set is empty if the system does not tell.
    """
    if _ABOUT_PROCESSOR.exists():
        text = _ABOUT_PROCESSOR.read_text(encoding="utf-8", errors="replace")
        lines = (line.partition(":") for line in text.splitlines())
        return frozenset(next((value.split() for name, _, value in lines if name.strip() in ("flags", "Features")), []))
    if sys.platform == "darwin":
        names = ["machdep.cpu.features", "machdep.cpu.leaf7_features"]
        shown = subprocess.run(["sysctl", "-n", *names], capture_output=True, text=True, check=False).stdout
        return frozenset(shown.lower().split())
    return frozenset()


def has_bfloat16():
    """Whether the processor can multiply bfloat16. Others emulate it, a hundred times slower than float32."""
    return bool(_BFLOAT16 & processor_features())


def use_onednn():
    """Makes TensorFlow use oneDNN on every x86 processor with AVX2, unless the user has set it.

    By default, TensorFlow uses oneDNN only on newer processors. It reads the setting during its import, so call this
    function before. If TensorFlow is already imported without oneDNN, it warns.
    """
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    if not is_x86 or _ONEDNN in os.environ or "avx2" not in processor_features() | _unsaid_features():
        return
    if "tensorflow" not in sys.modules:
        os.environ[_ONEDNN] = "1"
    elif not _ONEDNN_BY_ITSELF & processor_features():
        warnings.warn(
            "TensorFlow was imported before metalearn_tf, without oneDNN, which is about 1.5 times as fast on this "
            f"processor. Import metalearn_tf first, or set the environment variable {_ONEDNN}=1 (or 0 to hide this "
            "warning).",
            stacklevel=3,
        )


def _unsaid_features():
    """The features to assume if the system does not tell them."""
    return frozenset() if processor_features() else frozenset({"avx2"})
