"""The next-token viewer's Python side: what it keeps of the logits, what it draws, what it refuses."""

import json
import re

import numpy as np
import pytest

from bookkit.errors import BookError
from bookkit.viewers import next_token


def data_of(html) -> dict:
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def logits(size=50_000, seed=0, spread=2.5):
    return np.random.default_rng(seed).normal(size=size) * spread


def name(ids):
    return [f" t{i}" for i in ids]


def viewer(*rows, **options):
    return next_token.viewer([("Once upon a", row) for row in rows], name, **options)


@pytest.mark.parametrize("spread", [0.01, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("temperature", [0.3, 0.7, 1.0, 2.0])
def test_the_rest_is_right_at_every_temperature(spread, temperature):
    row = logits(spread=spread)
    position = data_of(viewer(row))["positions"][0]
    total = sum(np.exp(t["logit"] / temperature) for t in position["tokens"])
    total += sum(n * np.exp(mean / temperature) for mean, n in position["rest"])
    exact = np.exp((row - row.max()) / temperature).sum()
    assert len(position["tokens"]) + sum(n for _, n in position["rest"]) == len(row)
    assert abs(total / exact - 1) < (2e-3 if temperature < 0.5 else 5e-4)


def test_tokens_stand_in_order_with_their_names():
    row = np.zeros(1000)
    row[[7, 3, 999]] = [3.0, 2.0, 1.0]
    data = data_of(viewer(row))
    tokens = data["positions"][0]["tokens"]
    assert [t["parts"] for t in tokens[:3]] == [[["w", "·"], ["t", f"t{i}"]] for i in (7, 3, 999)]
    assert [t["logit"] for t in tokens[:4]] == [0, -1, -2, -3] and len(tokens) == next_token.NAMED
    # Names may be a list as well, and those of a byte-level tokenizer are turned back.
    tokens = data_of(next_token.viewer([("x", [2.0, 1.0, 0.0])], ["Ġthe", "ðŁ", "Ċ"]))["positions"][0]["tokens"]
    assert [t["parts"] for t in tokens] == [[["w", "·"], ["t", "the"]], [["x", "F0 9F"]], [["w", "⏎"]]]


def test_small_vocabularies_tensors_and_tokens_that_cannot_come():
    torch = pytest.importorskip("torch")
    row = torch.tensor([[1.0, -np.inf, 3.0]], dtype=torch.bfloat16)
    position = data_of(viewer(row))["positions"][0]
    assert [t["logit"] for t in position["tokens"]] == [0, -2] and position["rest"] == []


def test_alt_static_picture_and_size():
    html = viewer(np.log([0.7, 0.2, 0.1]))
    assert "The likeliest tokens after “Once upon a”: t0 (70%), t1 (20%), t2 (10%)." in html.data
    static = html.data.partition('<div class="bookkit-static">')[2].partition("<noscript>")[0]
    assert "<svg" in static and ">70.0%</text>" in static
    size = len(viewer(*(logits(seed=i) for i in range(8))).data.encode())
    print(f"8 positions: {size:,} bytes")
    assert size < 300_000


def refuse(part, *arguments, **options):
    with pytest.raises(BookError, match=part) as caught:
        next_token.viewer(*arguments, **options)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_what_it_refuses():
    good = [("x", [1.0, 0.0])]
    refuse("no position", [], name)
    refuse("NaN or infinity", [("x", [1.0, np.nan])], name)
    refuse("NaN or infinity", [("x", [1.0, np.inf])], name)
    refuse("NaN or infinity", [("x", [-np.inf, -np.inf])], name)
    refuse(r"shape \(2, 2\)", [("x", np.zeros((2, 2)))], name)
    refuse(r"shape \(0,\)", [("x", [])], name)
    refuse("no array of numbers", [("x", "logits")], name)
    refuse("1 names for 2 ids", good, lambda ids: ["a"])
    refuse("list of texts", good, lambda ids: ids)
    for setting in ({"temperature": 0}, {"top_k": -1}, {"top_p": 0}, {"top_p": 1.1}, {"min_p": -0.1}):
        refuse("setting is impossible", good, name, **setting)
    refuse("top_k is 400", good, name, top_k=400)
    refuse("limit", [("x" * 300_000, [1.0, 0.0])], name)
