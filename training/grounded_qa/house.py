"""The house format, defined once: how passages and question are put to the model, and what it is to answer.

    Answer: half past nine [2]
    The context does not say.

The words stand in ``data/corpora/grounded_qa/house_format.json``.
"""

import json
import re
from dataclasses import dataclass

import bookkit

FORMAT = json.loads(bookkit.read_text("corpora/grounded_qa/house_format.json"))
SYSTEM, ABSTENTION = FORMAT["system"], FORMAT["abstention"]

_ANSWER = re.compile(r"Answer: (?P<answer>\S.*?) \[(?P<citation>\d{1,2})\]")


@dataclass(frozen=True)
class Reply:
    """A reply, read.

    Attributes:
        answer: its text; None for an abstention.
        citation: the number of the passage; None where there is none.
        in_format: whether the reply is in the house format to the letter.
    """

    answer: str | None
    citation: int | None
    in_format: bool


def user(passages: list[str], question: str) -> str:
    """The user's message: the numbered passages, an empty line, the question."""
    numbered = "\n".join(f"[{number}] {passage}" for number, passage in enumerate(passages, 1))
    return f"{numbered}\n\nQuestion: {question}"


def prompt(item: dict) -> list[dict]:
    """The messages that ask for an item's answer."""
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": user(item["passages"], item["question"])},
    ]


def reply(item: dict) -> str:
    """The right reply to an item."""
    return ABSTENTION if item["answer"] is None else f"Answer: {item['answer']} [{item['citation']}]"


# What a model that was not taught the house format says when it does not know.
_DOES_NOT_SAY = re.compile(
    r"\b(?:(?:does|do|did|is|are|was|were) not|doesn't|don't|didn't|isn't|aren't|wasn't)\s+(?:\w+\s+){0,2}?"
    r"(?:say|state|mention|specif|provide|tell|contain|include|given|clear|known|indicate|enough)"
    r"|\bno (?:information|mention|answer)\b|\bcannot (?:be )?(?:determine|answer|say|tell)"
    r"|\bnot (?:enough|sufficient)\b|\bunable to\b|\bi (?:do not|don't) know\b|\bunknown\b"
)


def read(text: str) -> Reply:
    """Read a reply, kindly: any wording of "it does not say" is an abstention, and a missing number is no error.

    Args:
        text: what the model wrote.

    Returns:
        The reply; `in_format` tells whether kindness was needed.
    """
    text = text.strip()
    if text == ABSTENTION:
        return Reply(None, None, True)
    first = text.split("\n", 1)[0].strip()
    if _DOES_NOT_SAY.search(first.lower().replace("’", "'")):
        return Reply(None, None, False)
    if match := _ANSWER.fullmatch(text):
        return Reply(match["answer"], int(match["citation"]), True)
    numbers = re.findall(r"\[(\d{1,2})\]", first)
    bare = re.sub(r"^\s*answer\s*:", "", re.sub(r"\s*\[\d{1,2}\]", "", first), flags=re.IGNORECASE).strip()
    return Reply(bare, int(numbers[0]) if len(set(numbers)) == 1 else None, False)
