"""Make data/corpora/pocket_stories/austen.jsonl.xz: Jane Austen's six novels, in passages of some paragraphs.

apt-get download r-cran-janeaustenr
dpkg -x r-cran-janeaustenr_1.0.0-1_all.deb unpacked
pip install rdata
python -m training.pocket_gpt2.austen unpacked
"""

import json
import lzma
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from training.austen_corpus import lazy_load

# The splits are by book.
BOOKS = {
    "emma": "train",
    "mansfieldpark": "train",
    "prideprejudice": "train",
    "sensesensibility": "train",
    "persuasion": "validation",
    "northangerabbey": "test",
}
TARGET = Path(__file__).resolve().parents[2] / "data/corpora/pocket_stories/austen.jsonl.xz"
WORDS = 250  # of a passage, about


def passages(lines: list[str]) -> Iterator[str]:
    """The text of a novel in passages that end with a paragraph, without title page and chapter headings."""
    text = "\n".join(str(line).strip() for line in lines)
    text = text[re.search(r"(?im)^chapter (1|i)\.?$", text).end() :]
    gathered: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        paragraph = " ".join(block.replace("_", "").replace("--", " - ").split())
        if not paragraph or re.fullmatch(r"(?i)(chapter|volume) [\w.]+|finis|the end", paragraph):
            continue
        gathered.append(paragraph)
        if sum(len(part.split()) for part in gathered) >= WORDS:
            yield "\n\n".join(gathered)
            gathered = []
    if gathered:
        yield "\n\n".join(gathered)


def main(unpacked: Path) -> None:
    """Write the passages of all novels, a line of JSON each."""
    folder = unpacked / "usr/lib/R/site-library/janeaustenr/data"
    rows = [
        {
            "text": text,
            "source": "austen",
            "kind": "novel",
            "unit": book,
            "split": split,
            "id": f"{book}-{number}",
        }
        for book, split in BOOKS.items()
        for number, text in enumerate(passages(lazy_load(folder, book)))
    ]
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    TARGET.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    print(f"{TARGET.name}: {len(rows):,} passages, {len(data):,} bytes, compressed {TARGET.stat().st_size:,}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
