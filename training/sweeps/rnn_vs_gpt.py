"""A recurrent network against a small GPT, at equal parameters and equal computing time (chapter 05).

    python training/sweeps/rnn_vs_gpt.py

Two architectures, three seeds, the same batches. Each is trained for about the same number of CPU seconds on
one core, at the learning rate that served it best in a short trial with another seed. Validation is not counted.
Since other programs on the machine slow a run down, the cost of a step is measured apart, in turns, and the
chapter compares losses at equal steps times cost.
Interrupt whenever you like: finished runs are kept below _build/sweeps/ and not repeated.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from datasets import load_dataset
from torch import nn
from torch.nn import functional as F
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

import bookkit
from bookkit import results

NAME = "rnn_vs_gpt"
CORPUS = "corpora/pocket_stories/sample.jsonl.xz"
TOKENIZER = "models/pocket-gpt2"
KINDS = ("GPT", "LSTM")
SEEDS = (0, 1, 2)
TRIAL_SEED, TRIAL_SECONDS, RATES = 100, 7, (0.001, 0.002, 0.004)
SECONDS = 60
MARKS = (2, 4, 7, 10, 15, 20, 30, 40, 50, 60)  # CPU seconds at which the validation loss is taken
STEPS = (10, 20)  # steps at which it is taken too, for the chapter to compute again
BATCH, CONTEXT, WARMUP = 4, 128, 20
WIDTH, LAYERS, HEADS = 128, 3, 4
HIDDEN = {"LSTM": 200}  # so that both have the same number of parameters within one in a thousand
VALIDATION_ROWS = 96


class Recurrent(nn.Module):
    """Two recurrent layers between an embedding and the same embedding as output head."""

    def __init__(self, kind: str, entries: int):
        super().__init__()
        self.embedding = nn.Embedding(entries, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.layers = getattr(nn, kind)(WIDTH, HIDDEN[kind], 2, batch_first=True)
        self.project = nn.Linear(HIDDEN[kind], WIDTH)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (batch, time) to logits (batch, time, entries)."""
        return self.project(self.layers(self.embedding(ids))[0]) @ self.embedding.weight.T


class Transformer(nn.Module):
    """The library's GPT-2, from ids to logits."""

    def __init__(self, entries: int):
        super().__init__()
        size = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": CONTEXT}
        ends = {"bos_token_id": 0, "eos_token_id": 0}
        off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        self.gpt = GPT2LMHeadModel(GPT2Config(vocab_size=entries, **size, **ends, **off))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (batch, time) to logits (batch, time, entries)."""
        return self.gpt(input_ids=ids).logits


def build(kind: str, entries: int, seed: int) -> nn.Module:
    """A network with weights that follow from the seed."""
    torch.manual_seed(seed)
    return Transformer(entries) if kind == "GPT" else Recurrent(kind, entries)


def streams(tokenizer) -> dict[str, torch.Tensor]:
    """The tokens of the stories of each split in one row, an end-of-text token before every text."""
    texts = load_dataset("json", data_files=str(bookkit.data(CORPUS)), split="train")
    found = {}
    for split in ("train", "validation"):
        chosen = [row["text"] for row in texts if row["split"] == split and row["kind"] == "story"]
        rows = tokenizer(chosen, verbose=False)["input_ids"]
        found[split] = torch.tensor([i for row in rows for i in (tokenizer.eos_token_id, *row)])
    return found


def batch(stream: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Stretches of CONTEXT + 1 tokens (BATCH, CONTEXT + 1), from anywhere in the stream."""
    starts = random.integers(0, len(stream) - CONTEXT, BATCH)
    return torch.stack([stream[start : start + CONTEXT + 1] for start in starts])


def loss_of(net: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Mean nats per token."""
    return F.cross_entropy(net(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def validate(net: nn.Module, stream: torch.Tensor) -> float:
    """Mean nats per token over rows that are evenly spread over the validation text."""
    starts = np.linspace(0, len(stream) - CONTEXT - 1, VALIDATION_ROWS).astype(int)
    rows = torch.stack([stream[start : start + CONTEXT + 1] for start in starts])
    return sum(loss_of(net, part).item() * len(part) for part in rows.split(16)) / len(rows)


def train(kind: str, seed: int, rate: float, seconds: float, data: dict, entries: int) -> dict:
    """Train for a number of CPU seconds; return the losses at marks of time and of steps."""
    net, random = build(kind, entries, seed), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, betas=(0.9, 0.95), fused=True)
    marks = [mark for mark in MARKS if mark <= seconds] or [seconds]
    at_time, at_step, spent, step = [], {}, 0.0, 0
    while marks:
        started = time.process_time()
        step += 1
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, step / WARMUP)
        loss_of(net, batch(data["train"], random)).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        spent += time.process_time() - started
        if step in STEPS:
            at_step[str(step)] = round(validate(net, data["validation"]), 4)
        if spent >= marks[0]:
            marks.pop(0)
            loss = round(validate(net, data["validation"]), 4)
            at_time.append({"seconds": round(spent, 2), "step": step, "loss": loss})
    return {"kind": kind, "seed": seed, "rate": rate, "at_time": at_time, "at_step": at_step}


def step_costs(data: dict, entries: int, rounds: int = 9, steps: int = 5) -> dict[str, float]:
    """CPU seconds of a training step of each architecture: the median over rounds, which take turns."""
    nets = {kind: build(kind, entries, 0) for kind in KINDS}
    optimizers = {kind: torch.optim.AdamW(net.parameters(), fused=True) for kind, net in nets.items()}
    random, found = np.random.default_rng(0), {kind: [] for kind in KINDS}
    for _ in range(rounds + 1):
        for kind, net in nets.items():
            started = time.process_time()
            for _ in range(steps):
                loss_of(net, batch(data["train"], random)).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizers[kind].step()
                optimizers[kind].zero_grad()
            found[kind].append((time.process_time() - started) / steps)
    return {kind: round(float(np.median(costs[1:])), 5) for kind, costs in found.items()}  # the first warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, help="do at most so many unfinished runs, then stop")
    left = parser.parse_args().runs
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(bookkit.data(TOKENIZER))
    data, entries = streams(tokenizer), len(tokenizer)
    work = bookkit.paths.root() / "_build" / "sweeps" / NAME
    work.mkdir(parents=True, exist_ok=True)

    def once(kind: str, seed: int, rate: float, seconds: float) -> dict:
        nonlocal left
        kept = work / f"{kind}-{seed}-{rate}-{seconds}.json"
        if not kept.exists():
            if left == 0:
                sys.exit(0)
            left = None if left is None else left - 1
            run = train(kind, seed, rate, seconds, data, entries)
            kept.write_text(json.dumps(run), encoding="utf-8")
            print(kind, seed, rate, run["at_time"][-1], flush=True)
        return json.loads(kept.read_text(encoding="utf-8"))

    trials = [once(kind, TRIAL_SEED, rate, TRIAL_SECONDS) for kind in KINDS for rate in RATES]
    best = {}
    for kind in KINDS:
        of_kind = [run for run in trials if run["kind"] == kind]
        best[kind] = min(of_kind, key=lambda run: run["at_time"][-1]["loss"])["rate"]
    runs = [once(kind, seed, best[kind], SECONDS) for kind in KINDS for seed in SEEDS]
    sizes = {kind: sum(p.numel() for p in build(kind, entries, 0).parameters()) for kind in KINDS}
    path = results.write(
        NAME,
        {
            "parameters": sizes,
            "rates": best,
            "step_seconds": step_costs(data, entries),
            "trials": trials,
            "runs": runs,
        },
        command=f"python training/sweeps/{NAME}.py",
        seeds=[TRIAL_SEED, *SEEDS],
        inputs=[
            Path(__file__).resolve().relative_to(bookkit.paths.root()).as_posix(),
            f"data/{CORPUS}",
            f"data/{TOKENIZER}/tokenizer.json",
        ],
    )
    print(f"written: {path}")


if __name__ == "__main__":
    main()
