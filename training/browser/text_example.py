"""What the text lab shows before a model is loaded: a text, and what the model expects behind it.

    python -m training.browser text

Writes book/_static/lab/text/example.json: the text, its tokens, the logits behind it (float32 as base64), the likeliest
tokens as text, and the sha256 of the weights.
"""

import base64
import json
from pathlib import Path

import numpy as np
import torch

from bookkit import files, paths

ROOT = paths.root()
MODEL = ROOT / "data/models/pocket-gpt2"
SHOWN = ROOT / "book/_static/lab/text/example.json"
TEXT = "Once upon a time there was a little"
NAMED = 100


@torch.no_grad()
def record(model: Path) -> dict:
    """The library's own tokens and logits."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    ids = [tokenizer.bos_token_id, *tokenizer(TEXT).input_ids]
    logits = network(torch.tensor([ids])).logits[0, -1].numpy()
    named = sorted({*ids, *np.argsort(-logits)[:NAMED].tolist()})
    return {
        "typed": TEXT, "ids": ids, "end": tokenizer.eos_token_id, "most": network.config.n_positions,
        "pieces": {str(id_): tokenizer.decode([id_]) for id_ in named},
        "weights": files.sha256(model / "model.safetensors"),
        "logits": base64.b64encode(logits.tobytes()).decode(),
    }  # fmt: skip


def write(model: Path) -> str:
    """Make the file; say what was made."""
    torch.set_num_threads(1)
    made = record(model)
    files.write_text(SHOWN, json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n")
    return f"{TEXT!r}: {SHOWN.stat().st_size:,} bytes"
