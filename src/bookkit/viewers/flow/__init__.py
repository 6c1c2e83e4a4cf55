"""Points that flow from noise back to the data: a diffusion model in two dimensions, step by step.

The reader moves a slider through the steps or lets them play, switches between runs, and follows one point: where
it stands, where it has been, and where the network believes that it came from.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bookkit.errors import BookError
from bookkit.viewers import fragment

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("flow")

SCALE = 4095
"""Coordinates are kept as whole numbers from 0 to this, finer than a pixel."""
SIDE = 440
"""Side of the static picture, in pixels; the live one takes the room that it finds."""


@dataclass(frozen=True)
class Run:
    """One way from noise to data.

    points: where each point stands at the start and after every step, (steps + 1, points, 2). guesses: of the same
    shape, where the network believes that it came from. note: a sentence that stands below the picture.
    """

    points: Any
    guesses: Any
    note: str = ""


def viewer(
    runs: Mapping[str, Run],
    *,
    data: Any,
    noise: Sequence[float],
    alt: str,
    grid: Any = None,
    arrows: Any = None,
    chosen: int = 0,
    title: str = "From noise to data",
) -> HTML:
    """The flow of a set of points.

    runs: name → `Run`, all of one shape. data: the training points, (any number, 2). noise: the share of noise,
    from 1 down to 0, at the start and after every step. alt: what the first run shows, in a sentence. grid, arrows:
    places (cells, 2), and where a point that stands there is sent, (steps + 1, cells, 2). chosen: the point that
    is followed at first. Raises BookError for anything that does not fit together.
    """
    import numpy as np

    if not runs:
        raise BookError("The flow needs at least one run: runs={'DDIM': Run(…)}.")
    data = _array("data", data, (None, 2))
    name, first = next(iter(runs.items()))
    shape = steps, many, _ = _array(f"points of {name}", first.points, (None, None, 2)).shape
    if not many or not steps:
        raise BookError(f"The run {name!r} has no points: give at least one, and where it starts.")
    points = np.stack([_array(f"points of {name}", run.points, shape) for name, run in runs.items()])
    guesses = np.stack([_array(f"guesses of {name}", run.guesses, shape) for name, run in runs.items()])
    noise = _array("noise", noise, (steps,))
    if not 0 <= chosen < many:
        raise BookError(f"There is no point {chosen} to follow: give a number from 0 to {many - 1}.")
    if (grid is None) != (arrows is None):
        raise BookError("'grid' and 'arrows' belong together: give both, or neither.")
    grid = _array("grid", np.zeros((0, 2)) if grid is None else grid, (None, 2))
    arrows = _array("arrows", np.zeros((steps, 0, 2)) if arrows is None else arrows, (steps, len(grid), 2))
    reach = 1.04 * max(float(np.abs(values).max()) for values in (points, data))
    near = [[_distance(frame, data) for frame in run] for run in points]
    far = [[_distance(frame, data) for frame in run] for run in guesses]
    names = [fragment.well_formed(name) for name in runs]
    return fragment.fragment(
        "flow",
        data={
            "title": fragment.well_formed(title),
            "names": names,
            "notes": [fragment.well_formed(run.note) for run in runs.values()],
            "steps": steps,
            "many": many,
            "noise": [round(float(value), 4) for value in noise],
            "near": near,
            "far": far,
            "reach": round(reach, 3),
            "scale": SCALE,
            "chosen": chosen,
            "places": _packed(np.concatenate([data, grid]), reach),
            "rows": len(data),
            "blob": _packed(np.stack([points, guesses]), reach),
            "arrows": _packed(arrows, reach),
        },
        alt=alt,
        static=_picture(title, points[0], data, reach, near[0], alt),
        noscript="With JavaScript, the points flow, and one can be followed; without it you see start and end.",
    )


def _array(name: str, values: Any, shape: tuple):
    """Finite numbers of this shape, in which None is any length."""
    import numpy as np

    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.array(np.nan)
    fits = len(shape) == found.ndim and all(want in (None, is_) for want, is_ in zip(shape, found.shape, strict=True))
    if not fits or not np.isfinite(found).all():
        want = " × ".join("any" if length is None else str(length) for length in shape)
        raise BookError(f"'{name}' needs finite numbers of the shape {want}: look at its shape and for missing values.")
    return found


def _distance(points, data) -> float:
    """Mean distance from points to the nearest of the data."""
    import numpy as np

    if not len(data):
        return 0.0
    apart = np.linalg.norm(points[:, None] - data[None], axis=-1)
    return round(float(apart.min(axis=1).mean()), 3)


def _packed(values, reach: float) -> str:
    """Numbers between -reach and reach as base64 of unsigned 16-bit integers; what lies beyond is cut off."""
    import numpy as np

    shares = np.clip((values + reach) / (2 * reach), 0, 1)
    return base64.b64encode(np.rint(SCALE * shares).astype("<u2").tobytes()).decode()


def _picture(title: str, points, data, reach: float, near: list[float], alt: str) -> str:
    """What is seen without JavaScript: the data, and the points at the start and at the end."""

    def dots(rows, name: str, radius: float) -> str:
        place = [(SIDE * (x / reach + 1) / 2, SIDE * (1 - y / reach) / 2) for x, y in rows]
        return "".join(f'<circle class="{name}" cx="{x:.0f}" cy="{y:.0f}" r="{radius}"/>' for x, y in place)

    drawn = dots(data, f"{_OWN}-data", 1.6) + dots(points[0], f"{_OWN}-start", 2.2) + dots(points[-1], f"{_OWN}-end", 3)
    said = f"Mean distance to the nearest data point: {near[0]:.2f} at the start, {near[-1]:.2f} at the end."
    return (
        f'<div class="bkv {_OWN}"><p class="bkv-title">{fragment.text(title)}</p>'
        f'<svg class="{_OWN}-map" viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label={fragment.attr(alt)}>{drawn}</svg>'
        f'<p class="bkv-note">{said}</p></div>'
    )
