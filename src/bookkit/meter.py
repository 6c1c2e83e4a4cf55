"""Measure a block of code: seconds and peak memory; count a model's parameters and bytes; give memory back."""

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

SAMPLING_SECONDS = 0.02
FAMILY_SECONDS = 1.0  # to find the children, the whole machine's processes are read


@dataclass
class Reading:
    """What a measured block took; filled when the block ends.

    Attributes:
        seconds: wall-clock time.
        peak_bytes: largest resident memory of the watched processes, in bytes.
    """

    seconds: float = 0.0
    peak_bytes: int = 0


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and its children, down to the last; only the process itself once it has ended."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return [process]


def resident_bytes(processes: list[psutil.Process]) -> int:
    """Return the resident memory of processes together, in bytes; those that have ended count nothing."""
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


@contextmanager
def measure(pid: int | None = None) -> Iterator[Reading]:
    """Measure the block's wall-clock seconds and the peak resident memory of a process tree.

    The memory is sampled every 20 ms, and children are looked for every second, so a shorter peak can be missed.

    Args:
        pid: process to watch; None is this one.
    """
    process, reading, done = psutil.Process(pid), Reading(), threading.Event()

    def watch() -> None:
        watched, looked = family(process), time.monotonic()
        while not done.wait(SAMPLING_SECONDS):
            if time.monotonic() - looked > FAMILY_SECONDS:
                watched, looked = family(process), time.monotonic()
            reading.peak_bytes = max(reading.peak_bytes, resident_bytes(watched))

    watcher = threading.Thread(target=watch, daemon=True)
    reading.peak_bytes = resident_bytes([process])
    watcher.start()
    started = time.perf_counter()
    try:
        yield reading
    finally:
        reading.seconds = time.perf_counter() - started
        done.set()
        watcher.join()


def release() -> None:
    """Give the memory of what nothing refers to any more back to the system.

    Collecting garbage frees it for this process alone. On Linux, the C library keeps freed blocks below 32 MB, such
    as the layers of a small model, for later, and the next model may not fit into the gaps (malloc_trim(3)).
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries than glibc have none
        if trim is not None:
            trim(0)


def parameters(model) -> int:
    """Return the number of parameters of a torch module; shared tensors count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def parameter_bytes(model) -> int:
    """Return the bytes that a torch module's parameters occupy; shared tensors count once."""
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
