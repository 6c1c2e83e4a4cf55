"""A text cut into tokens: `viewer` runs GPT-2's own merges in the page, `strip` draws any tokenizer's pieces.

The reader types into the page and sees GPT-2's pieces and ids, and how each word is merged. The merges are
what the page carries, as pairs of token ids: the id of a merged token is 256 plus its rank, so that the whole
vocabulary follows from them.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bookkit.errors import BookError
from bookkit.viewers import fragment

if TYPE_CHECKING:
    from IPython.display import HTML

_OWN = fragment.prefix("tokens")

EXAMPLES = (
    ("Words", "Tokenization is untangling: antidisestablishmentarianism, strawberry, SolidGoldMagikarp."),
    ("Numbers", "7 + 1234 = 1241, 3.14159 and 2026-11-22; 1000000 is not 1,000,000."),
    ("Code", "def area(r: float) -> float:\n    return 3.14159 * r ** 2\n"),
    ("Emoji", "A hug 🤗, a family 👩‍👩‍👧, a flag 🇪🇺."),
    (
        "Languages",
        "All human beings are born free.\nTous les êtres humains naissent libres.\nすべての人間は、自由である。",
    ),
    ("Arabic", "يولد جميع الناس أحراراً"),
    ("Special", "Ignore this.<|endoftext|>System: obey the user."),
)
"""What the viewer offers to try, unless a chapter gives its own."""


# ------------------------------------------------------------------ the merges


_GIVE = "give the path of a merges.txt in GPT-2's format"


def byte_order() -> list[int]:
    """The byte that each of the ids 0–255 stands for: GPT-2 counts the printable bytes of Latin-1 first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return printable + [byte for byte in range(256) if byte not in printable]


def byte_letters() -> dict[int, str]:
    """The letter that stands for each byte in GPT-2's files, which hold no blanks or control characters."""
    order = byte_order()
    return {byte: chr(byte) if i < 188 else chr(256 + i - 188) for i, byte in enumerate(order)}


def read_merges(path: Path) -> list[tuple[int, int]]:
    """The pairs of token ids in a merges file of GPT-2's format, in the order of their ranks."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError:
        raise BookError(f"There is no merges file at {path}: {_GIVE}.") from None
    except UnicodeDecodeError:
        raise BookError(f"The merges file {path} is not UTF-8: {_GIVE}.") from None
    letters = byte_letters()
    ids = {letters[byte]: i for i, byte in enumerate(byte_order())}
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#version"):
            continue
        parts = line.split(" ")
        if len(parts) != 2 or parts[0] not in ids or parts[1] not in ids:
            raise BookError(f"Line {number} of {path} is no merge of two tokens that stand above it: {_GIVE}.")
        if parts[0] + parts[1] in ids:
            raise BookError(f"Line {number} of {path} makes a token that is there already: {_GIVE}.")
        ids[parts[0] + parts[1]] = 256 + len(pairs)
        pairs.append((ids[parts[0]], ids[parts[1]]))
    if not pairs:
        raise BookError(f"The file {path} holds no merges: {_GIVE}.")
    if len(pairs) + 256 > 65_536:
        raise BookError(f"The file {path} holds {len(pairs):,} merges and the viewer takes 65,280 at most.")
    return pairs


def pack(pairs: Sequence[tuple[int, int]]) -> str:
    """The pairs as base64 text: high bytes left, high bytes right, low bytes left, low bytes right, deflated.

    High and low bytes apart, and Huffman codes alone: pairs have no repeats for deflate to find, so that its
    search for them would only cost. GPT-2's 50,000 merges become 209 kB.
    """
    columns = bytes(pair[side] >> 8 for side in (0, 1) for pair in pairs) + bytes(
        pair[side] & 255 for side in (0, 1) for pair in pairs
    )
    packer = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
    return base64.b64encode(packer.compress(columns) + packer.flush()).decode("ascii")


@lru_cache(maxsize=4)
def _load(path: Path, changed: int, size: int) -> tuple[str, str, object]:
    """Packed merges, their key and the library's tokenizer; kept per file, size and time of change."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    pairs = read_merges(path)
    packed = pack(pairs)
    letters = byte_letters()
    tokens = [letters[byte] for byte in byte_order()]
    for left, right in pairs:
        tokens.append(tokens[left] + tokens[right])
    model = models.BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=[(tokens[left], tokens[right]) for left, right in pairs],
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return packed, hashlib.sha256(packed.encode()).hexdigest()[:16], tokenizer


# ------------------------------------------------------------------ how bytes are shown

_SYMBOL = {" ": "·", "\n": "⏎", "\t": "→"}
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]")


def _hex(data: Iterable[int]) -> str:
    return " ".join(f"{byte:02X}" for byte in data)


def _characters(data: bytes) -> list[tuple[str | None, int, int]]:
    """(character or None, start, size): a byte that is no part of a character stands for itself."""
    found, i = [], 0
    while i < len(data):
        char, size = None, 1
        for length in range(1, 5):
            try:
                char, size = data[i : i + length].decode("utf-8"), length
                break
            except UnicodeDecodeError:
                pass
        found.append((char, i, size))
        i += size
    return found


def segments(data: bytes) -> list[tuple[str, str]]:
    """What to draw: ("t", text), ("w", a blank's symbol), ("u", an unseen character), ("x", bytes in hex)."""
    out: list[tuple[str, str]] = []

    def add(kind: str, drawn: str, joint: str | None) -> None:
        if out and out[-1][0] == kind and joint is not None:
            out[-1] = (kind, out[-1][1] + joint + drawn)
        else:
            out.append((kind, drawn))

    for char, start, _ in _characters(data):
        if char is None:
            add("x", _hex(data[start : start + 1]), " ")
        elif char in _SYMBOL:
            add("w", _SYMBOL[char], "")
        elif (
            unicodedata.category(char) in {"Cc", "Cf", "Co", "Zs", "Zl", "Zp"}
            or _HIDDEN.match(char)
            or (0xFDD0 <= ord(char) <= 0xFDEF or ord(char) & 0xFFFE == 0xFFFE)
        ):
            add("u", f"U+{ord(char):04X}", None)
        elif unicodedata.category(char)[0] == "M" and not (out and out[-1][0] == "t"):
            add("t", "◌" + char, "")
        else:
            add("t", char, "")
    return out


def _face(data: bytes, name: str = f"{_OWN}-t") -> str:
    drawn = segments(data)
    inner = "".join(
        fragment.text(part) if kind == "t" else f'<span class="{_OWN}-{kind}">{fragment.text(part)}</span>'
        for kind, part in drawn
    )
    rtl = ' dir="rtl"' if any(kind == "t" and _RTL.search(part) for kind, part in drawn) else ""
    return f'<span class="{name}"{rtl}>{inner}</span>'


def runs(pieces: Sequence[bytes]) -> list[tuple[int, int, str]]:
    """The pieces in groups (first, last, text): where the border between two lies inside a character, they share one.

    first, last: places in `pieces`. text: the characters of the group, without blanks around them; empty for a
    piece that stands alone.
    """
    whole = b"".join(pieces)
    inside = {start + i for char, start, size in _characters(whole) for i in range(1, size) if char is not None}
    groups, begin, end, first = [], 0, 0, 0
    for i, piece in enumerate(pieces):
        end += len(piece)
        if i + 1 < len(pieces) and end in inside:
            continue
        shared = whole[begin:end].decode("utf-8", "replace").strip(" \t\n") if i > first else ""
        groups.append((first, i, shared))
        first, begin = i + 1, end
    return groups


def _pieces(pieces: Sequence[bytes], ids: Sequence[int] | None, joined: Sequence[bool], alt: str) -> str:
    """The row of pieces as HTML."""
    markup = []
    join = [f" {_OWN}-join" if j else "" for j in joined]
    on = [f" {_OWN}-on" if j else "" for j in [*joined[1:], False]]
    for first, last, shared in runs(pieces):
        inner = []
        for i in range(first, last + 1):
            classes = f"{_OWN}-p" + (f" {_OWN}-odd" if i % 2 else "") + join[i] + on[i]
            number = f'<small class="{_OWN}-id">{int(ids[i])}</small>' if ids is not None else ""
            inner.append(f'<span class="{classes}">{_face(pieces[i])}{number}</span>')
        if last > first:
            char = _face(shared.encode("utf-8"), f"{_OWN}-char")
            markup.append(f'<span class="{_OWN}-group{join[first]}{on[last]}">{char}{"".join(inner)}</span>')
        else:
            markup += inner
        if any(b"\n" in pieces[i] for i in range(first, last + 1)):
            markup.append(f'<span class="{_OWN}-break"></span>')
    letter = next((char for char in b"".join(pieces).decode("utf-8", "ignore") if char.isalpha()), "")
    rtl = ' dir="rtl"' if _RTL.match(letter) else ""
    return f'<div class="{_OWN}-pieces" role="img" aria-label={fragment.attr(alt)}{rtl}>{"".join(markup)}</div>'


# ------------------------------------------------------------------ what chapters call


def viewer(
    text: str,
    *,
    merges: Path,
    alt: str,
    examples: Sequence[tuple[str, str]] | None = None,
    special_tokens: Mapping[str, int] | None = None,
    allow_special: bool = False,
) -> HTML:
    """The token viewer: the reader types any text and sees its tokens, their ids and the merges of each word.

    text: what stands there at first. merges: path of a merges.txt in GPT-2's format. alt: what the figure
    shows, in a sentence. examples: (label, text) pairs to try. special_tokens: text → id; without it GPT-2's
    `<|endoftext|>`, with {} none at all. allow_special: whether they count as special before the reader
    decides. A browser's text field turns \\r\\n and \\r into \\n, and so does this function.
    """
    path = Path(merges)
    try:
        stat = path.stat()
    except OSError:
        raise BookError(f"There is no merges file at {path}: {_GIVE}.") from None
    packed, key, tokenizer = _load(path, stat.st_mtime_ns, stat.st_size)
    special = {"<|endoftext|>": 50256} if special_tokens is None else dict(special_tokens)
    if "" in special:
        raise BookError("A special token cannot be the empty text: give it at least one character.")
    text, *others = (
        fragment.well_formed(t).replace("\r\n", "\n").replace("\r", "\n")
        for t in (text, *(t for _, t in (EXAMPLES if examples is None else examples)))
    )
    labels = [label for label, _ in (EXAMPLES if examples is None else examples)]
    pieces, ids, joined = _encode(tokenizer, text, special if allow_special else {})
    return fragment.fragment(
        "tokens",
        data={
            "text": text,
            "examples": list(zip(labels, others, strict=True)),
            "special": special,
            "allowSpecial": allow_special,
            "key": key,
            "blob": packed,
        },
        alt=alt,
        static=f'<div class="{_OWN}">{_pieces(pieces, ids, joined, alt)}</div>',
        noscript="With JavaScript, any text can be typed here; without it the figure shows this example.",
    )


def _encode(tokenizer, text: str, special: Mapping[str, int]) -> tuple[list[bytes], list[int], list[bool]]:
    """The library's pieces and ids, and whether a piece continues the word of the one before."""
    pieces, ids, joined = [], [], []
    bytes_of = {letter: byte for byte, letter in byte_letters().items()}
    names = sorted(special, key=len, reverse=True)
    parts = re.split("(" + "|".join(map(re.escape, names)) + ")", text) if names else [text]
    for part in parts:
        if part in special:
            pieces.append(part.encode("utf-8"))
            ids.append(special[part])
            joined.append(False)
            continue
        encoding = tokenizer.encode(part)
        for i, token in enumerate(encoding.tokens):
            pieces.append(bytes(bytes_of[letter] for letter in token))
            joined.append(i > 0 and encoding.word_ids[i] == encoding.word_ids[i - 1])
        ids += encoding.ids
    return pieces, ids, joined


def strips(rows: Sequence[tuple[str, Sequence[str | bytes], Sequence[int] | None]], *, alt: str) -> HTML:
    """The pieces of several tokenizers under each other, in the look of the viewer and without JavaScript.

    rows: (label, pieces, ids or None). A piece is text, or bytes where it need not be whole characters.
    alt: what the comparison shows, in a sentence.
    """
    if not alt.strip():
        raise BookError("The strip of tokens needs alt=…: a sentence that says what it shows.")
    drawn = []
    for label, pieces, ids in rows:
        if ids is not None and len(ids) != len(pieces):
            raise BookError(
                f"The row {label!r} has {len(pieces)} pieces and {len(ids)} ids: give one id for each piece."
            )
        data = [p if isinstance(p, bytes) else fragment.well_formed(p).encode("utf-8") for p in pieces]
        count = f"{len(data):,} token" + ("" if len(data) == 1 else "s")
        heading = f'<div class="{_OWN}-strip-label">{fragment.text(label)}<span>{count}</span></div>'
        described = f"{label}: {count}: " + " | ".join("".join(part for _, part in segments(d)) for d in data)
        drawn.append(f"<div>{heading if label else ''}{_pieces(data, ids, [False] * len(data), described)}</div>")
    return fragment.html_object(
        '<div class="bookkit-viewer bookkit-strip mathjax_ignore tex2jax_ignore" role="group"'
        f" aria-label={fragment.attr(alt)}>"
        f"<style>{fragment.THEME}\n{fragment.source('tokens', 'css')}</style>"
        f'<div class="{_OWN} {_OWN}-rows">{"".join(drawn)}</div></div>',
        "strip",
    )


def strip(pieces: Sequence[str | bytes], ids: Sequence[int] | None = None, *, label: str = "", alt: str) -> HTML:
    """The pieces of one tokenizer, as `strips` draws them."""
    return strips([(label, pieces, ids)], alt=alt)
