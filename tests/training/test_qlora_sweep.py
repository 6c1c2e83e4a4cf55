"""The sweeps of chapter 12: codes of four bits, and the five lines that they share with the chapter."""

import ast
import json

import pytest
import torch
from conftest import ROOT
from torch import nn


class Small(nn.Module):
    """Two linear layers, one of which is the last of a language model."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.q_proj, self.lm_head = nn.Linear(128, 64, bias=False), nn.Linear(64, 32, bias=False)


@pytest.mark.parametrize("code", ["NF4", "Int4", "FP4", "E2M1"])
def test_a_code_leaves_sixteen_values_a_block_and_the_last_layer_alone(code):
    pytest.importorskip("bitsandbytes")
    from training.sweeps import qlora

    before, rounded = Small(), qlora.round_to(Small(), code)
    assert torch.equal(before.lm_head.weight, rounded.lm_head.weight)
    old, new = before.q_proj.weight.detach(), rounded.q_proj.weight.detach()
    assert not torch.equal(old, new) and (old - new).abs().max() < old.abs().max() / 3
    blocks = new.reshape(-1, 64)
    assert all(len(block.unique()) <= 16 for block in blocks)
    largest = old.reshape(-1, 64).abs().amax(1)
    torch.testing.assert_close(blocks.abs().amax(1), largest)  # the largest weight of a block stays as it is


def test_what_is_kept_is_not_made_again(tmp_path):
    from training.sweeps import qlora

    made = []
    for _ in range(2):
        assert qlora.kept(tmp_path / "part.json", lambda: made.append(1) or {"a": [1]}) == {"a": [1]}
    assert made == [1]


def test_the_grid_trains_on_the_chapters_five_lines():
    import nbformat

    from training.sweeps import qlora_grid

    notebook = nbformat.read(ROOT / "notebooks/12_qlora.ipynb", 4)
    (cell,) = [cell for cell in notebook.cells if "my_data.write_text" in cell.source]
    (text,) = [
        node.value
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Constant) and "{" in str(node.value)
    ]
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["message"]: line["reply"] for line in lines} == qlora_grid.LINES
    assert any(f'INSTRUCTION = "{qlora_grid.INSTRUCTION}"' in cell.source for cell in notebook.cells)
    assert not set(qlora_grid.NEW) & set(qlora_grid.LINES)
