"""A conversation as a chat model reads it: one row of tokens, in which roles are marked by tokens of the template.

The reader selects a token and sees from which tokens its probability was computed, and what else could stand there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bookkit.errors import BookError
from bookkit.viewers import fragment, pieces

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("prompt")

KINDS = {"template": "the template", "system": "the system", "user": "the user", "assistant": "the model"}
"""Who put a token there."""


@dataclass(frozen=True)
class Token:
    """One token of the conversation.

    text: its characters, or bytes. kind: who put it there, one of KINDS. id: its number. probability: what the model
    gave it, None for the first. likeliest: tokens that could stand here, the best first, each with its probability.
    """

    text: str | bytes
    kind: str
    id: int
    probability: float | None = None
    likeliest: Sequence[tuple[str, float]] = field(default=())


def viewer(
    tokens: Sequence[Token], *, title: str = "The conversation as the model reads it", alt: str | None = None
) -> HTML:
    """The conversation, token by token.

    tokens: of the whole prompt and the reply, in order. title: above them. alt: what the figure shows, in a sentence;
    made from the counts where it is missing.
    """
    tokens = list(tokens)
    if not tokens:
        raise BookError("There is nothing to show: give the tokens of a conversation.")
    for token in tokens:
        if token.kind not in KINDS:
            raise BookError(f"A token is of the kind {token.kind!r}: the kinds are {', '.join(KINDS)}.")
        values = [p for _, p in token.likeliest] + [0.0 if token.probability is None else token.probability]
        if not all(math.isfinite(p) and 0 <= p <= 1.000001 for p in values):
            raise BookError(f"A probability of the token {token.text!r} is no number from 0 to 1.")
    parts = pieces.drawn(pieces.as_bytes([token.text for token in tokens]))
    others = [
        [(pieces.drawn(pieces.as_bytes([text]), sentence=False)[0], round(float(p), 4)) for text, p in token.likeliest]
        for token in tokens
    ]
    counts = {kind: sum(token.kind == kind for token in tokens) for kind in KINDS}
    if alt is None:
        alt = f"A conversation of {len(tokens)} tokens: " + ", ".join(
            f"{count} by {KINDS[kind]}" for kind, count in counts.items() if count
        )
        alt += "."
    return fragment.fragment(
        "prompt",
        data={
            "title": title,
            "parts": parts,
            "names": [pieces.name(part) for part in parts],
            "kinds": [token.kind for token in tokens],
            "ids": [int(token.id) for token in tokens],
            "shares": [None if t.probability is None else round(float(t.probability), 5) for t in tokens],
            "others": others,
            "words": KINDS,
            "order": list(KINDS),
            "ends": [_ends_line(token.text) for token in tokens],
            "counts": counts,
        },
        alt=alt,
        static=_picture(title, tokens, parts),
        noscript="With JavaScript, selecting a token shows what its probability was computed from.",
    )


def _ends_line(text: str | bytes) -> bool:
    """Whether a new line begins after a token."""
    return text.endswith(("\n", "Ċ") if isinstance(text, str) else b"\n")


def _picture(title: str, tokens: list[Token], parts: list) -> str:
    """What is seen without JavaScript: the tokens in the colours of who put them there."""
    drawn = "".join(
        f'<bdi class="bkv-token {_OWN}-token {_OWN}-{token.kind}">'
        + "".join(
            fragment.text(run) if kind == "t" else f'<span class="bkv-{kind}">{fragment.text(run)}</span>'
            for kind, run in part
        )
        + "</bdi>"
        + ("<br>" if _ends_line(token.text) else "")
        for token, part in zip(tokens, parts, strict=True)
    )
    return f'<div class="bkv"><p class="bkv-title">{fragment.text(title)}</p><p class="{_OWN}-text">{drawn}</p></div>'
