"""How much of what pocket-gpt2 writes stands word for word in its training texts, beside texts that it never saw.

    python training/sweeps/copying.py --corpus FOLDER

FOLDER is what `python -m training.pocket_gpt2 corpus` leaves (about two minutes; the same seeds give the same bytes,
and the sha256 of its training split is checked here). The model continues beginnings of held-out texts, greedily and
by sampling. Of every continuation, and of the text's own, the longest run of words is found that also stands somewhere
in the training texts. The model also continues beginnings of training texts: how many words does it go on reciting? And
a few words are counted in all of them.
"""

import argparse
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import bookkit
from bookkit import results

NAME = "copying"
CORPUS_SHA256 = "b5ffd569cae6c37ec9c9f854bc77e2f9cabb6209dfaa1bc6e7e52829985e00be"
KINDS = ("story", "novel")
PROMPTS, PROMPT_TOKENS, NEW_TOKENS, WORDS = 128, 24, 72, 40
SEEDS = (0, 1, 2)
COUNTED = ("letter", "candle", "carriage", "whale", "telephone", "computer", "email", "internet")


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


class Runs:
    """The longest runs that texts share with a corpus, by a suffix automaton of the texts.

    Args:
        texts: lists of words; their runs are looked for.
    """

    def __init__(self, texts: Sequence[Sequence[str]]):
        self._next: list[dict] = [{}]
        self._link, self._length = [-1], [0]
        self._ends = []  # of each text: its states, one a word
        last = 0
        for number, text in enumerate(texts):
            states = []
            for word in text:
                last = self._extend(last, word)
                states.append(last)
            last = self._extend(last, number)  # a number is no word, so no run crosses the end of a text
            self._ends.append(states)
        self._matched = [0] * len(self._length)

    def _extend(self, last: int, word) -> int:
        new = self._add({}, self._length[last] + 1)
        at = last
        while at >= 0 and word not in self._next[at]:
            self._next[at][word] = new
            at = self._link[at]
        if at < 0:
            self._link[new] = 0
            return new
        other = self._next[at][word]
        if self._length[at] + 1 == self._length[other]:
            self._link[new] = other
            return new
        clone = self._add(dict(self._next[other]), self._length[at] + 1)
        self._link[clone] = self._link[other]
        while at >= 0 and self._next[at].get(word) == other:
            self._next[at][word] = clone
            at = self._link[at]
        self._link[other] = self._link[new] = clone
        return new

    def _add(self, following: dict, length: int) -> int:
        self._next.append(following)
        self._length.append(length)
        self._link.append(0)
        return len(self._length) - 1

    def read(self, corpus: Iterable[Sequence[str]]) -> None:
        """Read documents, and note how far each run of the texts occurs in them."""
        following, link, length, matched = self._next, self._link, self._length, self._matched
        for document in corpus:
            state, run = 0, 0
            for word in document:
                while state and word not in following[state]:
                    state = link[state]
                    run = length[state]
                if word in following[state]:
                    state, run = following[state][word], run + 1
                if run > matched[state]:
                    matched[state] = run

    def longest(self) -> list[int]:
        """Of each text, the length of the longest run of words that the documents hold."""
        matched = list(self._matched)
        for state in sorted(range(1, len(matched)), key=lambda s: -self._length[s]):
            above = self._link[state]
            if matched[state]:  # whatever ends with a run holds the run's own ends
                matched[above] = max(matched[above], self._length[above])
        found = []
        for states in self._ends:
            best = 0
            for state in states:
                at = state
                while at > 0 and matched[at] <= self._length[self._link[at]]:
                    at = self._link[at]
                best = max(best, matched[at])
            found.append(best)
        return found


def recited(written: Sequence[str], original: Sequence[str]) -> int:
    """How many words at the beginning are the original's."""
    count = 0
    for ours, theirs in zip(written, original, strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def beginnings(tokenizer, rows: list[dict], kind: str) -> dict[str, list[int]]:
    """Beginnings and continuations of the first texts of a kind that are long enough, as ids."""
    chosen: dict[str, list[int]] = {}
    for row in rows:
        ids = tokenizer(row["text"], verbose=False)["input_ids"]
        if row["kind"] == kind and len(ids) >= PROMPT_TOKENS + NEW_TOKENS and len(chosen) < PROMPTS:
            chosen[row["id"]] = [tokenizer.eos_token_id, *ids[: PROMPT_TOKENS + NEW_TOKENS]]
    return chosen


@torch.inference_mode()
def continuations(model, tokenizer, ids: torch.Tensor, settings: dict, seed: int) -> list[list[str]]:
    """The first words of what the model writes after each beginning."""
    torch.manual_seed(seed)
    prompts = ids[:, : PROMPT_TOKENS + 1]
    out = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        min_new_tokens=NEW_TOKENS,
        max_new_tokens=NEW_TOKENS,
        **settings,
    )
    return [words(text)[:WORDS] for text in tokenizer.batch_decode(out[:, PROMPT_TOKENS + 1 :])]


def main() -> None:
    """Compute the figures and keep them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    folder = parser.parse_args().corpus
    data = (folder / "train.jsonl").read_bytes()
    if hashlib.sha256(data).hexdigest() != CORPUS_SHA256:
        raise SystemExit(f"{folder}/train.jsonl is not the corpus that pocket-gpt2 was trained on")
    train = [json.loads(line) for line in data.splitlines()]
    test = [json.loads(line) for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    tokenizer = AutoTokenizer.from_pretrained(bookkit.model("gpt2"), revision=bookkit.revision("gpt2"))
    model = AutoModelForCausalLM.from_pretrained(bookkit.model("gpt2"), dtype=torch.float32).eval()

    texts, figures = {}, {"words": WORDS, "documents": len(train), "kinds": {}}
    for kind in KINDS:
        held_out, seen = (torch.tensor(list(beginnings(tokenizer, rows, kind).values())) for rows in (test, train))
        own = [words(text)[:WORDS] for text in tokenizer.batch_decode(held_out[:, PROMPT_TOKENS + 1 :])]
        origin = [words(text)[:WORDS] for text in tokenizer.batch_decode(seen[:, PROMPT_TOKENS + 1 :])]
        texts[kind, "own"] = own
        texts[kind, "greedy"] = continuations(model, tokenizer, held_out, {"do_sample": False}, 0)
        for seed in SEEDS:
            texts[kind, f"sampled {seed}"] = continuations(
                model, tokenizer, held_out, {"do_sample": True, "top_k": 0}, seed
            )
        after = continuations(model, tokenizer, seen, {"do_sample": False}, 0)
        figures["kinds"][kind] = {
            "recited": [recited(ours, theirs) for ours, theirs in zip(after, origin, strict=True)],
            "recited held out": [
                recited(ours, theirs) for ours, theirs in zip(texts[kind, "greedy"], own, strict=True)
            ],
        }
        print(kind, len(own), "beginnings", flush=True)

    runs = Runs([text for group in texts.values() for text in group])
    runs.read(words(row["text"]) for row in train)
    counts = Counter(word for row in train for word in words(row["text"]))
    figures["counts"] = {word: counts[word] for word in COUNTED}
    print(figures["counts"])
    longest = iter(runs.longest())
    for (kind, name), group in texts.items():
        lengths = [next(longest) for _ in group]
        figures["kinds"][kind][name] = {"texts": [" ".join(text) for text in group], "longest": lengths}
        print(kind, name, sum(lengths) / len(lengths), max(lengths), flush=True)
    path = results.write(
        NAME,
        figures,
        command=f"python training/sweeps/{NAME}.py --corpus FOLDER",
        seeds=SEEDS,
        inputs=[
            Path(__file__).resolve().relative_to(bookkit.paths.root()).as_posix(),
            "data/corpora/pocket_stories/novels.jsonl.xz",
            "data/models/pocket-gpt2/model.safetensors",
            "data/models/pocket-gpt2/tokenizer.json",
        ],
    )
    print(f"written: {path}")


if __name__ == "__main__":
    main()
