"""The scorer: exact match and token F1 after normalisation, abstention, citation, all with bootstrap intervals."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

import numpy as np

from bookkit import bootstrap
from training.grounded_qa import house

NUMBERS = {word: str(number) for number, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve".split()
)}  # fmt: skip
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[a-z]+|[£€$%]")


def tokens(text: str) -> list[str]:
    """The words, numbers and currency signs of a text, in one spelling.

    Letters are lower-cased and lose their accents; articles go; "9:30 a.m." is "9.30 am", "1,200" is "1200" and
    "two" is "2". A number keeps its decimals, so that £4.50 never equals £450.
    """
    text = unicodedata.normalize("NFKD", text).casefold()
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    found = []
    for token in _TOKEN.findall(text):
        if token[0].isdigit():
            found.append(token.replace(":", "."))
        elif token not in ("a", "an", "the"):
            found.append(NUMBERS.get(token, token))
    return found


def holds(text: str, answer: str) -> bool:
    """Whether the tokens of an answer stand in a text, one after the other."""
    inside, wanted = tokens(text), tokens(answer)
    return any(inside[i : i + len(wanted)] == wanted for i in range(len(inside) - len(wanted) + 1))


def exact(answer: str, right: list[str]) -> bool:
    """Whether an answer equals one of the right ones after normalisation."""
    return any(tokens(answer) == tokens(one) for one in right)


def f1(answer: str, right: list[str]) -> float:
    """Harmonic mean of precision and recall of the tokens, for the best of the right answers."""
    return max(_f1(tokens(answer), tokens(one)) for one in right)


def _f1(given: list[str], wanted: list[str]) -> float:
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted)) if common else 0.0


COLUMNS = ("answerable", "several", "abstained", "in_format", "exact", "f1", "contained", "cited")


def judge(item: dict, text: str) -> dict[str, float]:
    """The marks of one reply, a number for each of COLUMNS.

    exact, f1 and contained ("the right answer stands in the reply") are those of the answer for an answerable item
    and 0 where the reply abstains; for an unanswerable item each is 1 if it abstains and else 0. cited: the reply
    names the right passage (answerable items only).
    """
    said = house.read(text)
    answerable = item["answer"] is not None
    marks = {
        "answerable": answerable,
        "several": answerable and len(item["passages"]) > 1,
        "abstained": said.answer is None,
        "in_format": said.in_format,
        "cited": answerable and said.citation == item["citation"],
    }
    if answerable and said.answer is not None:
        right = [item["answer"], *item["aliases"]]
        first = text.strip().split("\n", 1)[0]
        marks |= {
            "exact": exact(said.answer, right),
            "f1": f1(said.answer, right),
            "contained": any(holds(first, one) for one in right),
        }
    else:
        marks |= dict.fromkeys(("exact", "f1", "contained"), not answerable and said.answer is None)
    return {name: float(marks[name]) for name in COLUMNS}


def table(items: list[dict], texts: list[str]) -> np.ndarray:
    """The marks of all replies: float64 array (items, COLUMNS)."""
    return np.array([list(judge(i, t).values()) for i, t in zip(items, texts, strict=True)]).reshape(-1, len(COLUMNS))


def _share(part: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Σ part / Σ of over the last axis; NaN where there is nothing to divide by."""
    total = of.sum(-1)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, part.sum(-1) / np.where(total > 0, total, 1), np.nan)


def _metric(name: str, of: str | None = None) -> Callable:
    return lambda c: _share(c[name] * c[of], c[of]) if of else c[name].mean(-1)


METRICS: dict[str, Callable[[dict[str, np.ndarray]], np.ndarray]] = {
    "exact_match": _metric("exact"),
    "f1": _metric("f1"),
    "contained": _metric("contained"),
    "exact_match_answerable": _metric("exact", "answerable"),
    "f1_answerable": _metric("f1", "answerable"),
    "contained_answerable": _metric("contained", "answerable"),
    "abstention_precision": lambda c: _share(c["abstained"] * (1 - c["answerable"]), c["abstained"]),
    "abstention_recall": lambda c: _share(c["abstained"] * (1 - c["answerable"]), 1 - c["answerable"]),
    "abstention_f1": lambda c: _share(2 * c["abstained"] * (1 - c["answerable"]), c["abstained"] + 1 - c["answerable"]),
    "citation": _metric("cited", "several"),
    "exact_and_cited": lambda c: _share(c["exact"] * c["cited"] * c["answerable"], c["answerable"]),
    "house_format": _metric("in_format"),
}  # fmt: skip


def _columns(marks: np.ndarray) -> dict[str, np.ndarray]:
    return {name: marks[..., i] for i, name in enumerate(COLUMNS)}


def _figure(value: float, resampled: np.ndarray) -> dict:
    """A value and the middle 95 % of its resamples; None where it is not defined."""
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    low, high = bootstrap.middle(resampled)
    return {"value": round(float(value), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def report(marks: np.ndarray, resamples: int = 2000, seed: int = 0) -> dict[str, dict]:
    """Every metric with its 95 % bootstrap interval over items."""
    drawn = _columns(marks[bootstrap.rows(len(marks), resamples=resamples, seed=seed)])
    return {name: _figure(metric(_columns(marks)), metric(drawn)) for name, metric in METRICS.items()}


def compare(before: np.ndarray, after: np.ndarray, resamples: int = 2000, seed: int = 0) -> dict[str, dict]:
    """The gain of every metric, after - before, with its paired bootstrap interval: both get the same items.

    Raises:
        ValueError: the two are not about the same items.
    """
    if before.shape != after.shape or not (before[:, :2] == after[:, :2]).all():
        raise ValueError("A paired comparison needs the replies of both to the same items in the same order.")
    rows = bootstrap.rows(len(before), resamples=resamples, seed=seed)
    gains = {}
    for name, metric in METRICS.items():
        resampled = metric(_columns(after[rows])) - metric(_columns(before[rows]))
        gains[name] = _figure(metric(_columns(after)) - metric(_columns(before)), resampled)
    return gains
