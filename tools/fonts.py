"""Make the book's web fonts: subsets of three families by Adobe, renamed, in WOFF2.

    python tools/fonts.py            # fetches the three packages with `npm pack`
    python tools/fonts.py FOLDER     # takes the three .tgz files from FOLDER

Writes ``book/_static/fonts/*.woff2``, ``OFL.txt`` and ``fonts.json`` (sizes, sources, sha256). The result
depends only on the packages and on this file. The families come from npm under the SIL Open Font License
1.1, whose reserved name "Source" may not be used for an altered version; so the subsets are called Cell
Serif, Cell Sans and Cell Mono. Needed: fonttools with brotli (in requirements.lock) and, for the first
form, npm.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

from bookkit import files

OUT = Path(__file__).resolve().parents[1] / "book" / "_static" / "fonts"

PACKAGES = {
    "source-serif-4.5.1.tgz": "19a448df98f4aa777de3452b0a1e29aa7ffe29252fe552c8a2d2531702d80746",
    "source-sans-3.52.0.tgz": "49cf78ddd79b436591ee696785222b54ff28102922e3d3df297fe382d7fdfa88",
    "source-code-pro-2.42.0.tgz": "51f898e0712c5f1b3f583b63c9ab7d51daaa9bae1d4c8dc63dc2a4b6a72d7ae4",
}

# What an author of this book writes in Latin script, and the signs that talk about text and numbers.
# Other scripts fall back to the reader's own fonts.
LATIN = [*range(0x20, 0x7F), *range(0xA0, 0x180), 0x218, 0x219, 0x21A, 0x21B, 0x1E9E]
COMBINING = [0x300, 0x301, 0x302, 0x303, 0x308, 0x30A, 0x30C, 0x323, 0x327]
PUNCTUATION = [*range(0x2010, 0x2016), *range(0x2018, 0x201F), 0x2020, 0x2021, 0x2022, 0x2026, 0x2030]
PUNCTUATION += [0x2032, 0x2033, 0x2039, 0x203A, 0x2044, 0x2009, 0x200A, 0x202F, 0x20AC, 0x2122, 0x2116]
ARROWS = [*range(0x2190, 0x2196), 0x21D2, 0x21D4, 0x23CE, 0x2423]
BLOCKS = [0x2581, 0x2588, 0x25CF, 0x25CB, 0x25B6, 0x25A0]
MATHS = [0x2202, 0x2206, 0x2208, 0x220F, 0x2211, 0x2212, 0x2215, 0x2219, 0x221A, 0x221E, 0x222B]
MATHS += [0x2248, 0x2260, 0x2264, 0x2265, 0x2713, 0x2717]
RAISED = [0x207B, *range(0x2070, 0x207A), *range(0x2080, 0x208A)]
GREEK = [*range(0x391, 0x3AA), *range(0x3B1, 0x3CA)]
TEXT = LATIN + COMBINING + PUNCTUATION + ARROWS + BLOCKS + MATHS + RAISED
FEATURES = ["kern", "mark", "mkmk", "liga", "calt", "locl", "ccmp", "lnum", "tnum", "pnum", "onum", "zero"]

FONTS = [
    # (file, family, style, package, path inside the package, axis limits, characters)
    ("cell-serif.woff2", "Cell Serif", "Regular", "source-serif-4.5.1.tgz",
     "package/VAR/SourceSerif4Variable-Roman.ttf", {"wght": (400, 700), "opsz": 17}, TEXT),
    ("cell-serif-italic.woff2", "Cell Serif", "Italic", "source-serif-4.5.1.tgz",
     "package/VAR/SourceSerif4Variable-Italic.ttf", {"wght": (400, 600), "opsz": 17}, TEXT),
    ("cell-sans.woff2", "Cell Sans", "Regular", "source-sans-3.52.0.tgz",
     "package/VF/SourceSans3VF-Upright.ttf", {"wght": (400, 700)}, TEXT),
    ("cell-mono.woff2", "Cell Mono", "Regular", "source-code-pro-2.42.0.tgz",
     "package/VF/SourceCodeVF-Upright.ttf", {"wght": (400, 650)}, TEXT + GREEK + list(range(0x2500, 0x2580))),
]  # fmt: skip


def fetch(folder: Path) -> None:
    names = [name.removesuffix(".tgz").rpartition("-")[::2] for name in PACKAGES]
    subprocess.run(["npm", "pack", *(f"{name}@{version}" for name, version in names)], cwd=folder, check=True)


def member(package: Path, path: str) -> bytes:
    with tarfile.open(package) as archive:
        return archive.extractfile(path).read()


def rename(font: TTFont, family: str, style: str) -> None:
    """Give the subset a name of its own; keep copyright, designer and licence."""
    table = font["name"]
    postscript = f"{family}-{style}".replace(" ", "")
    wanted = {1: family, 2: style, 3: f"{postscript}; subset", 4: f"{family} {style}", 6: postscript}
    kept = {0, 5, 8, 9, 11, 12, 13, 14}
    axis_names = {axis.axisNameID for axis in font["fvar"].axes} if "fvar" in font else set()
    for record in list(table.names):
        if record.nameID not in kept | axis_names:
            table.removeNames(nameID=record.nameID)
    for identifier, text in wanted.items():
        table.setName(text, identifier, 3, 1, 0x409)
    for tag in ("STAT", "DSIG"):
        if tag in font:
            del font[tag]
    if "fvar" in font:
        font["fvar"].instances = []


def make(data: bytes, family: str, style: str, limits: dict, characters: list[int]) -> bytes:
    font = TTFont(BytesIO(data), recalcTimestamp=False)
    options = subset.Options(layout_features=FEATURES, name_IDs=["*"], notdef_outline=True, hinting=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    font = instancer.instantiateVariableFont(font, limits)
    rename(font, family, style)
    font.recalcTimestamp = False
    font.flavor = "woff2"
    buffer = BytesIO()
    font.save(buffer)
    return buffer.getvalue()


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        if len(sys.argv) == 1:
            if shutil.which("npm") is None:
                sys.exit("fonts: npm is not installed; give a folder that holds " + ", ".join(PACKAGES))
            fetch(folder)
        for name, expected in PACKAGES.items():
            found = files.sha256(folder / name)
            if found != expected:
                sys.exit(f"fonts: {name} has sha256 {found}, expected {expected}")
        record = {"packages": PACKAGES, "fonts": {}}
        for file, family, style, package, path, limits, characters in FONTS:
            data = make(member(folder / package, path), family, style, limits, characters)
            files.write_bytes(OUT / file, data)
            record["fonts"][file] = {
                "from": f"{package}: {path}",
                "bytes": len(data),
                "sha256": files.sha256(OUT / file),
            }
            print(f"{file:26} {len(data):7,} bytes")
        total = sum(entry["bytes"] for entry in record["fonts"].values())
        print(f"{'all together':26} {total:7,} bytes")
        licences = [member(folder / name, "package/LICENSE.md").decode() for name in PACKAGES]
        notices = "\n".join(text.strip().splitlines()[0] for text in licences)
        body = licences[0].strip().split("\n", 1)[1].strip()
        files.write_text(OUT / "OFL.txt", f"{notices}\n\n{body}\n")
        files.write_text(OUT / "fonts.json", json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
