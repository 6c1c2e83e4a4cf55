"""Make data/corpora/pride_and_prejudice.txt from Debian's package r-cran-janeaustenr.

    apt-get download r-cran-janeaustenr
    dpkg -x r-cran-janeaustenr_1.0.0-1_all.deb unpacked
    pip install rdata
    python training/austen_corpus.py unpacked

The package carries Jane Austen's novels in the public domain, as typed by Project Gutenberg, line by
line. Lines of a paragraph are joined, title page and table of contents are dropped.
"""

import re
import struct
import sys
import zlib
from pathlib import Path

import rdata

from bookkit.files import write_text


def lazy_load(folder: Path, name: str) -> list[str]:
    """Return the lines of one novel from R's lazy-load database (Rdata.rdx and Rdata.rdb)."""
    index = rdata.read_rds(folder / "Rdata.rdx")
    offset, length = (int(number) for number in index["variables"][name])
    block = (folder / "Rdata.rdb").read_bytes()[offset : offset + length]
    size = struct.unpack(">I", block[:4])[0]
    data = zlib.decompress(block[4:])
    assert len(data) == size
    return list(rdata.conversion.convert(rdata.parser.parse_data(data)))


def main(unpacked: Path) -> None:
    lines = lazy_load(unpacked / "usr/lib/R/site-library/janeaustenr/data", "prideprejudice")
    text = "\n".join(line.strip() for line in lines)
    text = text[text.index("It is a truth universally acknowledged") :]
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text)]
    paragraphs = [
        paragraph for paragraph in paragraphs if paragraph and not re.fullmatch(r"(?i)chapter \w+\.?", paragraph)
    ]
    target = Path(__file__).resolve().parent.parent / "data/corpora/pride_and_prejudice.txt"
    write_text(target, "\n".join(paragraphs) + "\n")
    print(f"{target.name}: {len(paragraphs):,} paragraphs, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
