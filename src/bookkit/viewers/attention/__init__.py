"""Where each token of a sentence looks, in every layer and head of a model: `viewer`.

The weights travel as one byte each (a share of 1, in steps of 1/255), in a causal model without the half
above the diagonal, which is nothing but zeros. The fragment says how far that is from the truth.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bookkit.errors import BookError
from bookkit.viewers import fragment, pieces

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("attention")

MOST_TOKENS = 32
"""A longer sentence is cut, and the viewer says so."""
MOST_WEIGHTS = 150_000
"""As many bytes of weights leave room for the rest of the fragment; a model of many heads gets fewer tokens."""

_EAGER = (
    'The model returned no attention weights: load it with attn_implementation="eager" and call it with '
    "output_attentions=True, since the faster implementations never hold the weights."
)


def viewer(
    tokens: Sequence[str | bytes],
    weights: Any,
    *,
    title: str = "Where each token looks",
    layer: int = 0,
    head: int = 0,
    token: int | None = None,
    alt: str | None = None,
) -> HTML:
    """The attention viewer: choose a token, see where it looks; choose a head from the map of all heads.

    tokens: the pieces of the sentence, as text, as bytes, or as a byte-level tokenizer names them (`Ġthe`).
    weights: array (layers, heads, n, n) of shares that sum to 1 over the last axis, or a model's
    `attentions` for one sentence (a tensor for each layer). layer, head, token: what is shown first; without
    token the one that looks hardest at another token than the first. alt: what the figure shows, in a
    sentence; made from the weights where it is missing. A sentence of more than 32 tokens is cut with a note.
    """
    array = _array(weights)
    layers, heads, n, _ = array.shape
    texts = pieces.as_bytes(tokens)
    if len(texts) != n:
        raise BookError(f"There are {len(texts)} tokens and weights for {n}: give one piece of text for each.")
    for name, value, count in (("layer", layer, layers), ("head", head, heads), ("token", token or 0, n)):
        if not 0 <= value < count:
            raise BookError(f"There is no {name} {value}: the weights have {name}s 0 to {count - 1}.")
    causal = not np.triu(array, 1).any()
    shown = _room(n, layers * heads, causal)
    if token is not None and token >= shown:
        raise BookError(f"Token {token} is not among the first {shown}, which are all that the viewer shows.")
    unseen = float(array[:, :, :shown, shown:].sum(-1).max(initial=0))
    array = array[:, :, :shown, :shown]
    codes = np.rint(array * 255).astype(np.uint8)
    row = array[layer, head]
    if token is None:
        others = row * (1 - np.eye(shown))
        others[:, 0] = 0
        token = int(others.max(axis=1).argmax())
    drawn = pieces.drawn(texts[:shown])
    names = [pieces.name(parts) for parts in drawn]
    if alt is None:
        first = ", ".join(
            f"{names[i]} ({row[token, i]:.0%})" for i in np.argsort(-row[token])[:3] if row[token, i] >= 0.005
        )
        alt = f"Attention in layer {layer}, head {head} over {shown} tokens: {names[token]} looks most at {first}."
    picture = _picture(names, row, token, alt)
    return fragment.fragment(
        "attention",
        data={
            "title": title,
            "layers": layers,
            "heads": heads,
            "causal": causal,
            "layer": layer,
            "head": head,
            "token": token,
            "tokens": [{"parts": parts, "name": name} for parts, name in zip(drawn, names, strict=True)],
            "note": _honesty(array, codes),
            "cut": _cut(shown, n, unseen),
            "blob": pack(codes, causal),
        },
        alt=alt,
        static=f'<div class="bkv"><p class="bkv-title">{fragment.text(title)}</p>{picture}</div>',
        noscript="With JavaScript, every head and token can be chosen; without it the figure shows "
        f"layer {layer}, head {head}, and leaves out lines under 1 %.",
    )


# ------------------------------------------------------------------ what comes in


def _array(weights: Any) -> np.ndarray:
    """The weights as a float array (layers, heads, n, n), or a sentence that says what is wrong with them."""
    if isinstance(weights, (list, tuple)):
        if not weights or any(layer is None for layer in weights):
            raise BookError(_EAGER)
        layers = [_numbers(layer) for layer in weights]
        if len({layer.shape for layer in layers}) > 1:
            raise BookError("The layers' weights differ in shape: give (layers, heads, n, n), the same n everywhere.")
        array = np.stack(layers)
    elif weights is None:
        raise BookError(_EAGER)
    else:
        array = _numbers(weights)
    if array.ndim == 5 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 4 or array.shape[2] != array.shape[3] or 0 in array.shape:
        raise BookError(
            f"The weights have the shape {array.shape}: give (layers, heads, n, n) for one sentence of n tokens."
        )
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise BookError(
            f"A weight is not a finite number, first at (layer, head, query, key) = {place}: "
            "look for a row whose mask hides every key."
        )
    sums = array.sum(-1)
    wrong = np.argwhere((np.abs(sums - 1) > 0.02) | (array.min(-1) < -1e-6))
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        raise BookError(
            f"The weights of query {place[2]} in layer {place[0]}, head {place[1]} are no shares of 1 (their sum is "
            f"{sums[place]:.3g}): give the weights after the softmax."
        )
    return array.clip(0, 1)


def _numbers(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):  # a tensor, maybe bfloat16, on whatever device
        values = values.detach().float().cpu().numpy()
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise BookError("The weights are no array of numbers: give (layers, heads, n, n).") from None


def _room(n: int, maps: int, causal: bool) -> int:
    """How many of n tokens fit."""
    shown = min(n, MOST_TOKENS)
    while maps * (shown * (shown + 1) // 2 if causal else shown * shown) > MOST_WEIGHTS and shown > 1:
        shown -= 1
    return shown


# ------------------------------------------------------------------ what goes out


def pack(codes: np.ndarray, causal: bool) -> str:
    """The codes row by row as base64 text; of a causal map only the keys up to the query."""
    n = codes.shape[-1]
    kept = codes[:, :, *np.tril_indices(n)] if causal else codes
    return base64.b64encode(np.ascontiguousarray(kept).tobytes()).decode("ascii")


def _honesty(array: np.ndarray, codes: np.ndarray) -> str:
    """How far the picture is from the weights, measured."""
    error = np.abs(array - codes / 255).max()
    lost = np.where(codes == 0, array, 0).sum(-1).max()
    return (
        f"Each weight is kept in one byte, off by at most {_up(error, 2)} percentage points; those too small to "
        f"be kept add up to at most {_up(lost, 1)} % of a token's attention. In the small maps and the "
        "matrix, a deeper orange is a larger weight, on a square-root scale."
    )


def _cut(shown: int, n: int, unseen: float) -> str:
    """What is missing of a long sentence."""
    if shown == n:
        return ""
    cut = f"The first {shown} of {n} tokens are shown"
    if unseen >= 0.0005:
        cut += f"; up to {_up(unseen, 1)} % of a token's attention goes to the others"
    return cut + "."


def _up(share: float, digits: int) -> str:
    """A share of 1 in per cent, rounded up, so that "at most" stays true."""
    return f"{max(0, math.ceil(share * 100 * 10**digits - 1e-9)) / 10**digits:.{digits}f}"


def _picture(names: Sequence[str], row: np.ndarray, token: int, alt: str) -> str:
    """What is seen without JavaScript: both columns, the lines of one head, those of one token strong."""
    n, step, left, right = len(names), 20, 150, 290
    # The lines of the other tokens are drawn in twenty widths, one path each, which keeps the picture small.
    lines: dict[tuple[bool, float], list[str]] = {}
    for query, key in np.argwhere(row >= 0.01):
        width = row[query, key] if query == token else np.ceil(row[query, key] * 20) / 20
        y, z = ((i + 0.5) * step for i in (query, key))
        lines.setdefault((query == token, width), []).append(f"M{left} {y:g}C220 {y:g} 220 {z:g} {right} {z:g}")
    parts = [
        f'<path d="{"".join(curves)}" stroke-width="{0.6 + 6 * share:.1f}" '
        f'stroke-opacity="{min(1, 0.12 + share**0.5) * (1 if chosen else 0.25):.2f}"/>'
        for (chosen, share), curves in sorted(lines.items())
    ]
    for i, name in enumerate(names):
        word = fragment.text(pieces.short(name))
        weight = ' font-weight="700"' if i == token else ""
        y = (i + 0.5) * step + 4
        parts.append(f'<text x="{left - 6}" y="{y:g}" text-anchor="end"{weight}>{word}</text>')
        parts.append(f'<text x="{right + 6}" y="{y:g}">{word}</text>')
        if row[token, i] >= 0.01:
            parts.append(f'<text class="{_OWN}-small" x="436" y="{y:g}" text-anchor="end">{row[token, i]:.0%}</text>')
    return (
        f'<svg class="{_OWN}-static" viewBox="0 0 440 {n * step}" role="img" aria-label={fragment.attr(alt)}>'
        + "".join(parts)
        + "</svg>"
    )
