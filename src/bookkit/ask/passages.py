"""The book as passages: every page and chapter, cut at its headings, as the text that a reader sees.

A search over the book needs three things of a page: its text in pieces that belong together, a name for each
piece that a reader understands, and the address that leads to it. A heading gives all three. :func:`sections`
cuts one document, :func:`book` all that ``_toc.yml`` lists. :func:`frozen` is a snapshot of the book's first edition:
what was measured on that text stays true when a page is edited.
"""

import json
import lzma
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import regex

from bookkit import notebooks, paths
from bookkit.ask import markdown
from bookkit.errors import BookError

PROSE, OUTPUT, CODE = "prose", "output", "code"
SUFFIXES = (".ipynb", ".md")
FROZEN = "corpora/book/sections.jsonl.xz"

# Words in scripts that have no blanks between them: a Chinese or Japanese character, four letters of Thai, Lao,
# Tibetan, Burmese or Khmer. Elsewhere a word has at most 80 letters; what is longer (a key, a picture as text) is cut.
_WIDE, _JOINED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Yi}", r"\p{Thai}\p{Lao}\p{Tibetan}\p{Myanmar}\p{Khmer}"
_OTHER = f"[^ {_WIDE}{_JOINED}]"
_WORD = regex.compile(f" ?(?:[{_WIDE}]|[{_JOINED}]{{1,4}}|{_OTHER}{{1,80}}(?!{_OTHER})|{_OTHER}{{1,8}})")
_SENTENCE = re.compile(".+?(?:[。！？]+[」』”’）]*|[.!?:؟۔।](?= )|$)")
_KEYWORD = regex.compile(r"[\p{L}\p{N}\p{M}]+(?:[-_][\p{L}\p{N}\p{M}]+)*")
_PART = regex.compile(rf"(?P<blankless>[{_WIDE}]+|[{_JOINED}]+)|[^-_{_WIDE}{_JOINED}]+")
_UNFIT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Section:
    """What stands between one heading and the next, of whatever level.

    Attributes:
        document: the page's path below the root of the book, such as "notebooks/04_attention.ipynb".
        trail: the headings that lead here, from the page's title to the section's own; empty for text
            above the first heading.
        anchor: what follows ``#`` in the address of the section on the built page; empty with an empty trail.
        level: of the heading, 1 to 6; 0 with an empty trail.
        parts: the pieces of the section in their order, each with its kind: PROSE (Markdown as a reader sees
            it), CODE (the source of a code cell) or OUTPUT (the text that the book keeps of a cell's output).
    """

    document: str
    trail: tuple[str, ...]
    anchor: str
    level: int
    parts: tuple[tuple[str, str], ...]

    @property
    def title(self) -> str:
        """The section's own heading."""
        return self.trail[-1] if self.trail else ""

    def text(self, *kinds: str) -> str:
        """The section's pieces of the given kinds, joined by blank lines; prose and outputs if none is named."""
        return "\n\n".join(text for kind, text in self.parts if kind in (kinds or (PROSE, OUTPUT)))


def book(root: str | Path | None = None) -> list[Section]:
    """The sections of all pages that ``_toc.yml`` lists, in reading order.

    Args:
        root: of the book; by default the one that this program runs in.

    Returns:
        The sections of every page; a section without text of its own has no parts.

    Raises:
        BookError: there is no book, or a page that is listed cannot be read.
    """
    root = Path(root or paths.root())
    return [section for document in documents(root) for section in sections(document, root)]


def pieces(section: Section, words: int = 100) -> list[str]:
    """A section's text in pieces of whole sentences, for a search; each begins with a line of its last two headings.

    Args:
        section: the section.
        words: the most words of a piece, its headings not counted. A longer sentence is cut. Where a script has no
            blanks between words, characters are counted in their place.

    Returns:
        The pieces in order; none of a section without text.
    """
    found, current = [], []
    for sentence in _SENTENCE.findall(" ".join(section.text().split())):
        rest = _WORD.findall(sentence)
        if current and len(current) + len(rest) > words:
            found.append(current)
            current = []
        while len(rest) > words:
            found.append(rest[:words])
            rest = rest[words:]
        current = current + rest
    heading = " › ".join(section.trail[-2:])
    return [f"{heading}\n{''.join(piece).strip()}" for piece in [*found, current] if piece]


def keywords(text: str) -> list[str]:
    """The words of a text for a search by words: equal for every way to write the same letters.

    Words with a hyphen or an underscore in them count whole and in parts. Where a script has no blanks between words,
    any two neighbouring characters count as a word.

    >>> keywords("Straße, CAFÉ, min-p, 東京都")
    ['strasse', 'café', 'min-p', 'min', 'p', '東京', '京都']
    """
    found = []
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2010", "-")  # NFKC knows several hyphens
    for word in _KEYWORD.findall(plain):
        if "-" in word or "_" in word:
            found.append(word)
        for part in _PART.finditer(word):
            text = part[0]
            pairs = [text[n : n + 2] for n in range(len(text) - 1)] if part["blankless"] else []
            found += pairs or [text]
    return found


def fit(text: str) -> str:
    """Text without NUL and lone halves of characters, which databases and tokenizers refuse: they become �."""
    return _UNFIT.sub("\ufffd", text)


def frozen() -> list[Section]:
    """The snapshot: the sections with text of the book's first edition, without code. It is not today's text.

    Raises:
        BookError: the file is missing or damaged.
    """
    path = paths.data(FROZEN)
    try:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            found = [_load(line) for line in lines]
    except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        raise BookError(f"data/{FROZEN} is damaged: {paths.restoring(f'data/{FROZEN}')}.") from error
    if not found:
        raise BookError(f"data/{FROZEN} is empty: {paths.restoring(f'data/{FROZEN}')}.")
    return found


def page_today(section: Section, beside: str = "notebooks") -> str:
    """The built page on which a section of the snapshot stood, as a link from another folder; empty where it is gone.

    The link leads to the page and not to the heading, which may be another by now.
    """
    if not (paths.root() / section.document).is_file():
        return ""
    return os.path.relpath(Path(section.document).with_suffix(".html"), beside).replace(os.sep, "/")


def dump(section: Section) -> str:
    """A section as a line of JSON, without its code."""
    fields = {name: getattr(section, name) for name in ("document", "anchor", "level", "trail")}
    parts = [part for part in section.parts if part[0] != CODE]
    return json.dumps({**fields, "parts": parts}, ensure_ascii=False)


def _load(line: str) -> Section:
    """What :func:`dump` wrote."""
    record = json.loads(line)
    parts = tuple((kind, text) for kind, text in record["parts"])
    if not all(isinstance(text, str) for text in (record["document"], record["anchor"], *sum(parts, ()))):
        raise TypeError("a text is no text")
    return Section(record["document"], tuple(record["trail"]), record["anchor"], int(record["level"]), parts)


def documents(root: str | Path | None = None) -> list[str]:
    """The paths below the root of all pages that ``_toc.yml`` lists, in reading order.

    Args:
        root: of the book; by default the one that this program runs in.

    Raises:
        BookError: there is no book, or it lists a page that does not exist.
    """
    root = Path(root or paths.root())
    found = []
    try:
        listed = notebooks.pages(root)
    except OSError:
        raise BookError(f"{root / '_toc.yml'} cannot be read; run this inside a copy of the book.") from None
    for page in listed:
        names = [page if page.endswith(suffix) else page + suffix for suffix in SUFFIXES]
        name = next((name for name in names if (root / name).is_file()), None)
        if name is None:
            raise BookError(f"_toc.yml lists {page}, but there is no such page: add it or drop the line.")
        found.append(name)
    return found


def sections(document: str | Path, root: str | Path | None = None) -> list[Section]:
    """Cut a page or a notebook at its headings.

    Args:
        document: path of a Markdown file or a notebook below the root (or an absolute path).
        root: of the book; by default the one that this program runs in.

    Returns:
        The sections in order. A heading without text of its own is there, too, without parts.

    Raises:
        BookError: the file is missing, is no UTF-8 text, is a notebook that is not valid JSON, or is of
            another kind.
    """
    path = Path(root or paths.root()) / document
    name = Path(document).as_posix()
    if path.suffix.lower() not in SUFFIXES:
        raise BookError(f"{name} is neither a notebook nor a Markdown page; its name must end in .ipynb or .md.")
    cells = _cells(path) if path.suffix.lower() == ".ipynb" else [(PROSE, _read(path))]
    return list(_cut(name, cells))


def _read(path: Path) -> str:
    """The text of a Markdown page without its front matter."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BookError(f"There is no page {path}; check the name.") from None
    except OSError as error:
        raise BookError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    except UnicodeDecodeError:
        raise BookError(f"{path.name} is not UTF-8 text; save it again as UTF-8.") from None
    return markdown.body(text)


def _cells(path: Path) -> Iterator[tuple[str, str]]:
    """The cells of a notebook and the outputs that the book keeps, each with its kind."""
    for cell in notebooks.read(path).cells:
        if cell.cell_type == "markdown":
            yield PROSE, cell.source
        elif cell.cell_type == "code":
            yield CODE, cell.source
            if notebooks.KEEP_TAG in notebooks.tags(cell):
                for output in cell.outputs:
                    yield OUTPUT, output.get("text") or output.get("data", {}).get("text/plain", "")


def _cut(document: str, cells) -> Iterator[Section]:
    """The sections of a document from its cells."""
    trail: list[tuple[int, str]] = []
    here, parts, used = "", [], set()

    def section() -> Section:
        level = trail[-1][0] if trail else 0
        return Section(document, tuple(title for _, title in trail), here, level, tuple(parts))

    for kind, source in cells:
        for heading, text in markdown.at_headings(source) if kind == PROSE else [(None, source)]:
            if heading:
                if trail or parts:
                    yield section()
                level, title = heading
                trail = [entry for entry in trail if entry[0] < level] + [(level, title)]
                here, parts = _unused(markdown.anchor(title), used), []
            shown = markdown.plain(text) if kind == PROSE else text.strip("\n")
            if shown:
                parts.append((kind, shown))
    if trail or parts:
        yield section()


def _unused(name: str, used: set[str]) -> str:
    """An anchor that the page does not have yet; like Sphinx, which numbers the second of two equal headings id1."""
    count = 0
    while not name or name in used:
        count += 1
        name = f"id{count}"
    used.add(name)
    return name
