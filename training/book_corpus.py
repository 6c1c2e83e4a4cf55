"""Make data/corpora/book/sections.jsonl.xz: the text of the book on one day, section by section.

    python training/book_corpus.py

Chapter 14 measures a search over the book. It measures on this copy, so that an edit of another page does not change
its figures. Making it anew changes the figures of every sweep that read it: run those again, too.
"""

import lzma

from bookkit.ask import passages
from bookkit.files import write_bytes
from bookkit.paths import root


def main() -> None:
    target = root() / "data" / passages.FROZEN
    sections = passages.book()
    text = "".join(passages.dump(section) + "\n" for section in sections if section.text().strip())
    write_bytes(target, lzma.compress(text.encode("utf-8"), preset=9 | lzma.PRESET_EXTREME))
    place, count = target.relative_to(root()), text.count("\n")
    print(f"{place}: {count} sections, {len(text):,} characters, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
