"""What the model can do, in figures: fit, fluency, consistency, people, memorisation; samples that nobody selected."""

import gzip
import math
import re
from collections import Counter

import numpy as np
import torch

from training.pocket_gpt2.corpus import distinct, engine_rows
from training.pocket_gpt2.ngram import KneserNey
from training.pocket_gpt2.people import people
from training.pocket_gpt2.story_engine.questions import Question, questions
from training.pocket_gpt2.tokenizer import END, encode

# --- fit ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def surprise(model, ids: list[list[int]], context: int, batch: int = 16) -> list[np.ndarray]:
    """The loss in nats of every token of every text but its first, each with at least half a context before it.

    Args:
        model: a causal language model.
        ids: token ids of the texts, each beginning with an end-of-text token.
        context: the most tokens that the model takes.
        batch: windows at a time.
    """
    windows = []  # text, start, first position that is scored
    for number, text in enumerate(ids):
        start, scored = 0, 1
        while scored < len(text):
            windows.append((number, start, scored))
            scored = start + context
            start += context // 2
    result = [np.zeros(len(text) - 1) for text in ids]
    windows.sort(key=lambda window: min(context, len(ids[window[0]]) - window[1]))
    for first in range(0, len(windows), batch):
        group = windows[first : first + batch]
        rows = [ids[number][start : start + context] for number, start, _ in group]
        width = max(len(row) for row in rows)
        inputs = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
        logs = torch.log_softmax(model(input_ids=inputs).logits[:, :-1].float(), dim=-1)
        losses = -logs.gather(2, inputs[:, 1:, None])[..., 0].cpu().numpy()
        for (number, start, scored), row, loss in zip(group, rows, losses, strict=True):
            result[number][scored - 1 : start + len(row) - 1] = loss[scored - start - 1 : len(row) - 1]
    return result


def fit(model, tokenizer, baseline: KneserNey, texts: list[str], context: int) -> dict:
    """Perplexity per token and bits per byte of the model, of the 5-gram on the same tokens, and of gzip."""
    end = tokenizer.convert_tokens_to_ids(END)
    ids = [[end, *row] for row in tokenizer(texts, verbose=False)["input_ids"]]
    nats = np.concatenate(surprise(model, ids, context))
    stream = encode(tokenizer, texts)
    grams = -np.log(baseline.probabilities(stream))[stream != end]
    size = sum(len(text.encode()) for text in texts)
    bits, gram_bits = (float(total.sum() / math.log(2) / size) for total in (nats, grams))
    return {
        "texts": len(texts),
        "tokens": len(nats),
        "bytes": size,
        "perplexity": round(float(np.exp(nats.mean())), 3),
        "bits_per_byte": round(bits, 4),
        "five_gram_perplexity": round(float(np.exp(grams.mean())), 3),
        "five_gram_bits_per_byte": round(gram_bits, 4),
        "below_five_gram": round(1 - bits / gram_bits, 4),
        "gzip_bits_per_byte": round(8 * len(gzip.compress("\n\n".join(texts).encode(), 9, mtime=0)) / size, 4),
    }


@torch.no_grad()
def yardstick(judge, tokenizer, texts: list[str], context: int = 1024) -> float:
    """Bits per byte of a larger model that was trained on other texts: what much more English buys on these.

    Args:
        judge: a causal language model.
        tokenizer: its own; its texts begin with the end-of-text token too.
        texts: what to read.
        context: the most tokens that it is given.
    """
    end = tokenizer.convert_tokens_to_ids(END)
    ids = [[end, *row] for row in tokenizer(texts, verbose=False)["input_ids"]]
    with torch.autocast(judge.device.type, torch.bfloat16):
        nats = np.concatenate(surprise(judge, ids, context, batch=2))
    return round(float(nats.sum() / math.log(2) / sum(len(text.encode()) for text in texts)), 4)


def fits(model, tokenizer, baseline: KneserNey, corpus, config: dict, judge=None) -> dict:
    """:func:`fit` of every source of the held-out splits, and of new stories from the scene types of training.

    The held-out splits consist of other scene types and another novel; "known/engine" holds the stories that the
    engine would have told next, had the training split been longer. So the two kinds of newness can be told apart.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        baseline: the 5-gram.
        corpus: the ``DatasetDict`` of :func:`corpus.load`.
        config: the whole settings.
        judge: a pair (model, tokenizer) for :func:`yardstick`, or None.

    Returns:
        {"SPLIT/SOURCE": figures}.
    """
    rows = config["evaluation"]["rows"]
    groups = {}
    for split in ("validation", "test"):
        pairs = list(zip(corpus[split]["text"], corpus[split]["source"], strict=True))
        for source in sorted({name for _, name in pairs}):
            groups[f"{split}/{source}"] = [text for text, name in pairs if name == source][:rows]
    told = engine_rows(len(groups["test/engine"]), "train", first=config["corpus"]["engine"]["train"])
    groups["known/engine"] = [row["text"] for row in told]
    report = {}
    for name, texts in groups.items():
        report[name] = fit(model, tokenizer, baseline, texts, config["model"]["context"])
        if judge:
            report[name]["judge_bits_per_byte"] = yardstick(*judge, texts)
    return report


# --- fluency ------------------------------------------------------------------------------------------------


def write(
    model, tokenizer, prompts: list[str], new_tokens: int, seed: int, sampled: bool, batch: int = 32
) -> list[str]:
    """Continuations of the prompts: greedy, or sampled at T = 0.8 within the top 0.95 of the probability."""
    end = tokenizer.convert_tokens_to_ids(END)
    torch.manual_seed(seed)
    how = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "top_k": 0} if sampled else {"do_sample": False}
    written = []
    for start in range(0, len(prompts), batch):
        ids = [[end, *row] for row in tokenizer(prompts[start : start + batch])["input_ids"]]
        width = max(map(len, ids))
        inputs = torch.tensor([[end] * (width - len(row)) + row for row in ids], device=model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids], device=model.device)
        out = model.generate(
            input_ids=inputs,
            attention_mask=mask,
            max_new_tokens=new_tokens,
            pad_token_id=end,
            eos_token_id=end,
            **how,
        )
        for row in out[:, width:].tolist():
            written.append(tokenizer.decode(row[: row.index(end)] if end in row else row))
    return written


def repetition(text: str) -> float:
    """The share of four-word runs that were there before in the same text."""
    return 1 - distinct([re.findall(r"[\w']+", text.lower())], 4) if len(text.split()) > 4 else 0.0


def fluency(model, tokenizer, texts: list[str], config: dict, context: int, seed: int, judge=None) -> dict:
    """The share of continuations that are as good, for a larger judge and in repetition, as the corpus mostly is.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        texts: test texts: their beginnings are the prompts, their own next words the yardstick.
        config: the settings under `evaluation`.
        context: of the model.
        seed: of sampling.
        judge: a pair (model, tokenizer) that finds a text likely or not; None leaves this out.
    """
    length = min(48, context // 4)
    pairs = []
    for ids in tokenizer(texts, verbose=False)["input_ids"]:
        if len(ids) > length + 8 and len(pairs) < config["continuations"]:
            pairs.append(
                (
                    tokenizer.decode(ids[:length]),
                    tokenizer.decode(ids[length : length + config["new_tokens"]]),
                )
            )
    prompts = [prompt for prompt, _ in pairs]
    made = {"corpus": [rest for _, rest in pairs]}
    made["greedy"] = write(model, tokenizer, prompts, config["new_tokens"], seed, sampled=False)
    made["sampled"] = write(model, tokenizer, prompts, config["new_tokens"], seed, sampled=True)
    scores = {}
    for name, rests in made.items():
        words = [re.findall(r"[\w']+", rest.lower()) for rest in rests]
        scores[name] = {
            "repetition": [repetition(rest) for rest in rests],
            "judged": judged(*judge, prompts, rests) if judge else [],
            "distinct": {n: round(distinct(words, n), 4) for n in (1, 2, 3, 4)},
        }
    limits = {
        key: np.percentile(scores["corpus"][key], 90) if scores["corpus"][key] else None
        for key in ("repetition", "judged")
    }
    report = {
        "prompts": len(pairs),
        "limits": {key: None if v is None else round(float(v), 4) for key, v in limits.items()},
    }
    for name, score in scores.items():
        calm = np.array(score["repetition"]) <= limits["repetition"]
        liked = np.array(score["judged"]) <= limits["judged"] if judge else None
        report[name] = {"distinct": score["distinct"], "repetition_passes": round(float(calm.mean()), 4)}
        if judge:
            report[name] |= {
                "judge_passes": round(float(liked.mean()), 4),
                "passes": round(float((calm & liked).mean()), 4),
            }
    return report


@torch.no_grad()
def judged(judge, tokenizer, prompts: list[str], rests: list[str]) -> list[float]:
    """The judge's loss in nats per token of every continuation, given its prompt."""
    losses = []
    for prompt, rest in zip(prompts, rests, strict=True):
        before = tokenizer(prompt)["input_ids"]
        after = tokenizer(rest, add_special_tokens=False)["input_ids"]
        if not after:
            losses.append(math.inf)
            continue
        inputs = torch.tensor([before + after], device=judge.device)
        logs = torch.log_softmax(judge(input_ids=inputs).logits[0, len(before) - 1 : -1].float(), dim=-1)
        losses.append(-logs.gather(1, inputs[0, len(before) :, None]).mean().item())
    return losses


# --- consistency --------------------------------------------------------------------------------------------


def consistency(model, tokenizer, baseline: KneserNey, count: int, context: int) -> dict:
    """Accuracy in cloze questions about held-out scene types, beside three simple answerers.

    `majority` takes the choice that is the right answer most often to questions about the training split,
    `last mentioned` the one named last in the prompt, `five_gram` the likeliest for the 5-gram. Most questions,
    where the stories allow it, are such that the last mentioned is wrong.
    """
    asked = questions(count, "test")
    common = Counter(question.answer for question in questions(count, "train"))
    answerers = {
        "model": lambda question, choices: _likeliest(
            _model_score(model, tokenizer, question.prompt, choices, context), choices
        ),
        "five_gram": lambda question, choices: _likeliest(
            _gram_score(baseline, tokenizer, question.prompt, choices), choices
        ),
        "majority": lambda question, choices: max(choices, key=lambda choice: common[choice]),
        "last mentioned": lambda question, choices: max(
            choices, key=lambda choice: question.prompt.rfind(choice.strip())
        ),
    }
    right: dict[str, Counter] = {name: Counter() for name in answerers}
    for question in asked:
        choices = sorted((question.answer, *question.distractors))
        for name, answer in answerers.items():
            right[name][question.kind] += answer(question, choices) == question.answer
    kinds = Counter(question.kind for question in asked)
    chance = sum(1 / (1 + len(question.distractors)) for question in asked) / len(asked)
    return {"questions": len(asked), "kinds": dict(kinds), "chance": round(chance, 4)} | {
        name: {"accuracy": round(hits.total() / len(asked), 4)}
        | {kind: round(hits[kind] / kinds[kind], 4) for kind in sorted(kinds)}
        for name, hits in right.items()
    }


def _likeliest(scores: list[float], choices: list[str]) -> str:
    return choices[int(np.argmax(scores))]


@torch.no_grad()
def _model_score(model, tokenizer, prompt: str, choices: list[str], context: int) -> list[float]:
    end = tokenizer.convert_tokens_to_ids(END)
    before = [end, *tokenizer(prompt, verbose=False)["input_ids"]]
    afters = tokenizer(choices)["input_ids"]
    before = before[-(context - max(map(len, afters))) :]
    width = len(before) + max(map(len, afters))
    inputs = torch.tensor(
        [before + after + [end] * (width - len(before) - len(after)) for after in afters], device=model.device
    )
    logs = torch.log_softmax(model(input_ids=inputs).logits[:, :-1].float(), dim=-1)
    taken = logs.gather(2, inputs[:, 1:, None])[..., 0][:, len(before) - 1 :]
    return [taken[row, : len(after)].sum().item() for row, after in enumerate(afters)]


def _gram_score(baseline: KneserNey, tokenizer, prompt: str, choices: list[str]) -> list[float]:
    before = tokenizer(prompt, verbose=False)["input_ids"][-baseline.n :]
    afters = tokenizer(choices)["input_ids"]
    return [float(np.log(baseline.probabilities(np.array(before + after))[len(before) :]).sum()) for after in afters]


# --- memorisation -------------------------------------------------------------------------------------------


class Overlaps:
    """Finds which runs of tokens also stand in the training stream, by hashing all runs of one length."""

    def __init__(self, train: np.ndarray, entries: int):
        self._values = np.random.default_rng(0).integers(1, 2**63, entries, dtype=np.uint64)
        self._train = train

    def _runs(self, tokens: np.ndarray, length: int) -> np.ndarray:
        base = 0x9E3779B97F4A7C15
        power = np.cumprod(np.full(len(tokens), base, dtype=np.uint64))
        inverse = np.cumprod(np.full(len(tokens), pow(base, -1, 2**64), dtype=np.uint64))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(self._values[tokens] * power, dtype=np.uint64)])
        return (sums[length:] - sums[:-length]) * inverse[: len(tokens) - length + 1]

    def share(self, texts: list[np.ndarray], length: int) -> float:
        """The share of the texts' runs of this length that stand in the training stream."""
        texts = [text for text in texts if len(text) >= length]
        if not texts or len(self._train) < length:
            return 0.0
        known = np.unique(self._runs(self._train, length))
        runs = np.concatenate([self._runs(text, length) for text in texts])
        return float(np.isin(runs, known).mean())

    def longest(self, texts: list[np.ndarray]) -> int:
        """The length of the longest run of any text that stands in the training stream."""
        low, high = 0, max((len(text) for text in texts), default=0)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.share(texts, middle) > 0 else (low, middle - 1)
        return low


# --- all of it ----------------------------------------------------------------------------------------------


def load_judge(role: str | None):
    """The judge of the settings with its tokenizer, or None."""
    if role is None:
        return None
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import bookkit

    path = bookkit.model(role)
    return AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)


def _people(model, tokenizer, config: dict) -> dict:
    options, context = config["evaluation"], config["model"]["context"]
    rows = engine_rows(options["continuations"], "train", first=config["corpus"]["engine"]["train"])
    told = [row["text"] for row in rows if row["kind"] == "story"]
    written = write(model, tokenizer, [""] * options["written"], context - 1, config["seed"], sampled=True)
    return people(model, tokenizer, told, written, context)


def briefly(model, tokenizer, corpus, train: np.ndarray, config: dict) -> dict:
    """The figures that need no judge, "fit" and "people", to compare runs; arguments as of :func:`evaluate`."""
    model.eval()
    fit = fits(model, tokenizer, KneserNey(train, len(tokenizer)), corpus, config)
    return {"seed": config["seed"], "fit": fit, "people": _people(model, tokenizer, config)}


def evaluate(model, tokenizer, corpus, train: np.ndarray, config: dict) -> dict:
    """Every figure of the passport.

    Args:
        model: the trained model.
        tokenizer: its tokenizer.
        corpus: the ``DatasetDict`` of :func:`corpus.load`.
        train: token ids of the training split.
        config: the whole settings.
    """
    options, context, seed = config["evaluation"], config["model"]["context"], config["seed"]
    model.eval()
    baseline = KneserNey(train, len(tokenizer))
    judge = load_judge(options["judge"])
    report: dict = {"parameters": model.num_parameters(), "train_tokens": len(train)}
    report["fit"] = fits(model, tokenizer, baseline, corpus, config, judge)
    engine = [row["text"] for row in corpus["test"] if row["source"] == "engine"]
    report["fluency"] = fluency(model, tokenizer, engine, options, context, seed, judge)
    report["consistency"] = consistency(model, tokenizer, baseline, options["questions"], context)
    report["people"] = _people(model, tokenizer, config)
    samples = [
        {
            "seed": seed + number,
            "text": write(model, tokenizer, [""], context - 1, seed + number, sampled=True)[0],
        }
        for number in range(options["samples"])
    ]
    overlaps = Overlaps(train, len(tokenizer))
    ids = [
        np.array(row, dtype=np.int64) for row in tokenizer([sample["text"] for sample in samples])["input_ids"] if row
    ]
    report["memorisation"] = {
        "longest_overlap_tokens": overlaps.longest(ids),
        "share_of_50_token_runs": round(overlaps.share(ids, 50), 4),
    }
    report["samples"] = samples
    return report


__all__ = ["Question", "briefly", "evaluate", "fit", "fits", "fluency", "consistency", "surprise", "write", "yardstick"]
