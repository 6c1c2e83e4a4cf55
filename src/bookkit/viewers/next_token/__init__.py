"""What comes next: the real logits of a model, and the reader's hand on temperature, top-k, top-p and min-p.

The page knows the likeliest tokens by name. The rest of the vocabulary travels as bins of nearly equal
logits, so that probabilities stay right at any temperature: a single sum of the rest would hold for one only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bookkit.errors import BookError
from bookkit.viewers import fragment, pieces

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("next_token")

NAMED = 300
"""As many of the likeliest tokens travel by name."""
BIN = 0.05
"""Logits of the rest that lie closer together than this share a bin, and its mean."""


def viewer(
    positions: Sequence[tuple[str, Any]],
    names: Callable[[list[int]], Sequence[str | bytes]] | Sequence[str | bytes],
    *,
    title: str = "What comes next?",
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    alt: str | None = None,
) -> HTML:
    """The next-token viewer: bars of the probabilities, recomputed in the page as the reader moves four sliders.

    positions: (text so far, logits of the whole vocabulary) pairs. names: the tokens' texts, as a function of a
    list of ids (`tokenizer.convert_ids_to_tokens`) or one text for each id. temperature, top_k (0: off),
    top_p (1: off) and min_p (0: off): what holds at first. alt: what the figure shows, in a sentence; made
    from the logits where it is missing.
    """
    if not positions:
        raise BookError("There is no position to show: give (text, logits) pairs.")
    if not (temperature > 0 and top_k >= 0 and 0 < top_p <= 1 and 0 <= min_p <= 1):
        raise BookError(
            "The first setting is impossible: temperature lies above 0, top_k is 0 or more, top_p lies above 0 and "
            "up to 1, min_p from 0 to 1."
        )
    if top_k > NAMED:
        raise BookError(f"top_k is {top_k}, but the page knows only the first {NAMED} tokens by name: give less.")
    shown = [_position(context, logits, names) for context, logits in positions]
    first = shown[0]
    logits = np.array([token["logit"] for token in first["tokens"]])
    own = np.exp(logits) / (np.exp(logits).sum() + sum(count * np.exp(mean) for mean, count in first["rest"]))
    words = [pieces.name(token["parts"]) for token in first["tokens"]]
    if alt is None:
        best = ", ".join(f"{word} ({share:.0%})" for word, share in list(zip(words, own, strict=True))[:3])
        alt = f"The likeliest tokens after “{pieces.short(first['context'].strip(), 80)}”: {best}."
    heading = (
        f'<p class="bkv-title">{fragment.text(title)}</p><p class="{_OWN}-text">{fragment.text(first["context"])} …</p>'
    )
    return fragment.fragment(
        "next_token",
        data={
            "title": title,
            "positions": shown,
            "setting": {"temperature": temperature, "topK": top_k, "topP": top_p, "minP": min_p},
            "note": f"The page holds the logits of the {len(words)} likeliest tokens; all others are summed up in "
            f"steps of {BIN} and count in every figure.",
        },
        alt=alt,
        static=f'<div class="bkv">{heading}{_picture(words[:15], own[:15], alt)}</div>',
        noscript="With JavaScript, the sliders move; without it the figure shows the model's own probabilities.",
    )


def _position(context: str, logits: Any, names: Any) -> dict:
    """What the page needs of one position; logits are counted from the highest one."""
    if hasattr(logits, "detach"):
        logits = logits.detach().float().cpu().numpy()
    try:
        array = np.asarray(logits, dtype=np.float64)
    except (TypeError, ValueError):
        raise BookError("The logits are no array of numbers: give one for each token of the vocabulary.") from None
    if array.ndim == 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 1 or not array.size:
        raise BookError(f"The logits have the shape {array.shape}: give those of one position, one for each token.")
    if np.isnan(array).any() or array.max() == np.inf or array.max() == -np.inf:
        raise BookError("The logits hold NaN or infinity: no probabilities follow from them.")
    array = array - array.max()
    order = np.argsort(-array, kind="stable")
    order = order[np.isfinite(array[order])]  # what has a logit of minus infinity cannot come
    best, rest = order[:NAMED].tolist(), array[order[NAMED:]]
    texts = names(best) if callable(names) else [names[i] for i in best]
    if len(texts) != len(best):
        raise BookError(f"There are {len(texts)} names for {len(best)} ids: give one text for each id.")
    drawn = pieces.drawn(pieces.as_bytes(list(texts), sentence=False), sentence=False)
    bins, index, counts = np.unique(np.floor(rest / BIN), return_inverse=True, return_counts=True)
    means = np.bincount(index, weights=rest, minlength=len(bins)) / counts if rest.size else []
    return {
        "context": fragment.well_formed(context),
        "tokens": [{"parts": p, "logit": round(float(array[i]), 4)} for i, p in zip(best, drawn, strict=True)],
        "rest": [[round(float(mean), 4), int(n)] for mean, n in zip(means, counts, strict=True)][::-1],
    }


def _picture(words: Sequence[str], shares: np.ndarray, alt: str) -> str:
    """What is seen without JavaScript: the likeliest tokens and the model's own probabilities."""
    parts = []
    for i, (word, share) in enumerate(zip(words, shares, strict=True)):
        y = i * 20
        parts.append(
            f'<text x="120" y="{y + 14}" text-anchor="end">{fragment.text(pieces.short(word))}</text>'
            f'<rect x="130" y="{y + 4}" width="{240 * share / shares[0]:.1f}" height="12"/>'
            f'<text x="436" y="{y + 14}" text-anchor="end">{share:.1%}</text>'
        )
    return (
        f'<svg class="{_OWN}-static" viewBox="0 0 440 {len(words) * 20}" role="img" aria-label={fragment.attr(alt)}>'
        + "".join(parts)
        + "</svg>"
    )
