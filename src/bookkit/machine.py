"""The machine under a measurement: its processor, and those of its features that change a chapter's time."""

import os
import platform
import subprocess
import sys
from pathlib import Path

FEATURES = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "bf16": {"avx512_bf16", "amx_bf16", "bf16", "hw.optional.arm.feat_bf16"},
    "AMX": {"amx_tile"},
}
"""Each feature, and the flags by which a system says that the processor has it."""


def describe() -> dict:
    """The machine as data/status.json records it.

    Returns:
        ``cores``, ``processor``, ``python``, and ``features``: for each of AVX2, AVX-512, bf16 and AMX whether the
        processor has it. Where the system does not tell, ``features`` is empty.
    """
    found = flags()
    return {
        "cores": os.cpu_count(),
        "processor": processor(),
        "python": platform.python_version(),
        "features": {name: bool(signs & found) for name, signs in FEATURES.items()} if found else {},
    }


def processor() -> str:
    """The processor's name, or at least its architecture."""
    if sys.platform == "darwin":
        name = _sysctl("-n", "machdep.cpu.brand_string").strip()
    else:
        name = _cpuinfo("model name")
    return f"{name} ({platform.machine()})" if name else platform.machine()


def flags() -> set[str]:
    """What the system says that the processor can do, in lower case; empty where it does not say."""
    if sys.platform == "darwin":
        lines = [line.partition(":") for line in _sysctl("hw.optional", "machdep.cpu").lower().splitlines()]
        switches = {name for name, _, value in lines if value.strip() == "1"}
        listed = [value for name, _, value in lines if name.startswith("machdep.cpu") and name.endswith("features")]
        return switches | set(" ".join(listed).split())
    return set((_cpuinfo("flags") or _cpuinfo("Features")).lower().split())


def _cpuinfo(key: str) -> str:
    """The first value of a key in Linux's /proc/cpuinfo; "" elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next(
        (value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == key), ""
    )


def _sysctl(*words: str) -> str:
    try:
        return subprocess.run(["sysctl", *words], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
