"""Source (b) of the corpus: short texts written by SmolLM2-135M-Instruct from seeded, varied prompts.

    python -m training.pocket_gpt2.smollm_texts write  --hours 0.3     # on a GPU; resumes where it stopped
    python -m training.pocket_gpt2.smollm_texts pack                   # best of each prompt → smollm.jsonl.xz

For every prompt several texts are written in one batch, filtered, and the best one is kept: the one that the judge
(the writer itself, reading with a neutral prompt) finds likeliest among those that are neither loops nor nonsense.
Every prompt is a function of its number; a prompt's split is its subject's, so no subject is in two splits.
"""

import argparse
import hashlib
import json
import lzma
import re
import sys
import time
from pathlib import Path

from bookkit.errors import BookError
from training.pocket_gpt2.corpus import SHELF, Unlike
from training.pocket_gpt2.evaluate import judged, repetition
from training.pocket_gpt2.settings import need_space, work_folder
from training.pocket_gpt2.story_engine.dice import Dice
from training.pocket_gpt2.story_engine.templates import choices

LICENCE = "written by SmolLM2-135M-Instruct (Apache-2.0)"
TEXTS_PER_PROMPT = 6
FORMS = {
    "story": "Write a short story for a young child, in simple words, about {subject}. {twist} Do not explain it.",
    "explanation": "Explain to a child of eight, in one short paragraph of simple words, {question}.",
    "dialogue": "Write a short conversation between {pair} about {subject}. Use simple words.",
    "description": "Describe {subject} in one short paragraph, in simple words, so that a child can see it.",
}
TWISTS = (
    "Something is lost and found again.",
    "It has a happy end.",
    "Two friends disagree and make peace.",
    "Somebody is brave.",
    "It rains the whole time.",
    "There is a small surprise at the end.",
    "Somebody tells the truth although it is hard.",
    "An animal helps.",
    "Somebody learns something new.",
    "It takes place at night.",
    "Somebody shares.",
    "Somebody is late.",
)
QUESTIONS = (
    "what {noun} is for",
    "where {noun} comes from",
    "how people use {noun}",
    "what to do with {noun}",
)
PAIRS = (
    "two friends",
    "a child and a grandmother",
    "a teacher and a pupil",
    "a brother and a sister",
    "a shopkeeper and a child",
)
BANNED = re.compile(
    r"(?i)\b(as an ai|language model|i cannot|i can't assist|sure[,!]|certainly[,!]|here(?: is|'s) (?:a|the|your)|"
    r"in conclusion|the moral|title:|note:|prompt|assistant|kill\w*|murder\w*|blood\w*|sex\w*|drugs?|weapon\w*|gun|"
    r"alcohol|beer|wine|god|jesus|allah|president|democrat\w*|republican\w*|nazi\w*|http\S*|www\S*)\b"
)


def prompt(number: int) -> dict:
    """The prompt of a number: its text, form, subject and split."""
    dice = Dice(f"smollm {number}")
    form = dice.weighted({"story": 5, "explanation": 2, "dialogue": 2, "description": 1})
    noun = dice.pick(
        [
            *choices("toy"),
            *choices("household"),
            *choices("tool"),
            *choices("fruit"),
            *choices("vehicle"),
            *choices("animalfar"),
            *choices("creature"),
            *choices("farmbeast"),
            *choices("instrument"),
            *choices("clothing"),
            *choices("bug"),
        ]
    )
    who = dice.pick(
        [
            *choices("creature"),
            "child",
            "baker",
            "sailor",
            "farmer",
            "painter",
            "grandmother",
            "gardener",
            "boy",
            "girl",
            "king",
        ]
    )
    place = dice.pick(
        [
            "a forest",
            "a small town",
            "a farm",
            "the seaside",
            "a school",
            "the mountains",
            "a kitchen",
            "a garden",
            "a ship",
            "a market",
        ]
    )
    subject = f"a {who} and a {noun} in {place}" if form in ("story", "dialogue") else f"a {noun}"
    text = FORMS[form].format(
        subject=subject,
        twist=dice.pick(TWISTS),
        pair=dice.pick(PAIRS),
        question=dice.pick(QUESTIONS).format(noun=f"a {noun}"),
    )
    share = int(hashlib.sha256(noun.encode()).hexdigest(), 16) % 20
    return {
        "number": number,
        "prompt": re.sub(r"\ba (?=[aeiou])", "an ", text),
        "kind": form,
        "unit": noun,
        "split": {0: "test", 1: "validation"}.get(share, "train"),
    }


def problem(text: str) -> str:
    """Why a text is not fit for the corpus; empty where it is."""
    words = text.split()
    if not 40 <= len(words) <= 320:
        return "length"
    if not text.isascii() or re.search(r"[*#{}<>\[\]=_|\\]|\d{3}", text):
        return "signs"
    if not re.search(r'[.!?]"?$', text):
        return "unfinished"
    if BANNED.search(text):
        return "banned words"
    if repetition(text) > 0.12:
        return "repetition"
    if len(set(map(str.lower, words))) < 0.4 * len(words):
        return "few words"
    if sum(len(word) for word in words) / len(words) > 5.2:
        return "long words"
    return ""


def clean(text: str) -> str:
    """Typographic signs as plain ones, no title line, no spaces at line ends."""
    for fancy, plain in {"“": '"', "”": '"', "’": "'", "‘": "'", "—": " - ", "–": "-", "…": "..."}.items():
        text = text.replace(fancy, plain)
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if len(lines) > 1 and not re.search(r'[.!?"]$', lines[0]):
        lines = lines[1:]
    return "\n\n".join(lines)


def write(folder: Path, seconds: float, prompts_per_batch: int) -> None:
    """Write texts until the time is over; every batch is appended to raw.jsonl, so nothing is lost.

    Raises:
        BookError: too little disk space, or the writer is not there.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import bookkit
    from bookkit import repro

    need_space(folder, 200_000_000, "writing")
    path, device = bookkit.model("chat"), repro.device()
    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).to(device).eval()
    raw = folder / "raw.jsonl"
    number = (
        1 + max((json.loads(line)["number"] for line in raw.open(encoding="utf-8")), default=-1)
        if raw.exists()
        else 0
    )
    started, tokens = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        group = [prompt(number + i) for i in range(prompts_per_batch)]
        asked = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": item["prompt"]}], tokenize=False, add_generation_prompt=True
            )
            for item in group
        ]
        inputs = tokenizer(asked, return_tensors="pt", padding=True, add_special_tokens=False).to(device)
        torch.manual_seed(number)
        with torch.inference_mode():
            out = model.generate(
                **inputs,
                max_new_tokens=320,
                do_sample=True,
                temperature=0.8,
                top_p=0.92,
                num_return_sequences=TEXTS_PER_PROMPT,
                pad_token_id=tokenizer.pad_token_id or 0,
            )
        new = out[:, inputs["input_ids"].shape[1] :]
        tokens += int((new != (tokenizer.pad_token_id or 0)).sum())
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        with raw.open("a", encoding="utf-8") as lines:
            for index, item in enumerate(group):
                written = [
                    clean(text) for text in texts[index * TEXTS_PER_PROMPT : (index + 1) * TEXTS_PER_PROMPT]
                ]
                good = [text for text in written if not problem(text)]
                if good:
                    losses = judged(model, tokenizer, ["Here is a text for children.\n\n"] * len(good), good)
                    best = min(range(len(good)), key=losses.__getitem__)
                    lines.write(
                        json.dumps(item | {"text": good[best], "loss": round(losses[best], 4)}) + "\n"
                    )
                else:
                    lines.write(json.dumps(item | {"text": "", "loss": None}) + "\n")
        number += prompts_per_batch
        rate = tokens / (time.perf_counter() - started)
        print(f"{number:,} prompts, {tokens:,} tokens, {rate:,.0f} tokens/s on {device}", flush=True)


def pack(folder: Path, keep: float, similarity: float = 0.6) -> None:
    """Keep the best share of the texts by the judge, drop near-duplicates, and write smollm.jsonl.xz.

    Raises:
        BookError: nothing has been written yet.
    """
    raw = folder / "raw.jsonl"
    if not raw.exists():
        raise BookError(f"{raw} is not there: run `python -m training.pocket_gpt2.smollm_texts write` first.")
    rows = [row for row in map(json.loads, raw.open(encoding="utf-8")) if row["text"]]
    limit = sorted(row["loss"] for row in rows)[int(keep * (len(rows) - 1))]
    unlike, kept = Unlike(similarity, 48), []
    for row in rows:
        made = {
            "text": row["text"],
            "source": "smollm",
            "kind": row["kind"],
            "unit": row["unit"],
            "split": row["split"],
            "id": str(row["number"]),
        }
        if row["loss"] <= limit and unlike(made):
            kept.append(made)
    data = "".join(json.dumps(row) + "\n" for row in kept).encode()
    (SHELF / "smollm.jsonl.xz").write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(kept):,} of {len(rows):,} texts, {len(data):,} bytes, {LICENCE}")


def main(arguments: list[str] | None = None) -> int:
    """Write or pack."""
    parser = argparse.ArgumentParser(
        prog="python -m training.pocket_gpt2.smollm_texts", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("step", choices=["write", "pack"])
    parser.add_argument("--work", help="folder for the raw texts")
    parser.add_argument("--hours", type=float, default=0.25)
    parser.add_argument(
        "--prompts", type=int, default=64, help="prompts in one batch; each is answered several times"
    )
    parser.add_argument("--keep", type=float, default=0.8, help="share of the texts to keep, best first")
    options = parser.parse_args(arguments)
    try:
        folder = work_folder(options.work) / "smollm"
        folder.mkdir(exist_ok=True)
        if options.step == "write":
            write(folder, options.hours * 3600, options.prompts)
        else:
            pack(folder, options.keep)
    except BookError as error:
        print(f"smollm_texts: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
