"""Beam search as a tree that unfolds step by step: what is kept, what is dropped, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bookkit.errors import BookError
from bookkit.viewers import fragment, pieces

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("branches")

MOST = 600
"""So many hypotheses can still be told apart, and drawn in a moment."""


def viewer(
    steps: Sequence[Sequence[Mapping[str, Any]]],
    *,
    prompt: str = "",
    title: str = "Beam search, step by step",
    step: int | None = None,
    alt: str | None = None,
) -> HTML:
    """The beam-search viewer: a column of hypotheses for each step, unfolded by a slider.

    steps: for each step the hypotheses that were looked at, each a mapping with `token` (text, bytes or a
    byte-level tokenizer's name), `log_prob` of that token, `parent` (index of the hypothesis of the step before
    that it continues; in the first step left out), `kept` (False: dropped by the search; left out: kept) and
    `finished` (True: the text ends here). prompt: the text before them. step: how many steps are unfolded at
    first (all, if left out). alt: what the figure shows, in a sentence; made from the steps where it is missing.
    """
    tree = _tree(steps)
    if step is not None and not 1 <= step <= len(tree):
        raise BookError(f"There is no step {step}: the search has steps 1 to {len(tree)}.")
    kept = [one for one in tree[-1] if one["kept"]]
    ended = [one for level in tree[:-1] for one in level if one["finished"]]
    best = max(kept + ended, key=lambda one: one["total"])
    if alt is None:
        text = pieces.short((prompt + best["text"].decode("utf-8", "replace")).strip(), 120)
        alt = f"Beam search as a tree of {len(tree)} steps; the best text it finds is “{text}”."
    sent = [[{key: one[key] for key in _SENT} for one in level] for level in tree]
    return fragment.fragment(
        "branches",
        data={
            "title": title,
            "prompt": fragment.well_formed(prompt),
            "steps": sent,
            "step": (step or len(tree)) - 1,
        },
        alt=alt,
        static=f'<div class="bkv"><p class="bkv-title">{fragment.text(title)}</p>{_picture(tree, best, alt)}</div>',
        noscript="With JavaScript, the tree unfolds step by step; without it the figure shows all of it.",
    )


_SENT = ("parts", "name", "parent", "logp", "total", "kept", "finished")


def _tree(steps: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[dict]]:
    """The hypotheses with their totals, each step sorted by them, parents renumbered."""
    if not steps or not all(len(level) for level in steps):
        raise BookError("The search is empty: give one hypothesis or more for each step.")
    if sum(map(len, steps)) > MOST:
        raise BookError(f"The tree has {sum(map(len, steps))} hypotheses, and {MOST} is the most that can be seen.")
    for number, level in enumerate(steps, 1):
        if not all(isinstance(one, Mapping) and {"token", "log_prob"} <= set(one) for one in level):
            raise BookError(f"A hypothesis of step {number} lacks token or log_prob: give a mapping with both.")
    texts = iter(pieces.as_bytes([one["token"] for level in steps for one in level], sentence=False))
    tree: list[list[dict]] = []
    places: list[int] = []
    for number, level in enumerate(steps, 1):
        found = []
        for one in level:
            logp, parent = float(one["log_prob"]), one.get("parent")
            if not (math.isfinite(logp) and logp <= 1e-6):
                raise BookError(f"A log_prob of step {number} is {logp}: give the natural logarithm of a probability.")
            before = None
            if number > 1:
                if not isinstance(parent, int) or not 0 <= parent < len(places):
                    raise BookError(
                        f"A hypothesis of step {number} has the parent {parent}, which is not in the step before."
                    )
                before = tree[-1][places[parent]]
                if not before["kept"] or before["finished"]:
                    raise BookError(f"A hypothesis of step {number} continues a text that was dropped or had ended.")
            piece = next(texts)
            (parts,) = pieces.drawn([piece])
            found.append(
                {
                    "parts": parts,
                    "name": pieces.name(parts),
                    "text": (before["text"] if before else b"") + piece,
                    "parent": places[parent] if before else -1,
                    "logp": round(logp, 5),
                    "total": round((before["total"] if before else 0) + logp, 5),
                    "kept": bool(one.get("kept", True)),
                    "finished": bool(one.get("finished", False)),
                }
            )
        if not any(one["kept"] for one in found):
            raise BookError(f"Step {number} keeps no hypothesis: mark the beams that go on with kept.")
        order = sorted(range(len(found)), key=lambda i: (not found[i]["kept"], -found[i]["total"]))
        places = [order.index(i) for i in range(len(found))]
        tree.append([found[i] for i in order])
    return tree


def _picture(tree: list[list[dict]], best: dict, alt: str) -> str:
    """What is seen without JavaScript: the whole tree, the way to the best text in green."""
    wide, gap, high = 90, 30, 34
    level = next(i for i, one in enumerate(tree) if any(other is best for other in one))
    way, one = set(), best
    for i in range(level, -1, -1):
        way.add(id(one))
        one = tree[i - 1][one["parent"]] if i else one
    parts = []
    for i, hypotheses in enumerate(tree):
        x = i * (wide + gap)
        for j, one in enumerate(hypotheses):
            y = j * high
            if i:
                parent, middle = one["parent"] * high + 12, x - gap / 2
                name = f' class="{_OWN}-best"' if id(one) in way else ""
                parts.append(
                    f'<path{name} d="M{x - gap} {parent}C{middle:g} {parent} {middle:g} {y + 12} {x - 4} {y + 12}"/>'
                )
            weight = ' font-weight="700"' if id(one) in way else "" if one["kept"] else ' opacity=".7"'
            word = fragment.text(pieces.short(one["name"], 11))
            dropped = "" if one["kept"] else ", dropped"
            parts.append(
                f'<text x="{x}" y="{y + 13}"{weight}>{word}</text>'
                f'<text class="{_OWN}-small" x="{x}" y="{y + 25}">{one["total"]:.2f}{dropped}</text>'
            )
    width, height = len(tree) * (wide + gap), max(map(len, tree)) * high
    return (
        f'<div class="{_OWN}-scroll" tabindex="0" role="group" aria-label="The tree">'
        f'<svg class="{_OWN}-static" style="width:{width}px" viewBox="0 0 {width} {height}" role="img" '
        f"aria-label={fragment.attr(alt)}>" + "".join(parts) + "</svg></div>"
    )
