"""Two vectors in the plane, to drag or to move with the arrow keys: their angle, cosine, dot product and distance.

The reader may hold both at length 1, where the dot product is the cosine and the distance follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bookkit.errors import BookError
from bookkit.viewers import fragment, pieces

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("vectors")

SIDE = 440
"""Side of the picture, in units of the drawing; it shows the plane from -reach to reach both ways."""


def viewer(
    a: Sequence[float],
    b: Sequence[float],
    *,
    alt: str,
    names: Sequence[str] = ("a", "b"),
    reach: float = 5.0,
    title: str = "Two vectors",
) -> HTML:
    """Two vectors to move, with the four numbers that say how near they are.

    a, b: the tips at the start, each (x, y). alt: what the picture shows at the start, in a sentence. names: what the
    vectors are called. reach: how far the plane goes to each side. Raises BookError for anything that does not fit.
    """
    if not (isinstance(reach, int | float) and math.isfinite(reach) and reach > 0):
        raise BookError("'reach' says how far the plane goes: give a number above 0.")
    tips = [_tip(name, tip, reach) for name, tip in (("a", a), ("b", b))]
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise BookError("'names' needs two texts, one for each vector.")
    names = [fragment.well_formed(name) for name in names]
    data = {
        "title": fragment.well_formed(title),
        "names": names,
        "short": [pieces.short(name) for name in names],
        "tips": tips,
        "reach": reach,
    }
    return fragment.fragment(
        "vectors",
        data=data,
        alt=alt,
        static=_picture(data, alt),
        noscript="With JavaScript, both vectors can be moved, and the numbers follow.",
    )


def measures(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """Angle in degrees, cosine, dot product and distance of two vectors; NaN where a vector of length 0 has none."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    lengths = math.hypot(*a) * math.hypot(*b)
    cosine = max(-1.0, min(1.0, dot / lengths)) if lengths else math.nan
    return {
        "angle": math.degrees(math.acos(cosine)) if lengths else math.nan,
        "cosine": cosine,
        "dot product": dot,
        "distance": math.dist(a, b),
    }


def _tip(name: str, tip: Sequence[float], reach: float) -> list[float]:
    """Two finite numbers within the plane, rounded to hundredths."""
    try:
        x, y = (float(value) for value in tip)
    except (TypeError, ValueError):
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) <= reach):
        raise BookError(f"'{name}' needs two finite numbers from {-reach:g} to {reach:g}: its place in the plane.")
    return [round(x, 2), round(y, 2)]


def _picture(data: dict, alt: str) -> str:
    """What is seen without JavaScript: both vectors, and their numbers."""

    def place(x: float, y: float) -> tuple[float, float]:
        return SIDE * (x / data["reach"] + 1) / 2, SIDE * (1 - y / data["reach"]) / 2

    middle = SIDE / 2
    drawn = f'<path class="{_OWN}-axis" d="M0 {middle:g}H{SIDE}M{middle:g} 0V{SIDE}"/>'
    for which, tip in enumerate(data["tips"]):
        x, y = place(*tip)
        drawn += (
            f'<path class="{_OWN}-line {_OWN}-{"ab"[which]}" d="M{middle:g} {middle:g}L{x:.1f} {y:.1f}"/>'
            f'<circle class="{_OWN}-tip {_OWN}-{"ab"[which]}" cx="{x:.1f}" cy="{y:.1f}" r="8"/>'
            f'<text class="{_OWN}-name" x="{x + 13:.1f}" y="{y - 9:.1f}">{fragment.text(data["short"][which])}</text>'
        )
    found = measures(*data["tips"])
    said = ", ".join(
        f"{name} {'undefined' if math.isnan(value) else f'{value:.0f}°' if name == 'angle' else f'{value:.2f}'}"
        for name, value in found.items()
    )
    label = f'role="img" aria-label={fragment.attr(alt)}'
    return (
        f'<div class="bkv {_OWN}"><p class="bkv-title">{fragment.text(data["title"])}</p>'
        f'<svg class="{_OWN}-plane" viewBox="0 0 {SIDE} {SIDE}" {label}>{drawn}</svg>'
        f'<p class="bkv-note">{said[:1].upper()}{said[1:].replace("-", "−")}.</p></div>'
    )
