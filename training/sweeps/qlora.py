"""What chapter 12 cannot wait for: what merging leaves of an adapter, and what four bits cost.

    python -m training.sweeps.qlora

It can be interrupted: what is done stays in the work folder (QLORA_SWEEP_DIR or the cache), and the same command goes
on. Everything is computed in float32. Kept are:

- "merged": replies, by item, to every second test item, of the shipped adapter merged three ways, saved in 16 bits and
  loaded again: into what NF4 leaves of the weights ("dequantised"), into the weights that were never rounded
  ("unrounded"), and by peft inside a 4-bit model, which is rounded anew ("in four bits");
- "text": mean nats a token of each passage of two kinds, for the chat model "unrounded", rounded by four codes of four
  bits, and "with the adapter" on NF4;
- "plain": replies to everyday questions without and with the shipped adapter.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

import bookkit
from bookkit import paths, results
from bookkit.four_bits import through_nf4
from training import recipe
from training.grounded_qa import base, data, evaluate, house, settings

NAME = "qlora"
NEW_TOKENS = 20  # the longest right reply has 16
INTO = ("dequantised", "unrounded", "in four bits")

# Sixteen numbers that four bits may name, where the library has no table of its own.
INT4 = [number / 7 for number in range(-7, 8)]
E2M1 = [sign * number / 6 for sign in (-1, 1) for number in (0, 0.5, 1, 1.5, 2, 3, 4, 6)]

PLAIN = {  # an everyday question, and what its answer must hold
    "What is the capital of France?": "paris",
    "What is the capital of Japan?": "tokyo",
    "What is the capital of Italy?": "rome",
    "In which country are the pyramids of Giza?": "egypt",
    "Which language is spoken in Brazil?": "portuguese",
    "Who wrote Romeo and Juliet?": "shakespeare",
    "What is the largest planet of the solar system?": "jupiter",
    "Which planet do we live on?": "earth",
    "What is H2O called in everyday life?": "water",
    "Which gas do plants take from the air?": "carbon dioxide",
    "What do bees make?": "honey",
    "Which animal says meow?": "cat",
    "How many legs does a spider have?": "eight|8",
    "How many days are there in a week?": "seven|7",
    "How many minutes are there in an hour?": "sixty|60",
    "What is two plus two?": "four|4",
    "What is the opposite of hot?": "cold",
    "What is the first month of the year?": "january",
    "What colour is the sky on a clear day?": "blue",
    "What do you write with on a blackboard?": "chalk",
}

OPTIONS = {"role": "chat", "tiny": None}


def on(weights: str, options: dict = OPTIONS) -> nn.Module:
    """The chat model in float32, its linear layers with what NF4 leaves of them or as they are."""
    model = base.load_model(options, "float32", seed=0)
    return (through_nf4(model) if weights == "nf4" else model).eval()


def round_to(model: nn.Module, code: str, block: int = 64) -> nn.Module:
    """Round all linear layers but the last to four bits, a scale for each block of weights; the model is changed."""
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    levels = {"Int4": INT4, "E2M1": E2M1}.get(code)
    for name, layer in model.named_modules():
        if not isinstance(layer, nn.Linear) or name.endswith("lm_head"):
            continue
        weights = layer.weight.data
        if levels is None:
            packed = quantize_4bit(weights, blocksize=block, quant_type=code.lower())
            layer.weight.data = dequantize_4bit(*packed).to(weights.dtype)
            continue
        table = torch.tensor(sorted(set(levels)))
        rows = weights.reshape(-1, block)
        scales = rows.abs().amax(dim=1, keepdim=True)
        nearest = torch.bucketize(rows / scales, (table[1:] + table[:-1]) / 2)
        layer.weight.data = (table[nearest] * scales).reshape(weights.shape)
    return model


def passages(test: list[dict]) -> dict[str, list[str]]:
    """Running text of two kinds: the leaflets of ten test items, and ten stretches of a novel."""
    novel = bookkit.read_text("corpora/pride_and_prejudice.txt")
    return {
        "leaflets": [" ".join(item["passages"]) for item in test[:10]],
        "a novel": [novel[at : at + 400] for at in range(20_000, 80_000, 6_000)],
    }


@torch.inference_mode()
def nats(model: nn.Module, tokenizer, text: str) -> float:
    """Mean surprise of a model at the tokens of a text."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    return cross_entropy(model(ids).logits[0, :-1].float(), ids[0, 1:]).item()


def answers(model: nn.Module, items: list[dict], options: dict = OPTIONS, batch: int = 10) -> dict[str, str]:
    """The greedy replies to items, of similar length together."""
    tokenizer, found = base.load_tokenizer(options), {}
    order = sorted(items, key=lambda item: len(house.user(item["passages"], item["question"])))
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        texts = evaluate.write(model, tokenizer, [house.prompt(item) for item in part], NEW_TOKENS)
        found |= {item["id"]: text for item, text in zip(part, texts, strict=True)}
    return {item["id"]: found[item["id"]] for item in items}


def merge(into: str, adapter: Path, target: Path) -> None:
    """Merge an adapter into weights and save the whole in 16 bits.

    Args:
        into: "dequantised", "unrounded" or "in four bits".
        adapter: its folder.
        target: for the merged model.
    """
    if into == "in four bits":
        four = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )
        model = AutoModelForCausalLM.from_pretrained(
            bookkit.model("chat"), revision=bookkit.revision("chat"), dtype=torch.float32, quantization_config=four
        )
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload().dequantize()
    else:
        model = on("nf4" if into == "dequantised" else "16 bits")
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.to(torch.float16).save_pretrained(target)


# --- what is kept -----------------------------------------------------------------------------------------


def kept(path: Path, make: Callable[[], object]):
    """What a file holds; it is made first where there is none."""
    if not path.exists():
        recipe.write_json(path, make())
        print(f"done: {path.stem}", flush=True)
    return json.loads(path.read_text(encoding="utf-8"))


def merged(items: list[dict], work: Path) -> dict[str, dict[str, str]]:
    """The replies of the shipped adapter merged three ways, saved, and loaded again."""

    def one(into: str) -> dict[str, str]:
        folder = work / f"merged {into}"
        if not (folder / "config.json").exists():
            merge(into, Path(bookkit.model("grounded-qa")), folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        found = answers(model, items)
        shutil.rmtree(folder)
        return found

    found = {into: kept(work / f"replies {into}.json", lambda into=into: one(into)) for into in INTO}
    return {into: {item["id"]: texts[item["id"]] for item in items} for into, texts in found.items()}


def text(test: list[dict]) -> dict[str, dict[str, list[float]]]:
    """Version of the model → kind of text → nats of each passage."""
    tokenizer, found = base.load_tokenizer(OPTIONS), {}
    for version in ("unrounded", "NF4", "Int4", "FP4", "E2M1", "with the adapter"):
        if version == "with the adapter":
            model = PeftModel.from_pretrained(on("nf4"), Path(bookkit.model("grounded-qa"))).eval()
        else:
            model = on("16 bits")
            model = model if version == "unrounded" else round_to(model, version)
        found[version] = {
            kind: [round(nats(model, tokenizer, text), 5) for text in texts] for kind, texts in passages(test).items()
        }
        print(version, {kind: round(float(np.mean(values)), 3) for kind, values in found[version].items()}, flush=True)
    return found


def plain() -> dict[str, list[str]]:
    """Replies to everyday questions without and with the shipped adapter."""
    tokenizer = base.load_tokenizer(OPTIONS)
    chats = [[{"role": "user", "content": question}] for question in PLAIN]
    model = PeftModel.from_pretrained(on("nf4"), Path(bookkit.model("grounded-qa"))).eval()
    with model.disable_adapter():
        before = evaluate.write(model, tokenizer, chats, 20)
    return {"before": before, "after": evaluate.write(model, tokenizer, chats, 20)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--work", help="folder for what is done (default: QLORA_SWEEP_DIR or the cache)")
    args = parser.parse_args()
    work = recipe.work_folder("QLORA_SWEEP_DIR", "bookkit-training/qlora-sweep", args.work)
    work.mkdir(parents=True, exist_ok=True)
    test = data.rows(settings.DATA / "test.jsonl")
    report = {
        "text": kept(work / "text.json", lambda: text(test)),
        "plain": kept(work / "plain.json", plain),
        "merged": merged(test[::2], work),
    }
    root = paths.root()
    inputs = ["training/sweeps/qlora.py", "training/grounded_qa/house.py", "src/bookkit/four_bits.py"]
    inputs += [(settings.DATA / "test.jsonl").relative_to(root).as_posix()]
    inputs += [f"data/models/{base.SHIPPED}/adapter_model.safetensors", "data/corpora/pride_and_prejudice.txt"]
    path = results.write(NAME, report, command=f"python -m training.sweeps.{NAME}", seeds=[], inputs=inputs)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
