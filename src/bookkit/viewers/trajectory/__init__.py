"""From noise to a picture: every step of a diffusion model's sampling, decoded.

The reader moves a slider through the steps or lets them play, and sees side by side what the sampler holds and what
the network expects it to become. Below, scores move along. Runs form a grid, such as guidance by seed.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bookkit.errors import BookError
from bookkit.viewers import fragment

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("trajectory")

QUALITIES = ((60, 85), (45, 75), (35, 65), (25, 55), (15, 45), (10, 35), (5, 25))
"""Qualities of WebP (noise hides what is lost in pictures that are held), tried in turn until all fit."""
BUDGET = 190_000
"""What all pictures together may take, in bytes, before base64 makes four of every three."""
STRIP = 7
"""Steps that the static strip shows."""


@dataclass(frozen=True)
class Run:
    """One way from noise to a picture of `steps` steps.

    held: what the sampler holds before every step and at the end, decoded: uint8 (steps + 1, side, side, 3).
    expected: of the same shape, the picture that the network expects at each of these moments. scores: name →
    shares from 0 to 1 of the expected picture, (steps + 1).
    """

    held: Any
    expected: Any
    scores: Mapping[str, Any] = field(default_factory=dict)


def viewer(
    runs: Mapping[tuple[str, str], Run],
    *,
    dials: tuple[str, str] = ("Guidance", "Seed"),
    prompt: str,
    alt: str,
) -> HTML:
    """Trajectories of one prompt.

    runs: (setting of the first dial, setting of the second) → `Run`; every combination once, all of one shape, with
    the same scores. dials: the names of the two. prompt: what was asked for. alt: the story of the first run, in a
    sentence or two. Raises BookError for anything that does not fit together.
    """
    import numpy as np

    if not runs:
        raise BookError("The trajectory needs at least one run: runs={('5', '0'): Run(…)}.")
    firsts, seconds = (list(dict.fromkeys(key[place] for key in runs)) for place in (0, 1))
    missing = [key for key in ((a, b) for a in firsts for b in seconds) if key not in runs]
    if missing:
        raise BookError(f"The run {missing[0]} is missing: give one for each {dials[0]} and {dials[1]}.")
    first = next(iter(runs.values()))
    shape = np.asarray(first.held).shape
    names = list(first.scores)
    for key, run in runs.items():
        for what in ("held", "expected"):
            found = np.asarray(getattr(run, what))
            fits = found.shape == shape and len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2] > 0
            if not fits or found.dtype != np.uint8 or not len(found):
                raise BookError(
                    f"'{what}' of the run {key} needs uint8 pictures of the shape (steps + 1, side, side, 3), "
                    "as many and as large as in the first run."
                )
        if list(run.scores) != names:
            raise BookError(f"The run {key} has other scores than the first: give each run the same.")
        for name, values in run.scores.items():
            values = np.asarray(values, dtype=float)
            if values.shape != shape[:1] or not ((values >= 0) & (values <= 1)).all():
                raise BookError(f"The score {name!r} of the run {key} needs {shape[0]} shares from 0 to 1.")
    rows = _compressed([runs[a, b] for a in firsts for b in seconds])
    scores = [
        [[round(float(value), 3) for value in runs[a, b].scores[name]] for name in names]
        for a in firsts
        for b in seconds
    ]
    steps, side = shape[0] - 1, shape[1]
    return fragment.fragment(
        "trajectory",
        data={
            "dials": [fragment.well_formed(dial) for dial in dials],
            "settings": [[fragment.well_formed(name) for name in names] for names in (firsts, seconds)],
            "prompt": fragment.well_formed(prompt),
            "steps": steps,
            "side": side,
            "rows": [base64.b64encode(row).decode() for row in rows],
            "names": [fragment.well_formed(name) for name in names],
            "scores": scores,
        },
        alt=alt,
        static=_strip(prompt, first, alt),
        noscript="With JavaScript, every step can be seen and played; without it you see some of the first run's.",
    )


def _row(pictures: Any, quality: int) -> bytes:
    """Pictures, uint8 (many, side, side, 3), side by side as one WebP."""
    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.concatenate(list(pictures), axis=1)).save(file, "webp", quality=quality, method=6)
    return file.getvalue()


def _compressed(runs: list[Run]) -> list[bytes]:
    """Two rows for each run, what is held and what is expected, in the best quality in which all of them fit."""
    for held, expected in QUALITIES:
        rows = [row for run in runs for row in (_row(run.held, held), _row(run.expected, expected))]
        size = sum(map(len, rows))
        if size <= BUDGET:
            return rows
    raise BookError(
        f"The pictures of all runs take {size:,} bytes and {BUDGET:,} is the limit: show fewer runs or fewer steps."
    )


def _strip(prompt: str, run: Run, alt: str) -> str:
    """What is seen without JavaScript: some steps of the first run, what is held above what is expected."""
    import numpy as np

    last = len(run.held) - 1
    places = sorted({round(last * i / (STRIP - 1)) for i in range(STRIP)})
    rows = [np.concatenate(list(np.asarray(pictures)[places]), axis=1) for pictures in (run.held, run.expected)]
    picture = base64.b64encode(_row([np.concatenate(rows)], 70)).decode()
    told = ", ".join(map(str, places))
    return (
        f'<div class="bkv {_OWN}"><p class="bkv-title">{fragment.text(prompt)}</p>'
        f'<img class="{_OWN}-strip" alt={fragment.attr(alt)} src="data:image/webp;base64,{picture}">'
        f'<p class="bkv-note">After {told} steps: above what the sampler holds, below what the network expects.</p>'
        "</div>"
    )
