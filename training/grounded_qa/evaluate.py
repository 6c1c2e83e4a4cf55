"""Replies of the model as it is, with examples in its prompt, and with the adapter; then the marks of all three.

Greedy, in batches; every batch is kept as soon as it is done, so that an interrupted evaluation goes on.
"""

import hashlib
import json
import random
import time
from pathlib import Path

import torch

from bookkit import files
from bookkit.errors import BookError
from training import recipe
from training.grounded_qa import base, build, house, score

SYSTEMS = ("zero_shot", "few_shot", "adapter")


def examples(train: list[dict], number: int, seed: int) -> list[dict]:
    """The worked examples of few_shot: short items of different families, every fourth one unanswerable.

    Args:
        train: the training items.
        number: how many.
        seed: of the choice.
    """
    mixed = random.Random(f"{seed} examples").sample(train, len(train))
    short = [item for item in mixed if len(" ".join(item["passages"]).split()) < 60] or mixed
    chosen = []
    for position in range(number):
        answerable = position % 4 != 2
        fitting = [
            item
            for item in short
            if (item["answer"] is not None) == answerable
            and item["family"] not in [c["family"] for c in chosen]
            and (position == 0 or len(item["passages"]) > 1)
        ]
        chosen.append((fitting or short)[0])
    return chosen


def messages(item: dict, shots: list[dict]) -> list[dict]:
    """The prompt of an item, with worked examples between the system's message and the question."""
    system, user = house.prompt(item)
    turns = []
    for shot in shots:
        turns += [house.prompt(shot)[1], {"role": "assistant", "content": house.reply(shot)}]
    return [system, *turns, user]


@torch.inference_mode()
def write(model, tokenizer, prompts: list[list[dict]], new_tokens: int) -> list[str]:
    """The greedy replies to a batch of prompts."""
    device = model.device
    tokenizer.padding_side = "left"
    batch = tokenizer.apply_chat_template(
        prompts, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
    ).to(device)
    made = model.generate(
        **batch,
        max_new_tokens=new_tokens,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    return tokenizer.batch_decode(made[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


@torch.inference_mode()
def short_of_best(model, tokenizer, prompt: list[dict], text: str) -> float:
    """By how much the worst token of a reply misses the best logit of its place; 0 for a greedy reply.

    Processors round differently, so :func:`write` may take another word at a near tie; this number hardly moves.

    Args:
        model, tokenizer: the model.
        prompt: the messages before the reply.
        text: the reply, which has at least one token.
    """
    before = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    after = tokenizer(text, add_special_tokens=False).input_ids
    ids = torch.tensor([before + after], device=model.device)
    logits = model(input_ids=ids).logits[0, len(before) - 1 : -1].float()
    return (logits.amax(dim=-1) - logits[range(len(after)), after]).max().item()


def replies(
    path: Path, about: dict, model, tokenizer, items: list[dict], shots: list[dict], options: dict, say=print
) -> list[str]:
    """The replies to all items; those that stand in the file already are not written again.

    Args:
        path: one JSON object a line: first `about`, then id, text and seconds of each reply.
        about: what the replies depend on; a file about something else is refused.
        model, tokenizer: the model.
        items: the items.
        shots: worked examples.
        options: the settings under `evaluation`.
        say: takes the progress messages.

    Raises:
        BookError: the file holds replies of another model, adapter, data set or setting.
    """
    done = _read(path, about)
    order = sorted(range(len(items)), key=lambda i: (len(house.user(items[i]["passages"], items[i]["question"])), i))
    for start in range(0, len(order), options["batch"]):
        batch = [items[i] for i in order[start : start + options["batch"]]]
        if all(item["id"] in done for item in batch):
            continue
        clock = time.perf_counter()
        texts = write(model, tokenizer, [messages(item, shots) for item in batch], options["new_tokens"])
        each = round((time.perf_counter() - clock) / len(batch), 3)
        with path.open("a", encoding="utf-8") as lines:
            for item, text in zip(batch, texts, strict=True):
                lines.write(json.dumps({"id": item["id"], "text": text, "seconds": each}, ensure_ascii=False) + "\n")
                done[item["id"]] = text
        say(f"{path.stem}: {min(start + options['batch'], len(items))} of {len(items)}, {each} s each")
    return [done[item["id"]] for item in items]


def _read(path: Path, about: dict) -> dict[str, str]:
    """The replies that a file holds; a line that was cut off is dropped."""
    if not path.exists() or not path.stat().st_size:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(about) + "\n", encoding="utf-8")
        return {}
    whole = []
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        try:
            whole.append(json.loads(line))
        except ValueError:
            break
    if not whole or whole[0] != about:
        different = [name for name in about if not whole or whole[0].get(name) != about[name]]
        raise BookError(
            f"{path} holds replies of another evaluation ({', '.join(different)} differ): remove it, or name another "
            "folder with --work."
        )
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in whole), encoding="utf-8")
    return {line["id"]: line["text"] for line in whole[1:]}


def evaluate(items: dict[str, list[dict]], work: Path, config: dict, say=print) -> dict:
    """Let every system reply and write results.json.

    Args:
        items: those of "train" (for the examples) and of the split to be evaluated.
        work: the folder with the exported adapter; replies/ and results.json go there.
        config: the whole settings.
        say: takes the progress messages.

    Returns:
        The results.

    Raises:
        BookError: there is no adapter, it belongs to another model, or old replies do not fit.
    """
    options = config["evaluation"]
    asked = items[options["split"]][: options["items"]]
    tokenizer = base.load_tokenizer(config["model"])
    model = base.load_model(config["model"], options["precision"], config["seed"]).eval()
    if torch.cuda.is_available():
        model = model.to("cuda")
    common = {
        "base": base.identity(model, config["model"]),
        "precision": options["precision"],
        "items": _digest([{k: item[k] for k in ("id", "passages", "question")} for item in asked]),
        "system": house.SYSTEM,
        "new_tokens": options["new_tokens"],
        "batch": options["batch"],
    }
    texts = {}
    for system in sorted(options["systems"], key=SYSTEMS.index):  # the adapter last, since it stays on
        shots = examples(items["train"], options["shots"], config["seed"]) if system == "few_shot" else []
        about = {"of": system, **common, "shots": [shot["id"] for shot in shots], "adapter": None}
        if system == "adapter":
            folder = work / base.SHIPPED
            model = base.load_adapter(model, folder, config["model"]).eval()
            about["adapter"] = files.sha256(folder / "adapter_model.safetensors")
        path = work / "replies" / f"{system}-{options['split']}.jsonl"
        texts[system] = replies(path, about, model, tokenizer, asked, shots, options, say)
    report = {"settings": {name: options[name] for name in options if name != "systems"}, "base": common["base"]}
    report |= results(asked, texts, options["resamples"], config["seed"])
    recipe.write_json(work / "results.json", report)
    return report


def results(items: list[dict], texts: dict[str, list[str]], resamples: int, seed: int) -> dict:
    """Marks with intervals, for all items and for families that training has and has not seen, and paired gains.

    Args:
        items: the items.
        texts: system: its replies, in the order of the items.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    seen = [item["family"] in build.SHARED for item in items]
    groups = {
        "all": list(range(len(items))),
        "families_seen": [i for i, is_seen in enumerate(seen) if is_seen],
        "families_unseen": [i for i, is_seen in enumerate(seen) if not is_seen],
    }
    tables = {system: score.table(items, replies) for system, replies in texts.items()}
    found = {
        "items": {group: len(rows) for group, rows in groups.items()},
        "systems": {},
        "gains": {},
        "exact_by_kind": {},
    }
    for system, marks in tables.items():
        found["systems"][system] = {g: score.report(marks[rows], resamples, seed) for g, rows in groups.items() if rows}
        column = marks[:, score.COLUMNS.index("exact")]
        kinds = sorted({item["kind"] for item in items})
        found["exact_by_kind"][system] = {
            kind: round(float(column[[i for i, item in enumerate(items) if item["kind"] == kind]].mean()), 4)
            for kind in kinds
        }
        if system != "adapter" and "adapter" in tables:
            found["gains"][f"adapter_over_{system}"] = {
                group: score.compare(marks[rows], tables["adapter"][rows], resamples, seed)
                for group, rows in groups.items()
                if rows
            }
    return found


def _digest(part) -> str:
    return hashlib.sha256(json.dumps(part, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
