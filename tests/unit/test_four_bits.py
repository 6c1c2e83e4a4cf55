"""Weights go through NF4 and back."""

import pytest
import torch
from torch import nn

from bookkit import four_bits
from bookkit.errors import BookError


def test_linear_layers_are_rounded_and_nothing_else():
    torch.manual_seed(0)
    parts = {"emb": nn.Embedding(8, 64), "proj": nn.Linear(64, 32, dtype=torch.bfloat16), "lm_head": nn.Linear(64, 8)}
    model = nn.ModuleDict(parts)
    before = {name: weights.detach().clone() for name, weights in model.state_dict().items()}
    after = four_bits.through_nf4(model).state_dict()
    for name in before.keys() - {"proj.weight"}:
        assert torch.equal(after[name], before[name]), name
    old, new = before["proj.weight"].float(), after["proj.weight"]
    assert new.dtype == torch.bfloat16
    assert all(len(row.unique()) <= 16 < len(was.unique()) for row, was in zip(new, old, strict=True))
    error = (new.float() - old).square().mean().sqrt() / old.std()
    assert 0.01 < error < 0.15


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setattr(four_bits.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BookError, match="^bitsandbytes is not installed: run `pip install bitsandbytes`.$"):
        four_bits.through_nf4(nn.Linear(64, 64))
