"""bookkit.meter: what a block took."""

import platform
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from bookkit import meter


def test_seconds_and_peak_memory_of_a_block():
    before = meter.resident_bytes([psutil.Process()])
    with meter.measure() as reading:
        block = np.ones(25_000_000)  # 200 MB
        time.sleep(0.1)
        del block
    assert 0.1 <= reading.seconds < 10
    assert reading.peak_bytes - before > 150e6


def test_the_reading_stands_after_an_error():
    try:
        with meter.measure() as reading:
            raise KeyError
    except KeyError:
        pass
    assert reading.seconds > 0 and reading.peak_bytes > 0


def test_another_process_with_its_children_and_one_that_has_ended():
    child = subprocess.Popen([sys.executable, "-c", "x = bytearray(80_000_000); input()"], stdin=subprocess.PIPE)
    try:
        with meter.measure(child.pid) as reading:
            time.sleep(1)
    finally:
        child.communicate(b"\n")
    assert reading.peak_bytes > 80e6
    assert meter.resident_bytes([psutil.Process()]) > 0


RELEASED = """
import psutil
from bookkit import meter
resident = lambda: meter.resident_bytes([psutil.Process()])
blocks = [bytearray(100_000) for _ in range(3000)]  # 300 MB in blocks that the C library keeps
kept = blocks[::100]
blocks.append(blocks)  # only the collector finds that nothing refers to them any more
del blocks
before = resident()
meter.release()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to give back what it keeps")
def test_what_nothing_refers_to_goes_back_to_the_system():
    freed = subprocess.run([sys.executable, "-c", RELEASED], capture_output=True, text=True, check=True)
    assert int(freed.stdout) > 250e6


def test_parameters_count_shared_tensors_once():
    import torch

    layer = torch.nn.Linear(3, 5)
    tied = torch.nn.ModuleList([layer, layer])
    assert meter.parameters(tied) == 20
    assert meter.parameter_bytes(tied) == 80
    assert meter.parameter_bytes(tied.half()) == 40
