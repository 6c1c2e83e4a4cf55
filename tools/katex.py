"""Take what the book needs of KaTeX: the program, the style sheet, and subsets of its fonts.

    python tools/katex.py            # fetches katex with `npm pack`
    python tools/katex.py FOLDER     # takes katex-0.19.1.tgz from FOLDER

Writes ``book/_ext/vendor/`` (used while building) and ``book/_static/katex/`` (part of the site), with
KaTeX's MIT licence in both. ``signs.json`` lists the signs that the fonts hold; ``book/_ext/katex_math.py``
warns when a formula needs another one. KaTeX's fonts for Fraktur, script, sans-serif and typewriter letters
are left out.
"""

import json
import re
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

from bookkit.files import sha256, write_bytes, write_text

BOOK = Path(__file__).resolve().parents[1] / "book"
PACKAGE = "katex-0.19.1.tgz"
SHA256 = "24da5a599eb2fcede2e270b99a6ff48bca816beecc95feeb84e8cccbd1bb34fd"
GREEK = [*range(0x391, 0x3AA), *range(0x3B1, 0x3CA), 0x3D1, 0x3D5, 0x3D6, 0x3F1, 0x3F5]
LETTERS = [*range(0x20, 0x7F), 0xA0, *GREEK, 0x131, 0x237]
AMS = [*range(0x41, 0x5B), 0x6B, 0xA0, 0x127, 0x210F, 0x2204, 0x2205, 0x2224, 0x2226, 0x2234, 0x2235]
AMS += [0x2241, 0x224A, 0x225C, 0x2266, 0x2267, 0x226E, 0x226F, 0x2270, 0x2271, 0x2272, 0x2273, 0x2288]
AMS += [0x2289, 0x228A, 0x228B, 0x22A8, 0x22C9, 0x22CA, 0x25A0, 0x25A1, 0x25B2, 0x25CA, 0x2605, 0x2713]
AMS += [0x2A7D, 0x2A7E, 0x1D55C]
# None: the whole font.
FONTS = {
    "Main-Regular": None, "Math-Italic": None, "Size1-Regular": None, "Size2-Regular": None,
    "Size3-Regular": None, "Size4-Regular": None, "Caligraphic-Regular": None, "AMS-Regular": AMS,
    "Main-Bold": [*LETTERS, 0x2207, 0x2202, 0x2211, 0x220F, 0x22C5, 0xB1, 0xD7, 0x2212, 0x221E],
    "Main-Italic": LETTERS, "Math-BoldItalic": LETTERS,
}  # fmt: skip


def shrink(data: bytes, wanted: list[int]) -> bytes:
    font = TTFont(BytesIO(data), recalcTimestamp=False)
    subsetter = subset.Subsetter(subset.Options(name_IDs=["*"], hinting=False, notdef_outline=True))
    subsetter.populate(unicodes=wanted)
    subsetter.subset(font)
    font.flavor = "woff2"
    buffer = BytesIO()
    font.save(buffer)
    return buffer.getvalue()


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        if len(sys.argv) == 1:
            subprocess.run(["npm", "pack", "katex@0.19.1"], cwd=folder, check=True)
        found = sha256(folder / PACKAGE)
        if found != SHA256:
            sys.exit(f"katex: {PACKAGE} has sha256 {found}, expected {SHA256}")
        with tarfile.open(folder / PACKAGE) as archive:
            files = {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
    vendor, static = BOOK / "_ext" / "vendor", BOOK / "_static" / "katex"
    write_bytes(vendor / "katex.min.js", files["package/dist/katex.min.js"])
    write_bytes(vendor / "KATEX-LICENSE", files["package/LICENSE"])
    write_bytes(static / "LICENSE", files["package/LICENSE"])
    signs, total = set(), 0
    for name, wanted in FONTS.items():
        data = files[f"package/dist/fonts/KaTeX_{name}.woff2"]
        if wanted is not None:
            data = shrink(data, wanted)
        signs |= set(TTFont(BytesIO(data)).getBestCmap())
        write_bytes(static / "fonts" / f"KaTeX_{name}.woff2", data)
        total += len(data)
        print(f"KaTeX_{name + '.woff2':28} {len(data):7,} bytes")
    print(f"{'all together':34} {total:7,} bytes")
    write_text(vendor / "signs.json", json.dumps(sorted(signs)) + "\n")

    def face(match: re.Match) -> str:
        rule = match.group(0)
        if re.search(r"fonts/KaTeX_([\w-]+)\.woff2", rule).group(1) not in FONTS:
            return ""
        return re.sub(r',url\(fonts/[\w.-]+\.(woff|ttf)\) format\("\w+"\)', "", rule)

    sheet = re.sub(r"@font-face\{[^}]*\}", face, files["package/dist/katex.min.css"].decode())
    write_text(static / "katex.min.css", sheet.replace("font-display:block", "font-display:swap"))


if __name__ == "__main__":
    main()
