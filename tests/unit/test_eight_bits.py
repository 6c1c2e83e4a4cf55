"""Numbers as eight bits: how near they stay, and files whose bytes depend on names and shapes alone."""

import doctest

import numpy as np
import pytest
from safetensors.numpy import load, load_file, save_file

from bookkit import eight_bits


def test_the_example_of_the_docstring():
    assert doctest.testmod(eight_bits).failed == 0


def test_rows_stay_within_half_a_step():
    matrix = np.random.default_rng(0).normal(size=(50, 70)).astype(np.float32) * np.logspace(-9, 9, 50)[:, None]
    matrix = matrix.astype(np.float32)
    whole, scale = eight_bits.rows(matrix)
    assert whole.dtype == np.int8 and scale.dtype == np.float32
    assert (np.abs(whole).max(axis=1) == 127).all()
    off = np.abs(whole * scale[:, None] - matrix) / scale[:, None]
    assert off.max() <= 0.5001


def test_a_row_of_zeros_stays_zero():
    whole, scale = eight_bits.rows(np.zeros((2, 3), np.float32))
    assert not whole.any() and np.isfinite(scale).all()


@pytest.fixture
def source(tmp_path):
    random = np.random.default_rng(1)
    tensors = {
        "b.weight": random.normal(size=(5, 3)).astype(np.float32),
        "b.bias": random.normal(size=5).astype(np.float32),
        "a.weight": random.normal(size=(2, 3)).astype(np.float32),
        "unused.weight": random.normal(size=(4, 4)).astype(np.float32),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_packed_file_is_a_safetensors_file(source):
    content, exact = eight_bits.pack(source, lambda name: name[0] in "ab"), load_file(source)
    found = load(content)
    assert set(found) == {"a.weight", "a.weight.scale", "b.weight", "b.weight.scale", "b.bias"}
    assert (found["b.bias"] == exact["b.bias"]).all()
    near = found["b.weight"] * found["b.weight.scale"][:, None]
    assert np.abs(near - exact["b.weight"]).max() <= found["b.weight.scale"].max() / 2 * 1.001
    assert content == eight_bits.pack(source, lambda name: name[0] in "ab")
