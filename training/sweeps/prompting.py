"""What each trick of prompting is worth, on two models and ten small tasks with known answers (chapter 8).

    python -m bookkit fetch assistant                        # once: 491 MB
    python -m training.sweeps.prompting --minutes 9          # a slice; what is written is kept, and the next goes on
    python -m training.sweeps.prompting                      # the rest, and the record
    python -m training.sweeps.prompting --smoke              # everything in small, with random weights, into _build

The readers are the chat model and the role assistant, both greedy, in bfloat16. The items and every prompt below were
written before any model was asked, and none was changed afterwards; the examples that prompts show are no items. How a
reply is judged (`judged`, `right`) was fixed before as well. One thing was changed after the first runs: all replies to
sums may have 160 tokens (320 by the assistant), since the 32 of the others cut them off.
"""

import argparse
import ast
import hashlib
import itertools
import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import regex
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, LogitsProcessor

import bookkit
from bookkit import files, machine, models, paths, results, sandbox
from training.grounded_qa import evaluate

ITEMS = "questions/prompting.jsonl"
BATCH = 60  # all items of a task at once: a step of one reply takes nearly as long as a step of all
DIRECT, LONG = 32, 96  # new tokens: of a reply; of one with steps
SUMS = {"chat": 160, "assistant": 320}  # of any reply to a sum; the larger model goes into more detail
SAMPLES, TEMPERATURE = 5, 0.7  # of self-consistency
TASKS = ("passage", "sentiment", "topic", "sums", "facts")
LABELS = {"sentiment": ("positive", "negative"), "topic": ("sport", "money", "health", "travel")}
ROLES = {
    "role: expert": "You are a world-class expert in this field.",
    "role: professor": "You are a professor with thirty years of experience.",
    "role: careful": "You are a careful assistant who never makes mistakes.",
}
SPECIFIC = {
    "passage": "Answer with the few words of the text that tell it.",
    "sentiment": "A review is positive if its writer is pleased, and negative if not. Answer with this one word.",
    "topic": "Sport is about games and athletes, money about prices and firms, health about illness and doctors, "
    "travel about trips and places to visit. Answer with this one word.",
    "sums": "Answer with the number that results.",
    "facts": "Answer with only the name, word or number that is asked for.",
}
FORMAT = "Reply in the form “Answer: …” and write nothing else."
THINK = "Let's think step by step."
DOUBT = "If you are not sure, reply “I don't know”."
WARN = "Some questions name things that do not exist or assume what is false. To those, reply “I don't know”."
POLITE = ("Could you please help me with this?", "Thank you very much!")
TRICKS = (
    "plain", "specific", "format", "1 example", "3 examples", "5 examples", "3 examples, reversed", "polite",
    *ROLES, "doubt", "steps",
)  # fmt: skip
VARIANTS = ("1 example", "5 examples", "3 examples, reversed")
WITHOUT_SUMS = ("role: professor", "role: careful", "polite", *VARIANTS)
"""Tricks that are not tried on sums, whose replies are long."""
ORDER = (
    ("chat", TASKS, ("plain", "3 examples", "role: expert", "steps")),
    ("chat", "others", ()),
    ("chat", TASKS, ("specific",)),
    ("assistant", ("sums",), ("plain",)),
    ("chat", TASKS, ("doubt",)),
    ("assistant", ("sums",), ("steps",)),
    ("chat", TASKS, ("1 example", "format", "5 examples", "polite")),
)
"""What is run, the most needed first: the reader, the tasks, the tricks."""
JSON = "Write this order as a JSON object with the keys item, quantity and city."
PATTERN = r'\{"item": "[\w\- ]{1,40}", "quantity": \d{1,4}, "city": "[\w\- ]{1,20}"\}'
"""What an order must look like: a string, a whole number, a string."""
CLASSIC = {
    "summary": ("Summarize this text in one sentence.\n\n{text}", 64),
    "translation": ("Translate into French: {text}", 40),
    "code": ("Write a Python function {text}. Reply with the code only.", 160),
}
FRAMES = {
    "no template": "{}",
    "User and Assistant": "User: {}\nAssistant:",
    "another model's": "[INST] {} [/INST]",
}
"""Other ways to put a question to the chat model than its own template."""
OBJECTS = (
    "don't know", "do not know", "not sure", "no such", "not exist", "n't exist", "fictional", "not a real",
    "no record", "not aware", "no information", "not possible", "never", "did not", "didn't", "there is no",
    "there was no", "there are no", "was not", "is not a", "does not have", "doesn't have", "do not have",
    "not enough information", "cannot", "can't", "sorry", "unable", "no one", "nobody", "imaginary", "mistake",
    "incorrect", "not true",
)  # fmt: skip


# --- items, prompts, scores ----------------------------------------------------------------------------------


def items(task: str, use: str = "item") -> list[dict]:
    """The items of a task, or its examples."""
    lines = map(json.loads, bookkit.read_text(ITEMS).splitlines())
    return [line for line in lines if (line["task"], line["use"]) == (task, use)]


def ask(task: str, item: dict) -> str:
    """A question as one would type it: the prompt that every trick is compared with."""
    if task == "passage":
        return f"{item['text']}\n\n{item['question']}"
    if task == "sentiment":
        return f"{item['text']}\n\nIs this review positive or negative?"
    if task == "topic":
        return f"{item['text']}\n\nWhat is this about: sport, money, health or travel?"
    return item["question"]


def messages(task: str, trick: str, item: dict) -> list[dict]:
    """The messages that put an item in one of TRICKS."""
    text, before = ask(task, item), []
    number = re.match(r"(\d) examples?", trick)
    if number:
        shown = items(task if task != "traps" else "facts", "example")[: int(number[1])]
        for example in reversed(shown) if trick.endswith("reversed") else shown:
            before += [{"role": "user", "content": ask(task, example)}]
            before += [{"role": "assistant", "content": example["answer"]}]
    elif trick in ROLES:
        before = [{"role": "system", "content": ROLES[trick]}]
    elif trick == "polite":
        text = f"{POLITE[0]}\n\n{text}\n\n{POLITE[1]}"
    elif trick != "plain":
        added = {"specific": SPECIFIC.get(task), "format": FORMAT, "steps": THINK, "doubt": DOUBT, "warned": WARN}
        text = f"{text}\n\n{added[trick]}"
    return [*before, {"role": "user", "content": text}]


def order(item: dict, examples: int = 0) -> list[dict]:
    """The messages that ask for an order as JSON."""
    turns = []
    for shown in items("orders", "example")[:examples]:
        turns += [{"role": "user", "content": f"{JSON}\n\n{shown['text']}"}]
        turns += [{"role": "assistant", "content": json.dumps(shown["answer"], ensure_ascii=False)}]
    return [*turns, {"role": "user", "content": f"{JSON}\n\n{item['text']}"}]


def judged(task: str, trick: str, reply: str) -> str:
    """The part of a reply that counts: what follows “Answer:”, else the first sentence, or the last after steps."""
    if "Answer:" in reply:
        return reply.rpartition("Answer:")[2]
    if task in ("passage", "facts"):
        sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n", reply.strip()) if part]
        return (sentences or [""])[-1 if trick == "steps" else 0]
    return reply


def final(task: str, trick: str, reply: str) -> str:
    """The answer in a reply: the last number of a sum, the last label, else the part that counts."""
    text = judged(task, trick, reply)
    if task == "sums":
        return (re.findall(r"\d+(?:\.\d+)?", text.replace(",", "")) or [""])[-1].removesuffix(".0")
    if task in LABELS:
        return (re.findall("|".join(LABELS[task]), text.lower()) or [""])[-1]
    return text


def right(task: str, trick: str, item: dict, reply: str) -> bool:
    """Whether a reply gives an accepted answer; in texts, in whole words, in upper or lower case."""
    found = final(task, trick, reply)
    return found == item["answer"] if task == "sums" or task in LABELS else mentions(item, found)


def mentions(item: dict, text: str) -> bool:
    """Whether an accepted answer stands in a text, in whole words, in upper or lower case."""
    return any(re.search(rf"(?<!\w){re.escape(term)}(s|es)?(?!\w)", text, re.IGNORECASE) for term in item["accepts"])


def objects(reply: str) -> bool:
    """Whether a reply declines, or says that something is wrong with the question."""
    return any(phrase in reply.lower().replace("’", "'") for phrase in OBJECTS)


def parsed(reply: str) -> dict | None:
    """The object that a reply is as JSON, as a whole or within a fence; None where it is none."""
    text = re.sub(r"^```(?:json)?\s*|\s*```$", "", reply.strip())
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def fields(item: dict, found: dict | None) -> list[bool]:
    """Which of item, quantity and city of an order are right."""
    found, wanted = found or {}, item["answer"]
    return [
        str(found.get("item")).strip().lower() in item["accepts"],
        str(found.get("quantity")).strip() == str(wanted["quantity"]),
        str(found.get("city")).strip() == wanted["city"],
    ]


def program(reply: str) -> str:
    """The code of a reply: what stands in its first fence, or all of it."""
    fence = re.search(r"```(?:python)?\n(.*?)(?:```|\Z)", reply, re.DOTALL)
    return fence[1] if fence else reply


def passes(item: dict, reply: str) -> bool:
    """Whether the function of a reply passes the tests of its item, in a process of its own."""
    code = program(reply)
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return sandbox.run("\n".join([code, *(f"assert {test}" for test in item["tests"])])) is None


# --- the readers --------------------------------------------------------------------------------------------

_LOADED: dict[str, tuple] = {}


def reader(name: str, smoke: bool = False) -> tuple:
    """The tokenizer and the model of a role, in bfloat16."""
    if name not in _LOADED:
        role = "chat" if smoke else name
        tokenizer = AutoTokenizer.from_pretrained(bookkit.model(role), revision=bookkit.revision(role))
        if smoke:
            torch.manual_seed(0)
            sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1}
            model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), eos_token_id=2, **sizes))
        else:
            model = AutoModelForCausalLM.from_pretrained(
                bookkit.model(role), revision=bookkit.revision(role), dtype=torch.bfloat16
            )
        tokenizer.padding_side = "left"
        _LOADED[name] = tokenizer, model.eval()
    return _LOADED[name]


class Grammar(LogitsProcessor):
    """Leaves of all tokens only the likeliest one with which a reply can still become a match of a pattern.

    Args:
        tokenizer: of the model.
        pattern: a regular expression for the whole reply.
        start: where the replies begin.
    """

    def __init__(self, tokenizer, pattern: str, start: int):
        self.tokenizer, self.pattern, self.start = tokenizer, regex.compile(pattern), start
        self.end = tokenizer.convert_tokens_to_ids("<|im_end|>")

    def __call__(self, input_ids, scores):
        kept = torch.full_like(scores, -torch.inf)
        for row, ids in enumerate(input_ids):
            text = self.tokenizer.decode(ids[self.start :], skip_special_tokens=True)
            kept[row, self.best(text, scores[row])] = 0
        return kept

    def best(self, text: str, scores: torch.Tensor) -> int:
        """The likeliest token that fits after a text; the end where the text is a match and nothing more fits."""
        for token in scores.argsort(descending=True).tolist():
            if token == self.end and self.pattern.fullmatch(text):
                return token
            piece = self.tokenizer.decode([token], skip_special_tokens=True)
            if piece and self.pattern.fullmatch(text + piece, partial=True):
                return token
        return self.end


class Noted(LogitsProcessor):
    """Notes the log-probability of the likeliest token at each step, which greedy generation takes."""

    def __init__(self):
        self.steps = []

    def __call__(self, input_ids, scores):
        self.steps.append(scores.float().log_softmax(-1).amax(-1))
        return scores


@torch.inference_mode()
def write(
    tokenizer, model, texts: list[str], new_tokens: int, seed: int | None = None, pattern: str | None = None
) -> tuple[list[str], list[float]]:
    """The continuations of a batch of texts: greedy, sampled with a seed, or held to a pattern.

    Returns:
        The replies, and the log-probability of each, its end included, which means something for greedy ones alone.
    """
    batch = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    start, noted = batch["input_ids"].shape[1], Noted()
    how = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "logits_processor": [noted]}
    if seed is not None:
        torch.manual_seed(seed)
        how |= {"do_sample": True, "temperature": TEMPERATURE, "top_k": 0}
    if pattern is not None:
        how["logits_processor"] = [Grammar(tokenizer, pattern, start)]
    made = model.generate(**batch, max_new_tokens=new_tokens, pad_token_id=tokenizer.pad_token_id, **how)[:, start:]
    replies = tokenizer.batch_decode(made, skip_special_tokens=True)
    if not noted.steps:
        return replies, [0.0] * len(replies)
    log_probs, end = torch.stack(noted.steps, dim=1), tokenizer.convert_tokens_to_ids("<|im_end|>")
    before = (made == end).cumsum(1) - (made == end).int() == 0  # up to the first end, and it too
    return replies, (log_probs * before).sum(1).tolist()


# --- the sweep ----------------------------------------------------------------------------------------------


class Ended(Exception):
    """The minutes of a slice are over."""


class Bench:
    """Runs whose replies are kept as they come.

    Args:
        smoke: two items a task and random weights.
        minutes: after which no new batch is begun.
    """

    def __init__(self, smoke: bool = False, minutes: float | None = None):
        self.smoke, self.began, self.minutes = smoke, time.monotonic(), minutes
        self.kept = paths.root() / "_build" / "sweeps" / ("prompting-smoke" if smoke else "prompting")
        self.runs: list[dict] = []

    def items(self, task: str) -> list[dict]:
        """The items of a task."""
        return items(task)[:2] if self.smoke else items(task)

    def has(self, who: str, task: str, trick: str) -> bool:
        """Whether a run is done in this process."""
        return any((run["reader"], run["task"], run["trick"]) == (who, task, trick) for run in self.runs)

    def run(
        self, who: str, task: str, trick: str, prompt: Callable[[dict], str | list[dict]], new_tokens: int, **about
    ) -> None:
        """Ask a reader all items of a task; `prompt` makes of an item the messages, or the bare text."""
        chosen, seed, pattern = self.items(task), about.get("seed"), about.get("pattern")
        new_tokens = 4 if self.smoke else new_tokens
        asked = {item["id"]: prompt(item) for item in chosen}
        mark = hashlib.sha256(json.dumps([who, asked, new_tokens, seed, pattern, BATCH]).encode()).hexdigest()[:12]
        path = self.kept / f"{who}-{task}-{re.sub(r'[^a-z0-9]+', '-', trick.lower())}-{mark}.json"
        done = (
            json.loads(path.read_text(encoding="utf-8"))
            if path.exists()
            else {"replies": {}, "log_probs": {}, "seconds": 0.0}
        )
        done.setdefault("log_probs", {})
        part = "log_probs" if about.get("log_probs") else "replies"
        missing = sorted((key for key in asked if key not in done[part]), key=lambda key: len(str(asked[key])))
        for start in range(0, len(missing), BATCH):
            if self.minutes is not None and time.monotonic() - self.began > 60 * self.minutes:
                raise Ended
            keys = missing[start : start + BATCH]
            tokenizer, model = reader(who, self.smoke)
            texts = [
                asked[key]
                if isinstance(asked[key], str)
                else tokenizer.apply_chat_template(asked[key], add_generation_prompt=True, tokenize=False)
                for key in keys
            ]
            clock = time.perf_counter()
            replies, sums = write(
                tokenizer, model, texts, new_tokens, None if seed is None else 1000 * seed + start, pattern
            )
            done["seconds"] += time.perf_counter() - clock
            done["replies"] |= dict(zip(keys, replies, strict=True))
            done["log_probs"] |= {key: round(value, 4) for key, value in zip(keys, sums, strict=True)}
            files.write_text(path, json.dumps(done, ensure_ascii=False))
        replies = {key: done["replies"][key].strip() for key in asked}
        run = {"reader": who, "task": task, "trick": trick, **about, "replies": replies}
        if about.get("log_probs"):
            run["log_probs"] = {key: done["log_probs"][key] for key in asked}
        run["seconds"] = round(done["seconds"], 1)
        if task in TASKS:
            run["right"] = "".join(str(int(right(task, trick, item, replies[item["id"]]))) for item in chosen)
        if task == "sums" and who != "chat":  # what it would have got with no more tokens than the chat model
            tokenizer, _ = reader(who, self.smoke)
            first = {key: tokenizer.decode(tokenizer(text).input_ids[: SUMS["chat"]]) for key, text in replies.items()}
            run["right_in_fewer"] = "".join(str(int(right(task, trick, item, first[item["id"]]))) for item in chosen)
        if task == "code":
            run["right"] = "".join(str(int(passes(item, replies[item["id"]]))) for item in chosen)
        self.runs.append(run)
        share = f"{run['right'].count('1')} of {len(chosen)}" if "right" in run else ""
        print(f"{who}, {task}, {trick}: {share} {run['seconds']} s", flush=True)


def everything(bench: Bench) -> None:
    """All runs, the most needed first."""
    for who, tasks, tricks in ORDER:
        if tasks == "others":
            others(bench, who)
        elif tasks == "votes":
            for seed in range(SAMPLES):
                steps = lambda item: messages("sums", "steps", item)  # noqa: E731
                bench.run(who, "sums", f"steps, sample {seed}", steps, SUMS[who], seed=seed)
        for trick, task in itertools.product(tricks, TASKS):
            if task in tasks and not (task == "sums" and trick in WITHOUT_SUMS) and not bench.has(who, task, trick):
                tricked(bench, who, task, trick)


def others(bench: Bench, who: str) -> None:
    """The runs of all other tasks; for the chat model also other frames than its template, examples of one label."""
    for trick in ("plain", "doubt", "warned"):
        bench.run(who, "traps", trick, lambda item, k=trick: messages("traps", k, item), DIRECT)
    for trick in ("warned", "doubt") if who == "assistant" else ("warned",):
        bench.run(who, "facts", trick, lambda item, k=trick: messages("facts", k, item), DIRECT)
    for count, pattern in itertools.product((0, 3), (None, PATTERN)):
        name = f"{count} examples" + ", grammar" * bool(pattern)
        more = {"pattern": pattern} if pattern else {}
        bench.run(who, "orders", name, lambda item, n=count: order(item, n), 48, **more)
    for task, (text, tokens) in CLASSIC.items():
        bench.run(who, task, "plain", lambda item, t=text: [{"role": "user", "content": t.format(**item)}], tokens)
    if who != "chat":
        return
    for name, frame in FRAMES.items():
        bench.run(who, "facts", name, lambda item, f=frame: f.format(ask("facts", item)), DIRECT)
    for label in LABELS["sentiment"]:
        turns = [
            {"role": role, "content": text}
            for one in [one for one in items("sentiment", "example") if one["answer"] == label][:2]
            for role, text in (("user", ask("sentiment", one)), ("assistant", label))
        ]
        asked = lambda item, t=turns: [*t, {"role": "user", "content": ask("sentiment", item)}]  # noqa: E731
        bench.run(who, "sentiment", f"2 examples, {label}", asked, DIRECT)


def tricked(bench: Bench, who: str, task: str, trick: str) -> None:
    """The run of one trick on one task; for short answers after examples, with the probability of each reply."""
    long = SUMS[who] if task == "sums" else LONG if trick == "steps" else DIRECT
    more = {"log_probs": True} if trick == "3 examples" and task != "sums" else {}
    bench.run(who, task, trick, lambda item: messages(task, trick, item), long, **more)


def of(figures: dict, reader: str, task: str, trick: str) -> dict:
    """The one run of the record with this reader, task and trick."""
    (run,) = [run for run in figures["runs"] if (run["reader"], run["task"], run["trick"]) == (reader, task, trick)]
    return run


def short_of_best(figures: dict, name: str, tokenizer, model, count: int = 4, seed: int = 0) -> dict[str, float]:
    """Some recorded replies to tricks, each with how far its worst token misses the best logit here and now.

    Processors and precisions round differently. A reply that met a near tie misses by a few hundredths; one that this
    model would not have written, by whole logits.
    """
    drawn, found = random.Random(seed), {}
    asked = [
        run for run in figures["runs"] if run["reader"] == name and run["task"] in TASKS and run["trick"] in TRICKS
    ]
    for run in drawn.sample(asked, count):
        item = drawn.choice([item for item in items(run["task"]) if run["replies"][item["id"]]])
        turns, text = messages(run["task"], run["trick"], item), run["replies"][item["id"]]
        key = f"{item['id']}, {run['trick']}"
        found[key] = evaluate.short_of_best(model, tokenizer, turns, text)
    return found


def write_record(bench: Bench) -> Path:
    """Keep the figures."""
    (assistant,) = models.registry()["assistant"]["pocket"]["files"].values()
    figures = {
        "readers": {"chat": "SmolLM2-135M-Instruct", "assistant": "Qwen2.5-Coder-0.5B-Instruct"},
        "sha256": {"assistant": assistant["sha256"]},
        "precision": "bf16",
        "batch": BATCH,
        "new_tokens": {"direct": DIRECT, "steps": LONG, "sums": SUMS},
        "minutes": round(sum(run["seconds"] for run in bench.runs) / 60, 1),
        "processor": machine.processor(),
        "runs": bench.runs,
    }
    if bench.smoke:
        target = bench.kept / "prompting.json"
        files.write_text(target, json.dumps(figures, indent=1))
        return target
    return results.write(
        "prompting",
        figures,
        command="python -m training.sweeps.prompting",
        seeds=range(SAMPLES),
        inputs=["training/sweeps/prompting.py", f"data/{ITEMS}", "src/bookkit/sandbox.py"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="begin no new batch after so many; run again to go on")
    parser.add_argument("--so-far", action="store_true", help="write the record, though not all is done")
    parser.add_argument("--smoke", action="store_true", help="everything in small, with random weights")
    options = parser.parse_args()
    bench = Bench(options.smoke, options.minutes)
    try:
        everything(bench)
    except Ended:
        print("not all is done: run it again to go on", flush=True)
        if not options.so_far:
            return
    print(write_record(bench))


if __name__ == "__main__":
    main()
