"""A model that learns, in time-lapse: how much each token of a passage surprised it at several stages of training.

The reader moves a slider through the stages, sees the passage grow paler and what the model wrote at the time,
and selects a token to follow its surprise alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bookkit.errors import BookError
from bookkit.viewers import fragment, pieces

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("learning")

DEEPEST = 44
"""Per cent of vermilion behind the token that surprises most: ink on it keeps a contrast of 4.5 on dark paper."""


@dataclass(frozen=True)
class Stage:
    """One moment of the training.

    label: such as "after 50 steps". surprises: of each token of the passage, in nats. written: what the model
    wrote at that moment.
    """

    label: str
    surprises: Sequence[float]
    written: str = ""


def viewer(
    passage: Sequence[str | bytes],
    stages: Sequence[Stage] | Mapping[str, Sequence[float]],
    *,
    title: str = "How surprised the model is",
    alt: str | None = None,
) -> HTML:
    """The time-lapse of a training.

    passage: the texts of its tokens. stages: in the order of training. title: above the slider. alt: what the
    figure shows, in a sentence; made from the surprises where it is missing.
    """
    if isinstance(stages, Mapping):
        stages = [Stage(label, surprises) for label, surprises in stages.items()]
    parts = pieces.drawn(pieces.as_bytes(passage))
    if not stages or not parts:
        raise BookError("There is nothing to show: give the tokens of a passage and at least one stage.")
    found = []
    for stage in stages:
        nats = [float(value) for value in stage.surprises]
        if len(nats) != len(parts):
            raise BookError(
                f"The stage {stage.label!r} has {len(nats)} surprises for {len(parts)} tokens: give one for each."
            )
        if not all(math.isfinite(value) and value >= 0 for value in nats):
            raise BookError(f"The stage {stage.label!r} holds a surprise that is no number from 0 up.")
        found.append([round(value, 3) for value in nats])
    most = max(max(nats) for nats in found) or 1.0
    means = [sum(nats) / len(nats) for nats in found]
    if alt is None:
        alt = (
            f"A passage of {len(parts)} tokens, shaded by how much each surprised the model. "
            f"The mean falls from {means[0]:.1f} nats {stages[0].label} to {means[-1]:.1f} nats {stages[-1].label}."
        )
    return fragment.fragment(
        "learning",
        data={
            "title": title,
            "parts": parts,
            "names": [pieces.name(part) for part in parts],
            "labels": [fragment.well_formed(stage.label) for stage in stages],
            "nats": found,
            "written": [fragment.well_formed(stage.written) for stage in stages],
            "most": most,
            "deepest": DEEPEST,
        },
        alt=alt,
        static=_picture(title, parts, found[-1], most, stages[-1], means[-1]),
        noscript="With JavaScript, a slider moves through the training; without it you see its end.",
    )


def _picture(title: str, parts: list, nats: list[float], most: float, stage: Stage, mean: float) -> str:
    """What is seen without JavaScript: the passage at the last stage."""
    tokens = "".join(
        f'<bdi class="bkv-token {_OWN}-token" style="--depth:{DEEPEST * value / most:.0f}%">'
        + "".join(
            fragment.text(run) if kind == "t" else f'<span class="bkv-{kind}">{fragment.text(run)}</span>'
            for kind, run in part
        )
        + "</bdi>"
        for part, value in zip(parts, nats, strict=True)
    )
    heading = f'<p class="bkv-title">{fragment.text(title)}</p>'
    said = f"<p>{fragment.text(stage.label)}: {mean:.2f} nats a token</p>"
    return f'<div class="bkv">{heading}{said}<p class="{_OWN}-passage">{tokens}</p></div>'
