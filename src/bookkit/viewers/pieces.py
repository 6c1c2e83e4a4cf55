"""Tokens as viewers draw them: pieces of text or bytes, cut into parts that can be seen and named."""

from __future__ import annotations

from collections.abc import Sequence

from bookkit.errors import BookError
from bookkit.viewers import fragment, tokens

Parts = list[tuple[str, str]]
"""("t", text), ("w", a blank's symbol), ("u", an unseen character), ("x", bytes in hex), ("c", the character
that these bytes are a part of)."""

_LETTERS = {letter: byte for byte, letter in tokens.byte_letters().items()}


def as_bytes(pieces: Sequence[str | bytes], *, sentence: bool = True) -> list[bytes]:
    """The pieces as bytes; the names of a byte-level tokenizer (`Ġthe`) are turned back where they are unmistakable.

    sentence: the pieces follow each other, so that names must make whole characters together.
    """
    if isinstance(pieces, (str, bytes)) or not all(isinstance(piece, (str, bytes)) for piece in pieces):
        raise BookError("The tokens must be a list of texts: give one piece of text for each token.")
    # "Ġ" and its like stand for bytes that cannot be printed; real text has spaces, which are no such letters.
    if all(isinstance(piece, str) and set(piece) <= set(_LETTERS) for piece in pieces):
        named = [bytes(_LETTERS[letter] for letter in piece) for piece in pieces]
        whole = not sentence or "\ufffd" not in b"".join(named).decode("utf-8", "replace")
        if whole and any(ord(letter) > 255 for piece in pieces for letter in piece):
            return named
    return [p if isinstance(p, bytes) else fragment.well_formed(p).encode("utf-8") for p in pieces]


def drawn(pieces: Sequence[bytes], *, sentence: bool = True) -> list[Parts]:
    """The parts of each piece; in a sentence, a piece of a character that is split over several names it as well."""
    parts = [tokens.segments(piece) or [("w", "∅")] for piece in pieces]
    for first, last, shared in tokens.runs(pieces) if sentence else ():
        if last > first and shared:
            for i in range(first, last + 1):
                parts[i] = [*parts[i], ("c", shared)]
    return parts


def name(parts: Parts) -> str:
    """How a piece is called in a sentence: its letters, or else what stands for them."""
    if any(kind == "t" for kind, _ in parts):
        return "".join(part if kind == "t" else " " for kind, part in parts).strip()
    words = {"·": "space", "⏎": "newline", "→": "tab", "∅": "empty"}
    blank = all(kind == "w" for kind, _ in parts)
    spoken = {
        "w": lambda part: " ".join(words[symbol] for symbol in part if blank or symbol != "·"),
        "x": lambda part: f"bytes {part}",
        "c": lambda part: f"of {part}",
        "u": lambda part: part,
    }
    return " ".join(filter(None, (spoken[kind](part) for kind, part in parts)))


def short(text: str, most: int = 15) -> str:
    """The text, cut where a static picture has no room."""
    return text if len(text) <= most else text[: most - 1] + "…"
