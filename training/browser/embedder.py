"""The graph of the role `embedder` for the search lab: a sentence's token ids become its vector.

The lab gets MiniLM's weights as eight bits (:mod:`bookkit.eight_bits`), packed from the fetched model while the site is
built. Here the network is written out over exactly these numbers, one sentence at a time and without padding, so that
the graph points at them and turns them back into fractions by itself: rows of a table after they were looked up,
matrices once, while the runtime loads.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from bookkit.ask import browser
from bookkit.eight_bits import SCALE
from bookkit.errors import BookError
from training.browser import graphs

MAKERS = ("torch", "onnx", "onnxscript")


class Encoder(torch.nn.Module):
    """Token ids (1, length) -> the vector of the sentence (width,), of length 1."""

    def __init__(self, weights: Path, config: dict):
        super().__init__()
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.epsilon = config["layer_norm_eps"]
        for name, tensor in load_file(weights).items():
            self.register_buffer(name.replace(".", "/"), tensor)

    def of(self, name: str) -> torch.Tensor:
        return self.get_buffer(name.replace(".", "/"))

    def rows(self, table: str, ids: torch.Tensor) -> torch.Tensor:
        name = f"embeddings.{table}_embeddings.weight"
        return self.of(name)[ids].float() * self.of(name + SCALE)[ids].unsqueeze(-1)

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        whole, scale = self.of(f"{name}.weight"), self.of(f"{name}.weight{SCALE}")
        return x @ (whole.float() * scale.unsqueeze(1)).T + self.of(f"{name}.bias")

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], self.of(f"{name}.weight"), self.of(f"{name}.bias"), self.epsilon)

    def attention(self, name: str, x: torch.Tensor) -> torch.Tensor:
        def split(part: str) -> torch.Tensor:
            return self.linear(f"{name}.self.{part}", x).unflatten(-1, (self.heads, -1)).transpose(0, 1)

        query, key, value = split("query"), split("key"), split("value")
        looks = torch.softmax(query @ key.transpose(1, 2) * query.shape[-1] ** -0.5, dim=-1)
        return self.linear(f"{name}.output.dense", (looks @ value).transpose(0, 1).flatten(1))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        ids = ids[0]
        places, kind = torch.arange(ids.shape[0]), torch.zeros(1, dtype=torch.int64)
        x = self.rows("word", ids) + self.rows("position", places) + self.rows("token_type", kind)
        x = self.norm("embeddings.LayerNorm", x)
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}"
            x = self.norm(f"{name}.attention.output.LayerNorm", x + self.attention(f"{name}.attention", x))
            inner = F.gelu(self.linear(f"{name}.intermediate.dense", x))
            x = self.norm(f"{name}.output.LayerNorm", x + self.linear(f"{name}.output.dense", inner))
        return F.normalize(x.mean(dim=0), dim=0)


def networks(config: dict, weights: Path) -> dict[str, tuple]:
    """As :func:`training.browser.graphs.networks`: the model's configuration, and its weights as eight bits."""
    ids = torch.randint(0, config["vocab_size"], (1, 16), generator=torch.Generator().manual_seed(0))
    length = torch.export.Dim("length", min=2, max=browser.LONGEST)
    return {"encoder": (Encoder(weights, config), {"ids": ids}, ["vector"], weights.name, {"ids": {1: length}})}


def write(target: Path) -> dict:
    """Export the graph of the fetched embedder.

    Raises:
        BookError: the embedder has not been fetched.
    """
    model = browser.folder()
    if model is None:
        raise BookError("The embedder is not in the cache: run `python -m bookkit fetch embedder`.")
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "encoder.safetensors"
        weights.write_bytes(browser.pack(model))
        return graphs.write(networks(config, weights), weights.parent, target, MAKERS)
