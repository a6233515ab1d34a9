"""What the processor computes by itself, and TensorFlow's settings that follow from it.

Nothing here imports TensorFlow, which reads some of these settings while it is imported.
"""

import functools
import os
import pathlib
import platform
import subprocess
import sys
import warnings

# Where Linux says it; nowhere on other systems.
_ABOUT_PROCESSOR = pathlib.Path("/", "proc", "cpuinfo")
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# With one of these TensorFlow takes oneDNN by itself.
_ONEDNN_BY_ITSELF = {"avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"}
# Of x86 and of ARM.
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}


@functools.cache
def processor_features():
    """The names of what the processor can do, as Linux has them (`"avx2"`, `"avx512_bf16"`, ...), a frozen set.

    Apple's processors are asked by `sysctl`. Empty where the system does not say it.
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
    """Whether the processor multiplies bfloat16 by itself. Others emulate it, a hundred times slower than float32."""
    return bool(_BFLOAT16 & processor_features())


def use_onednn():
    """Has TensorFlow compute with oneDNN on every x86 processor with AVX2, unless the user has decided on it.

    TensorFlow takes it by itself on newer processors only, and reads the setting while it is imported. So this is to be
    called before that; where it comes too late, it warns.
    """
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    if not is_x86 or _ONEDNN in os.environ or "avx2" not in processor_features() | _unsaid_features():
        return
    if "tensorflow" not in sys.modules:
        os.environ[_ONEDNN] = "1"
    elif not _ONEDNN_BY_ITSELF & processor_features():
        warnings.warn(
            "TensorFlow was imported before metalearn_tf, without oneDNN, which is about half as fast again on this "
            f"processor. Import metalearn_tf first, or set the environment variable {_ONEDNN}=1 (or 0, which silences "
            "this).",
            stacklevel=3,
        )


def _unsaid_features():
    """What is taken for granted where the system does not say what the processor can do."""
    return frozenset() if processor_features() else frozenset({"avx2"})
