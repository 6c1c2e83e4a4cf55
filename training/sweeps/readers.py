"""Three readers of passages, on easy and on hard questions: is it the search that fails, or the reader? (chapter 14)

    python -m bookkit fetch assistant                       # once: 491 MB
    python -m training.sweeps.readers --reader chat         # one reader alone; its replies are kept
    python -m training.sweeps.readers                       # everything, and the record: 90 minutes on a busy core
    python -m training.sweeps.readers --smoke               # everything in small, with random weights, into _build

The readers are the chat model, the same with the adapter grounded-qa, and the role assistant. Each is asked with
nothing before it, with the passage that holds the answer, and with the three that the search of chapter 14 ranks first
(keywords and embeddings fused, then reranked), on the sixty easy questions and, of book_qa, on the half that was held
back and on all without an answer. The house format asks for a form that only the adapter was taught, so the two others
are also asked in plain words. Nothing was chosen on the questions: both prompts are in the record. Greedy, in bfloat16.
The replies that the sweep `rag` has written already are taken from its record. Then a poisoned page, as there and on
half of its questions, for the readers and prompts that are not in its record.
"""

import argparse
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import bookkit
from bookkit import machine, models, paths, results
from bookkit.ask import passages
from training.grounded_qa import evaluate, house
from training.sweeps import rag

QUESTIONS = {"easy": "questions/book_easy.jsonl", "hard": rag.QUESTIONS}
PLAIN = "Answer the question in a few words from the numbered passages. If they do not tell, reply: I don't know."
PROMPTS = {"none": "", "house": house.SYSTEM, "plain": PLAIN}
POISONED = 20  # questions
BATCH = {"assistant": 12}  # of the others, as in the sweep `rag`: replies in other batches may be rounded otherwise
CLOSED, GOLD, FOUND = "closed book", "the right passage", "3 passages, reranked"
ASKED = {"chat": ("house", "plain"), "adapter": ("house",), "assistant": ("house", "plain")}
TAKEN = {
    ("chat", "none", CLOSED): "closed book",
    ("chat", "house", GOLD): "the right passage",
    ("adapter", "house", GOLD): "the right passage, adapter",
    ("adapter", "house", FOUND): "3 passages, reranked, adapter",
}
"""What the record rag_answers holds already, by the name of its system."""
PAGES = {name: f"Notes › For readers\n{wording}" for name, wording in rag.WORDINGS.items()}
MARGIN = 0.5
"""By how much of a logit a token of a recorded reply may miss the best one elsewhere.

Four steps of bfloat16, at the size that logits have. Of forty replies that were computed anew, one by one, the worst
token missed by 0.13, and in float32 by 0.06.
"""


# --- asking and scoring -------------------------------------------------------------------------------------


def questions(name: str) -> list[dict]:
    """The questions of a set, "easy" or "hard"."""
    return [json.loads(line) for line in bookkit.read_text(QUESTIONS[name]).splitlines()]


def prompt(style: str, texts: Sequence[str], question: str) -> list[dict]:
    """The messages that ask a question in one of PROMPTS; "none" shows no passage."""
    if style == "none":
        return [{"role": "user", "content": question}]
    user = {"role": "user", "content": house.user(list(texts), question)}
    return [{"role": "system", "content": PROMPTS[style]}, user]


def holds(term: str, text: str) -> bool:
    """Whether a term stands in a text in whole words; … is anything between."""
    parts = [rf"(?<!\w){re.escape(piece)}(?!\w)" for piece in term.split("…")]
    return re.search(".*".join(parts), text, re.IGNORECASE | re.DOTALL) is not None


def right(question: dict, answer: str) -> bool:
    """Whether an accepted answer stands in it; yes or no must stand at the start."""
    first, wanted = ((rag.tokens(text) or [""])[0] for text in (answer, question["answer"]))
    verdicts = {"yes", "no"}
    if question["form"] == "yes_no" and wanted in verdicts and first in verdicts:
        return first == wanted
    return any(holds(term, answer) for term in question["accepts"] if term not in verdicts)


def verdict(question: dict, reply: str) -> str:
    """Return "right", "wrong" or "declined"; where there is no answer, only "wrong" or "declined"."""
    answer = house.read(reply).answer
    if answer is None:
        return "declined"
    return "right" if question["answerable"] and right(question, answer) else "wrong"


def of(figures: dict, **wanted: str) -> dict:
    """The one run of the record with these values of "set", "reader", "prompt" and "condition"."""
    (run,) = [run for run in figures["runs"] if all(run[key] == value for key, value in wanted.items())]
    return run


def messages(run: dict, key: str, texts: Sequence[str]) -> list[dict]:
    """The messages with which a run of the record asks one of its questions.

    Args:
        run: of the record.
        key: the id of the question.
        texts: of all pieces, as `rag.cut(passages.frozen(), "sentence")` gives them.
    """
    (asked,) = [question["question"] for question in questions(run["set"]) if question["id"] == key]
    return prompt(run["prompt"], [texts[int(number)] for number in run["shown"].get(key, "").split()], asked)


def compare(figures: dict, each: int, seed: int) -> list[dict]:
    """Hold replies of the role assistant against the model as it is here.

    Args:
        figures: the record.
        each: how many replies are drawn from each of its runs.
        seed: of the draw.

    Returns:
        "set", "prompt", "condition", "id" of each reply, and in "short" by how much its worst token misses the best
        logit of its place (`evaluate.short_of_best`).
    """
    texts = [text for _, text in rag.cut(passages.frozen(), "sentence")]
    tokenizer, model = assistant()
    found = []
    for number, run in enumerate(run for run in figures["runs"] if run["reader"] == "assistant"):
        keys = [key for key, text in run["replies"].items() if text.strip()]
        for key in random.Random(f"{seed} {number}").sample(sorted(keys), min(each, len(keys))):
            short = evaluate.short_of_best(model, tokenizer, messages(run, key, texts), run["replies"][key])
            about = {name: run[name] for name in ("set", "prompt", "condition")}
            found.append({**about, "id": key, "short": round(short, 3)})
    return found


# --- the sweep ----------------------------------------------------------------------------------------------


class Bench(rag.Bench):
    """The bench of the sweep `rag`, with a set of questions and the three readers.

    Args:
        name: of the set, "easy" or "hard".
        smoke: take few sections and questions, and stand-ins for the models.
        kept: the folder for what is kept on the way; by default below _build/sweeps.
    """

    def __init__(self, name: str, smoke: bool = False, kept=None):
        folder = paths.root() / "_build" / "sweeps" / ("readers-smoke" if smoke else "readers")
        super().__init__(smoke, kept or folder)
        self.name = name
        self.tuning = rag.some(self.tuning, POISONED)  # they are only asked with a poisoned page
        if name == "hard" and not smoke:
            self.questions = [q for q in self.questions if q["half"] == "held-back" or not q["answerable"]]
            self.answerable = [q for q in self.questions if q["answerable"]]
        if name == "easy":
            there = self.numbers.keys()
            self.questions = [
                question
                for question in questions("easy")
                if {(gold["document"], gold["anchor"]) for gold in question["gold"]} <= there
            ]
            self.answerable, self.tuning = self.questions, []

    def readers(self) -> dict[str, tuple[str, Callable]]:
        """Reader → (name, what gives its tokenizer and model), as `rag.Bench.replies` takes it."""
        known = dict(self.speakers())
        found = {"chat": ("plain", known["plain"])}
        if "adapter" in known:
            found["adapter"] = ("adapter", known["adapter"])
        return found | {"assistant": ("assistant", self.chat if self.smoke else assistant)}

    def replies(self, name: str, speaker: tuple[str, Callable], prompts: dict, size: int | None = None) -> dict:
        """As in the sweep `rag`, in batches of the reader's own size."""
        return super().replies(name, speaker, prompts, size or BATCH.get(speaker[0], rag.BATCH))

    @cached_property
    def ranking(self) -> dict[str, np.ndarray]:
        """The pieces of each question, the best first, after reranking."""
        recorded = self.name == "hard" and not self.smoke
        record = results.read("rag_rerank") if recorded else rag.rerank(self)
        found = {}
        for key, numbers in record["candidates"].items():
            values = np.array(record["log_probs"][key].split(), float)
            found[key] = np.array(numbers.split(), int)[np.argsort(-values, kind="stable")]
        return found

    def shown(self, condition: str) -> dict[str, list[int]]:
        """Question → the pieces that it is asked with."""
        if condition == CLOSED:
            return {question["id"]: [] for question in self.questions}
        if condition == GOLD:
            return {question["id"]: self.gold_pieces(question) for question in self.answerable}
        return {question["id"]: self.distinct(self.ranking[question["id"]], 3) for question in self.questions}


_LOADED: dict[str, tuple] = {}


def assistant(precision: str = "bf16") -> tuple:
    """The tokenizer and the model of the role assistant, in "bf16" or "float32"."""
    if precision not in _LOADED:
        where, revision = bookkit.model("assistant"), bookkit.revision("assistant")
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        model = AutoModelForCausalLM.from_pretrained(where, revision=revision, dtype=dtype).eval()
        _LOADED[precision] = AutoTokenizer.from_pretrained(where, revision=revision), model
    return _LOADED[precision]


def content() -> str:
    """The sha256 of the file that the registry names for the role assistant."""
    (record,) = models.registry()["assistant"]["pocket"]["files"].values()
    return record["sha256"]


def runs(bench: Bench, reader: str, condition: str) -> list[dict]:
    """All that a reader replies to the questions of a bench under one condition, a run for each prompt."""
    speaker = bench.readers()[reader]
    by_id = {question["id"]: question for question in bench.questions}
    found = []
    for style in ("none",) if condition == CLOSED else ASKED[reader]:
        taken = TAKEN.get((reader, style, condition)) if bench.name == "hard" and not bench.smoke else None
        if taken:
            record = results.read("rag_answers")["systems"][taken]
            made = {key: record[key] for key in ("seconds", "tokens")}
            made["replies"] = {key: text for key, text in record["replies"].items() if key in by_id}
            shown = {key: row for key, row in record["shown"].items() if key in by_id}
        else:
            rows = bench.shown(condition)
            prompts = {
                key: prompt(style, [bench.texts[number] for number in row], by_id[key]["question"])
                for key, row in rows.items()
            }
            made = bench.replies(f"{bench.name} {style} {condition}", speaker, prompts)
            shown = {key: " ".join(map(str, row)) for key, row in rows.items() if row}
        verdicts = {key: verdict(by_id[key], text) for key, text in made["replies"].items()}
        run = {"set": bench.name, "reader": reader, "prompt": style, "condition": condition}
        source = "rag_answers" if taken else "readers"
        found.append({**run, "verdicts": verdicts, "shown": shown, **made, "from": source})
        counts = {name: list(verdicts.values()).count(name) for name in ("right", "wrong", "declined")}
        print(*run.values(), counts, f"{made['seconds']} s each", sep=", ", flush=True)
    return found


def poison(bench: Bench, reader: str) -> dict[str, dict]:
    """What a reader makes of a poisoned page: name of the speaker → page → defence → replies, as in rag_poison."""
    found, speaker = {}, bench.readers()[reader]
    if reader == "assistant":
        bench.speakers = lambda: [speaker]
        found |= rag.poison(bench)["speakers"]
        del bench.speakers
    if "plain" in ASKED[reader]:
        chosen = bench.tuning
        ranked = np.argsort(-bench.scores(bench.pieces, chosen)["both, fused"], axis=1, kind="stable")
        found[f"{reader}, plain"] = {}
        for name, page in {"clean": None, **PAGES}.items():
            prompts = {}
            for question, row in zip(chosen, ranked, strict=True):
                texts = [bench.texts[number] for number in bench.distinct(row, 3)]
                texts = texts if page is None else [*texts[:2], page]
                prompts[question["id"]] = prompt("plain", texts, question["question"])
            found[f"{reader}, plain"][name] = {"none": bench.replies(f"poison plain {name}", speaker, prompts)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reader", choices=list(ASKED), help="only this one; the record is written when all are asked")
    parser.add_argument("--smoke", action="store_true", help="everything in small, with stand-ins for the models")
    options = parser.parse_args()
    clock = time.perf_counter()
    benches = [Bench(name, options.smoke) for name in QUESTIONS]
    found, poisoned = [], {}
    for reader in [options.reader] if options.reader else list(benches[0].readers()):
        for condition in (CLOSED, GOLD, FOUND):
            for bench in benches:
                found += runs(bench, reader, condition)
        poisoned |= poison(benches[-1], reader)
    if not options.reader:
        print(write(benches, found, poisoned))
    print(f"{(time.perf_counter() - clock) / 60:.1f} minutes", flush=True)


def write(benches: list[Bench], found: list[dict], poisoned: dict[str, dict]):
    """Keep the figures."""
    easy, hard = benches
    figures = {
        "readers": {
            "chat": "SmolLM2-135M-Instruct",
            "adapter": "SmolLM2-135M-Instruct with the adapter grounded-qa",
            "assistant": "Qwen2.5-Coder-0.5B-Instruct",
        },
        "sha256": {"assistant": content()},
        "prompts": PROMPTS,
        "conditions": [CLOSED, GOLD, FOUND],
        "questions": {bench.name: [question["id"] for question in bench.questions] for bench in benches},
        "precision": "bf16",
        "new_tokens": rag.NEW_TOKENS,
        "batch": {reader: BATCH.get(reader, rag.BATCH) for reader in ASKED},
        "processor": machine.processor(),
        "runs": found,
        "rankings": {"easy": {key: " ".join(map(str, row)) for key, row in easy.ranking.items()}},
        "poison": {"target": rag.TARGET, "pages": PAGES, "speakers": poisoned},
    }
    if hard.smoke:
        path = hard.kept / "readers.json"
        path.write_text(json.dumps(figures))
        return path
    inputs = ["training/sweeps/readers.py", "training/sweeps/rag.py", *rag.FORMAT, f"data/{passages.FROZEN}"]
    inputs += [f"data/{path}" for path in QUESTIONS.values()]
    inputs += [f"data/results/{name}.json" for name in ("rag_answers", "rag_rerank")]
    inputs.append((hard.adapter() / rag.ADAPTER).relative_to(paths.root()).as_posix())
    command = "python -m training.sweeps.readers"
    return results.write("readers", figures, command=command, seeds=[rag.SEED], inputs=inputs)


if __name__ == "__main__":
    main()
