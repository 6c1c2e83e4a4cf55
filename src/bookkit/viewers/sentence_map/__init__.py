"""The sentence map: texts as points, several maps of the same vectors to switch between, search and hover.

A map of many dimensions in two has to lie somewhere. For the chosen text the viewer therefore draws lines to its
nearest neighbours among the *original* vectors, and counts how many of them are neighbours on the map as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bookkit.errors import BookError
from bookkit.viewers import fragment

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("sentence_map")

SCALE = 4095
"""Coordinates are kept as whole numbers from 0 to this, finer than a pixel."""
NEIGHBOURS = 5
WIDTH, HEIGHT, MARGIN = 560, 440, 26
"""The static picture, in pixels; the live one takes the room that it finds."""


def viewer(
    texts: Sequence[str],
    maps: Mapping[str, Sequence[Sequence[float]]],
    *,
    alt: str,
    titles: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    vectors: Sequence[Sequence[float]] | None = None,
    notes: Mapping[str, str] | None = None,
    what: str = "texts",
    chosen: int = 0,
) -> HTML:
    """Texts as points, on one map or on several that the reader switches between.

    maps: name → one (x, y) for each text; y grows upwards. alt: what the first map shows, in a sentence.
    titles: a short name for each text, shown above it. groups: what each text belongs to; the map carries their
    names, and one at a time can be picked out. vectors: the vectors behind the maps, any length each; with them
    lines lead to the nearest texts by cosine. notes: map's name → a sentence that stands below it. what: what the
    points are, in the plural. chosen: the text that is selected at first. Raises BookError for anything that
    does not fit together.
    """
    texts = [fragment.well_formed(text) for text in texts]
    if not texts:
        raise BookError("The sentence map needs at least one text: give it some.")
    if not maps:
        raise BookError("The sentence map needs at least one map: maps={'PCA': …}.")
    for name, given in {"titles": titles, "groups": groups, "vectors": vectors, **maps}.items():
        if given is not None and len(given) != len(texts):
            raise BookError(f"{name!r} has {len(given)} entries for {len(texts)} texts: give one for each.")
    if not 0 <= chosen < len(texts):
        raise BookError(f"There is no text {chosen} to choose: give a number from 0 to {len(texts) - 1}.")
    names = list(dict.fromkeys(groups or []))
    data = {
        "texts": texts,
        "titles": [fragment.well_formed(title) for title in titles] if titles else None,
        "names": [fragment.well_formed(name) for name in names],
        "groups": [names.index(group) for group in groups] if groups else None,
        "maps": [[fragment.well_formed(name), *_whole(name, points)] for name, points in maps.items()],
        "notes": [fragment.well_formed((notes or {}).get(name, "")) for name in maps],
        "near": _nearest(vectors) if vectors is not None else None,
        "scale": SCALE,
        "what": fragment.well_formed(what),
        "chosen": chosen,
    }
    return fragment.fragment(
        "sentence_map",
        data=data,
        alt=alt,
        static=_static(data, alt),
        noscript=f"With JavaScript, each point shows its text, the {what} can be searched, and the maps switched.",
    )


def _whole(name: str, points) -> tuple[list[int], list[int]]:
    """The columns x and y as whole numbers from 0 to SCALE."""
    rows = [tuple(float(value) for value in point) for point in points]
    if any(len(row) != 2 or not all(map(math.isfinite, row)) for row in rows):
        raise BookError(f"The map {name!r} needs two finite numbers for each text: look for missing values.")
    xs, ys = ([row[axis] for row in rows] for axis in (0, 1))
    columns = []
    for values in (xs, ys):
        low, span = min(values), (max(values) - min(values)) or 1.0
        flat = max(values) == min(values)
        columns.append([SCALE // 2 if flat else round(SCALE * (value - low) / span) for value in values])
    return columns[0], columns[1]


def _nearest(vectors) -> list[list]:
    """For each text its nearest others by cosine: [[number, ...], [hundredths of cosine, ...]]."""
    import numpy as np

    matrix = np.asarray(vectors, dtype=np.float64)
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise BookError("'vectors' needs one row of finite numbers for each text: look for missing values.")
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix = matrix / np.where(norms > 0, norms, 1)
    similar = matrix @ matrix.T
    np.fill_diagonal(similar, -np.inf)
    order = np.argsort(-similar, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(matrix) - 1)]
    hundredths = np.rint(100 * np.take_along_axis(similar, order, axis=1)).astype(int)
    return [[row.tolist(), values.tolist()] for row, values in zip(order, hundredths, strict=True)]


def _static(data: dict, alt: str) -> str:
    """The first map as SVG, with the names of the groups."""
    name, xs, ys = data["maps"][0]
    place = [
        (MARGIN + (WIDTH - 2 * MARGIN) * x / SCALE, MARGIN + (HEIGHT - 2 * MARGIN) * (1 - y / SCALE))
        for x, y in zip(xs, ys, strict=True)
    ]
    points = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3.4"/>' for x, y in place)
    labels = ""
    for number, group in enumerate(data["names"]):
        mine = [at for at, which in zip(place, data["groups"], strict=True) if which == number]
        x, y = (sorted(at[axis] for at in mine)[len(mine) // 2] for axis in (0, 1))
        labels += f'<text x="{x:.0f}" y="{y:.0f}">{fragment.text(group)}</text>'
    return (
        f'<div class="bkv {_OWN}"><p class="bkv-title">{fragment.text(name)}</p>'
        f'<svg class="{_OWN}-map" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label={fragment.attr(alt)}>'
        f'<g class="{_OWN}-points">{points}</g><g class="{_OWN}-names">{labels}</g></svg></div>'
    )
