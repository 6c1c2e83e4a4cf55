"""Questions, and the passages that several methods of retrieval find for them, side by side.

The reader picks a question, compares the ranked lists, and opens a passage: its text stands below with the words of
the question marked in it, and beside it the place that every method gave it. Passages that hold the answer carry a
tick.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bookkit.errors import BookError
from bookkit.viewers import fragment

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("retrieval")

_LINK = re.compile(r"[\w./-]+(#[\w.-]+)?|#[\w.-]+|https?://\S+")


@dataclass(frozen=True)
class Passage:
    """What can be found: a title, its text, and where it stands (a relative address or http(s), or nothing)."""

    title: str
    text: str
    link: str = ""


@dataclass(frozen=True)
class Question:
    """A question and what was found for it.

    found: method → (number of the passage, score), best first. gold: the numbers of the passages that hold the
    answer; none where there is no answer. terms: words to mark in the passages, as they stand there.
    """

    text: str
    found: Mapping[str, Sequence[tuple[int, float]]]
    gold: Sequence[int] = ()
    terms: Sequence[str] = ()


def viewer(questions: Sequence[Question], passages: Sequence[Passage], *, alt: str) -> HTML:
    """Ranked passages for each question, one list for each method.

    questions: all with the same methods, each with at least one passage found. passages: what their numbers mean;
    those that no question needs are left out. alt: what the lists of the first question show, in a sentence.
    Raises BookError for anything that does not fit together.
    """
    if not questions:
        raise BookError("The retrieval viewer needs at least one question.")
    methods = list(questions[0].found)
    for number, question in enumerate(questions):
        if list(question.found) != methods or not methods:
            raise BookError(f"Question {number} has other methods than the first: give each the same, at least one.")
        for method, hits in question.found.items():
            if not hits:
                raise BookError(f"Question {number} has nothing found by {method!r}: leave it out.")
            if not all(math.isfinite(score) for _, score in hits):
                raise BookError(f"Question {number} has a score by {method!r} that is no finite number.")
        named = {which for hits in question.found.values() for which, _ in hits} | set(question.gold)
        if missing := sorted(which for which in named if not 0 <= which < len(passages)):
            raise BookError(f"Question {number} names the passage {missing[0]}, but there are {len(passages)}.")
    for passage in passages:
        if passage.link and not _LINK.fullmatch(passage.link):
            raise BookError(f"The link {passage.link!r} of {passage.title!r} is neither relative nor http(s).")
    used = sorted({which for question in questions for hits in question.found.values() for which, _ in hits})
    new = {old: place for place, old in enumerate(used)}
    data = {
        "methods": [fragment.well_formed(method) for method in methods],
        "passages": [
            [fragment.well_formed(part) for part in (passage.title, passage.text, passage.link)]
            for passage in (passages[which] for which in used)
        ],
        "questions": [
            {
                "text": fragment.well_formed(question.text),
                "terms": [fragment.well_formed(term) for term in question.terms if term.strip()],
                "gold": [new[which] for which in question.gold if which in new],
                "missed": sum(which not in new for which in question.gold),
                "found": [
                    [[new[which], round(float(score), 4)] for which, score in hits] for hits in question.found.values()
                ],
            }
            for question in questions
        ],
    }
    return fragment.fragment(
        "retrieval",
        data=data,
        alt=alt,
        static=_static(data),
        noscript="With JavaScript, more questions can be chosen and each passage read.",
    )


def _static(data: dict) -> str:
    """The lists of the first question."""
    question = data["questions"][0]
    columns = ""
    for method, hits in zip(data["methods"], question["found"], strict=True):
        lines = "".join(
            f"<li>{fragment.text(data['passages'][which][0])}{' ✓' if which in question['gold'] else ''}</li>"
            for which, _ in hits
        )
        columns += (
            f'<div class="{_OWN}-column"><p class="{_OWN}-method">{fragment.text(method)}</p><ol>{lines}</ol></div>'
        )
    return (
        f'<div class="bkv {_OWN}"><p class="bkv-title">{fragment.text(question["text"])}</p>'
        f'<div class="{_OWN}-columns">{columns}</div></div>'
    )
