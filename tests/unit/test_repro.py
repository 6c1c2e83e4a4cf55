"""bookkit.repro: the same seed gives the same numbers, and the line names what ran."""

import random

import numpy as np
import pytest
import torch

from bookkit import repro


def draw() -> tuple:
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_the_same_seed_gives_the_same_draws(capsys):
    repro.setup(seed=3)
    first = draw()
    repro.setup(seed=3)
    assert draw() == first
    repro.setup(seed=4)
    assert draw() != first
    assert "seed 4" in capsys.readouterr().out


def test_threads_are_set_when_asked():
    before = torch.get_num_threads()
    try:
        repro.setup(threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_the_versions_line_names_what_is_there_and_what_is_not():
    line = repro.versions_line(("numpy", "no-such-package"))
    assert f"numpy {np.__version__}" in line and "no-such-package not installed" in line


def test_the_device_can_be_chosen(monkeypatch):
    monkeypatch.setenv("BOOK_DEVICE", "cpu")
    assert repro.device() == "cpu"
    monkeypatch.delenv("BOOK_DEVICE")
    assert repro.device() in ("cpu", "cuda", "mps")


@pytest.fixture(autouse=True)
def leave_the_generators_alone():
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])
