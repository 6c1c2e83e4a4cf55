"""Draw the book's cover: one paragraph in twelve languages, one tile for every GPT-2 token.

    python tools/make_cover.py            # writes book/_static/cover-*.svg and cover.json
    python tools/make_cover.py --check    # exit 1 where the files are not what the data say

The text is Article 1 of the Universal Declaration of Human Rights (data/corpora/udhr.json), the tokenizer is
the real one of GPT-2 (data/tokenizers/gpt2). A full tile is a token that holds whole characters; a hollow
tile cuts through a character: it holds only some of its bytes.
"""

import json
import sys
from html import escape
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer

from bookkit.files import write_text

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "book" / "_static"
LANGUAGES = [
    "eng", "swh", "spa", "deu_1996", "cmn_hans", "jpn", "arb", "rus", "ell_monotonic", "hin", "tam", "mya",
]  # fmt: skip
THEMES = {
    "light": {"tile": "#0072B2", "edge": "#0072B2", "ink": "#23211d", "muted": "#6a6458"},
    "dark": {"tile": "#4ba3d9", "edge": "#4ba3d9", "ink": "#d9d5cb", "muted": "#9aa0a6"},
}
SANS = "'Source Sans 3', 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"


def byte_of_sign() -> dict[str, int]:
    """GPT-2 writes every byte as a visible sign; this is the way back."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in visible]
    shifted = {chr(256 + i): b for i, b in enumerate(hidden)}
    return {chr(b): b for b in visible} | shifted


def is_whole(piece: bytes) -> bool:
    """True where the token's bytes are text, False where they cut a character."""
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def rows() -> list[dict]:
    """For each language its name and tokens, True where whole; shortest first."""
    folder = ROOT / "data" / "tokenizers" / "gpt2"
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    tokenizer = ByteLevelBPETokenizer(str(vocabulary), str(merges))
    path = ROOT / "data" / "corpora" / "udhr.json"
    corpus = json.loads(path.read_text(encoding="utf-8"))["languages"]
    signs = byte_of_sign()
    found = []
    for code in LANGUAGES:
        text = corpus[code]["articles"]["1"].strip()
        tokens = tokenizer.encode(text).tokens
        pieces = [bytes(signs[sign] for sign in token) for token in tokens]
        assert b"".join(pieces).decode("utf-8") == text
        whole = [is_whole(piece) for piece in pieces]
        found.append({"name": corpus[code]["name"], "tokens": whole})
    return sorted(found, key=lambda row: len(row["tokens"]))


def tile_path(columns: int, tokens: list[bool], wanted: bool, pitch: float, size: float, inset: float) -> str:
    """One SVG path for all tiles of a kind, laid out row by row."""
    side = size - 2 * inset
    parts = []
    for index, whole in enumerate(tokens):
        if whole is wanted:
            x = round(index % columns * pitch + inset, 2)
            y = round(index // columns * pitch + inset, 2)
            parts.append(f"M{x:g} {y:g}h{side:g}v{side:g}h-{side:g}z")
    return "".join(parts)


def drawing(data: list[dict], theme: str, narrow: bool) -> str:
    colour = THEMES[theme]
    width = 400 if narrow else 960
    left = 0 if narrow else 124
    pitch, size = (6.4, 5.2) if narrow else (9.2, 7.4)
    right = 0 if narrow else 50
    columns = int((width - left - right) // pitch)
    font = 12.5 if narrow else 18
    gap = 11 if narrow else 15
    y = 4.0
    body = []
    for row in data:
        tokens = row["tokens"]
        lines = -(-len(tokens) // columns)
        base = f'y="{y + font * 0.82:g}" font-size="{font}"'
        label = f'<text x="0" {base} fill="{colour["ink"]}">{escape(row["name"])}</text>'
        label += f'<text x="{width}" {base} fill="{colour["muted"]}" text-anchor="end">{len(tokens)}</text>'
        if narrow:
            y += font * 1.32
        top = y + (0 if narrow else (font - size) * 0.5)
        whole = tile_path(columns, tokens, True, pitch, size, 0)
        pieces = tile_path(columns, tokens, False, pitch, size, 0.5)
        body.append(label)
        body.append(f'<g transform="translate({left} {top:g})">')
        if whole:
            body.append(f'<path d="{whole}" fill="{colour["tile"]}"/>')
        if pieces:
            body.append(
                f'<path d="{pieces}" fill="{colour["tile"]}" fill-opacity=".16" stroke="{colour["edge"]}"'
                ' stroke-opacity=".75" stroke-width=".8"/>'
            )
        body.append("</g>")
        y = (top if not narrow else y) + lines * pitch + gap
        if not narrow:
            y -= (font - size) * 0.5 - 0.5
    height = round(y - gap + 8)
    title = "Article 1 of the Universal Declaration of Human Rights, one tile a GPT-2 token"
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{SANS}" role="img">'
    return f"{head}<title>{title}</title>\n" + "\n".join(body) + "\n</svg>\n"


def files() -> dict[str, str]:
    data = rows()
    made = {
        f"cover-{theme}{'-narrow' if narrow else ''}.svg": drawing(data, theme, narrow)
        for theme in THEMES
        for narrow in (False, True)
    }
    record = {row["name"]: {"tokens": len(row["tokens"]), "pieces": row["tokens"].count(False)} for row in data}
    made["cover.json"] = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    return made


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    for name, text in files().items():
        path = STATIC / name
        if check:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            write_text(path, text)
            print(f"{name:28} {len(text.encode()):7,} bytes")
    if stale:
        print("stale: " + ", ".join(stale) + "; run python tools/make_cover.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
