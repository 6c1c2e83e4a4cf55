"""One query in the plane: scores, softmax weights and the weighted sum, while the reader moves it.

The left plane holds a key for each token and the query, which can be dragged; the right one the values and their
weighted sum. The table between shows every step of the computation, as it is done on paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bookkit.errors import BookError
from bookkit.viewers import fragment, pieces

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("query")

MOST_TOKENS = 8
"""More points than these cannot be told apart in the planes."""
SIDE = 300
"""Side of a plane in the units of its drawing."""


def viewer(
    tokens: Sequence[str],
    keys: Any,
    values: Any,
    *,
    query: Sequence[float],
    alt: str,
    axes: Sequence[str] = ("first number", "second number"),
    title: str = "Move the query",
) -> HTML:
    """A query that looks for its keys.

    tokens: their names, two to eight. keys, values: two numbers for each token, (tokens, 2). query: where it stands at
    first. alt: what is seen then, in a sentence. axes: what the two numbers of a key mean. Raises BookError for
    anything that does not fit together.
    """
    names = [fragment.well_formed(token) for token in tokens]
    if not 2 <= len(names) <= MOST_TOKENS:
        raise BookError(f"The plane shows 2 to {MOST_TOKENS} tokens, not {len(names)}: give another example.")
    keys, values = (_pairs(name, rows, len(names)) for name, rows in (("keys", keys), ("values", values)))
    start = _pairs("query", [query], 1)[0]
    if len(axes) != 2:
        raise BookError("'axes' names the two numbers of a key: give two texts.")
    reach = max(1.0, math.ceil(max(abs(x) for pair in [*keys, start] for x in pair))) + 1
    data = {
        "title": fragment.well_formed(title),
        "names": names,
        "keys": keys,
        "values": values,
        "query": [round(x, 1) for x in start],
        "axes": [fragment.well_formed(axis) for axis in axes],
        "reach": reach,
        "far": max(1.0, *(abs(x) for pair in values for x in pair)) * 1.25,
    }
    return fragment.fragment(
        "query",
        data=data,
        alt=alt,
        static=_picture(data, alt),
        noscript="With JavaScript, the query can be moved; without it you see where it stands at first.",
    )


def _pairs(name: str, rows: Any, count: int) -> list[list[float]]:
    """Finite pairs of numbers, so many of them."""
    if hasattr(rows, "tolist"):
        rows = rows.tolist()
    try:
        found = [[float(x) for x in row] for row in rows]
    except (TypeError, ValueError):
        found = []
    if len(found) != count or any(len(row) != 2 or not all(map(math.isfinite, row)) for row in found):
        raise BookError(f"'{name}' needs {count} × 2 finite numbers: look at its shape and for missing values.")
    return found


def attended(query: Sequence[float], keys: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """The scores q·k / √2 of a query, and their softmax."""
    scores = [(query[0] * x + query[1] * y) / math.sqrt(2) for x, y in keys]
    largest = max(scores)
    exponentials = [math.exp(score - largest) for score in scores]
    return scores, [one / sum(exponentials) for one in exponentials]


def _picture(data: dict[str, Any], alt: str) -> str:
    """What is seen without JavaScript: the keys and the query, and the table of the computation."""
    reach, (qx, qy) = data["reach"], data["query"]

    def place(x: float, y: float) -> tuple[str, str]:
        return f"{SIDE * (x / reach + 1) / 2:.0f}", f"{SIDE * (1 - y / reach) / 2:.0f}"

    parts = [f'<path class="{_OWN}-axis" d="M0 {SIDE / 2:g}H{SIDE}M{SIDE / 2:g} 0V{SIDE}"/>']
    for name, key in zip(data["names"], data["keys"], strict=True):
        x, y = place(*key)
        parts.append(f'<circle class="{_OWN}-key" cx="{x}" cy="{y}" r="6"/>')
        label = fragment.text(pieces.short(name, 12))
        parts.append(f'<text class="{_OWN}-name" x="{x}" y="{int(y) - 11}">{label}</text>')
    x, y = place(qx, qy)
    parts.append(f'<path class="{_OWN}-arrow" d="M{SIDE / 2:g} {SIDE / 2:g}L{x} {y}"/>')
    parts.append(f'<circle class="{_OWN}-tip" cx="{x}" cy="{y}" r="8"/>')
    scores, weights = attended((qx, qy), data["keys"])
    rows = "".join(
        f'<tr><th scope="row">{fragment.text(name)}</th><td>{score:.2f}</td><td>{weight:.2f}</td></tr>'
        for name, score, weight in zip(data["names"], scores, weights, strict=True)
    )
    total = [sum(w * v[i] for w, v in zip(weights, data["values"], strict=True)) for i in (0, 1)]
    return (
        f'<div class="bkv {_OWN}"><p class="bkv-title">{fragment.text(data["title"])}</p>'
        f'<svg class="{_OWN}-plane" viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label={fragment.attr(alt)}>'
        + "".join(parts)
        + f'</svg><table class="{_OWN}-table"><thead><tr><th scope="col">token</th><th scope="col">score</th>'
        f'<th scope="col">weight</th></tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="bkv-note">Weighted sum of the values: ({total[0]:.2f}, {total[1]:.2f})</p></div>'
    ).replace("-0.00", "0.00")
