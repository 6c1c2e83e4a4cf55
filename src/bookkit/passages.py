"""The book as passages: every page and chapter, cut at its headings, as the text that a reader sees.

A search over the book needs three things of a page: its text in pieces that belong together, a name for each
piece that a reader understands, and the address that leads to it. A heading gives all three. :func:`sections`
cuts one document, :func:`book` all that ``_toc.yml`` lists. :func:`frozen` is the book as it was on one day: what is
measured on that text stays true when a page is edited.
"""

import html
import json
import lzma
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bookkit import models, notebooks
from bookkit.errors import BookError

PROSE, OUTPUT, CODE = "prose", "output", "code"
SUFFIXES = (".ipynb", ".md")
FROZEN = "corpora/book/sections.jsonl.xz"

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.+?)(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_SILENT = re.compile(r"<!--.*?-->|<(svg|style|script)\b.*?</\1>", re.DOTALL)
# Fenced code, code spans and formulas: Markdown means nothing inside them.
_VERBATIM = re.compile(
    r"(?ms)^ {0,3}(?P<fence>`{3,}|~{3,})(?P<info>[^\n`]*)\n(?P<block>.*?)^ {0,3}(?P=fence)[`~]*[ \t]*$"
    r"|(?P<ticks>`+)(?P<span>[^`].*?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<formula>\$\$.+?\$\$|\$(?=\S)[^$\n]+?(?<=\S)\$(?!\d))"
)
_EMPHASIS = re.compile(r"(?<![\w*\\])(\*{1,3})(?=[^\s*])(.+?)(?<=[^\s*\\])\1(?![\w*])", re.DOTALL)
_CLEANING = [
    (re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)"), r"\1"),  # links and pictures
    (re.compile(r"(?m)^\([\w:.-]+\)=[ \t]*$"), ""),  # explicit targets
    (re.compile(r"(?m)^:{3,}.*$"), ""),  # the marks around a colon fence
    (re.compile(r"\{[.#][^{}\n]*\}|\{[a-z:-]+\}(?=\0)"), ""),  # attributes and roles
    (re.compile(r"</?[a-zA-Z][^<>]*>"), ""),
    (re.compile(r"(?m)^[ \t]*(?:>[ \t]?)+"), ""),  # quotations
    (re.compile(r"(?m)^[ \t]*\|[ \t:|-]+\|[ \t]*$\n?"), ""),  # the rule below a table's head
    *2 * [(_EMPHASIS, r"\2")],  # twice: one may stand inside another
    (re.compile(r"\\([\\`*_{}\[\]()#+.!|<>$-])"), r"\1"),
]


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
    root = Path(root or models.root())
    return [section for document in documents(root) for section in sections(document, root)]


def pieces(section: Section, words: int = 100) -> list[str]:
    """A section's text in pieces of whole sentences, for a search; each begins with a line of its last two headings.

    Args:
        section: the section.
        words: the most words of a piece, its headings not counted. A longer sentence is cut.

    Returns:
        The pieces in order; none of a section without text.
    """
    found, current = [], []
    for sentence in re.split(r"(?<=[.!?:])\s+", section.text()):
        rest = sentence.split()
        if current and len(current) + len(rest) > words:
            found.append(current)
            current = []
        while len(rest) > words:
            found.append(rest[:words])
            rest = rest[words:]
        current = current + rest
    heading = " › ".join(section.trail[-2:])
    return [f"{heading}\n{' '.join(piece)}" for piece in [*found, current] if piece]


def frozen() -> list[Section]:
    """The sections with text of the book as it was when ``training/book_corpus.py`` last wrote it down, without code.

    Raises:
        BookError: the file is missing or damaged.
    """
    path = models.data(FROZEN)
    try:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            found = [_load(line) for line in lines]
    except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        raise BookError(f"data/{FROZEN} is damaged: run `git checkout data/{FROZEN}`.") from error
    if not found:
        raise BookError(f"data/{FROZEN} is empty: run `git checkout data/{FROZEN}`.")
    return found


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
    root = Path(root or models.root())
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
    path = Path(root or models.root()) / document
    name = Path(document).as_posix()
    if path.suffix not in SUFFIXES:
        raise BookError(f"{name} is neither a notebook nor a Markdown page; its name must end in .ipynb or .md.")
    cells = _cells(path) if path.suffix == ".ipynb" else [(PROSE, _read(path))]
    return list(_cut(name, cells))


def anchor(title: str) -> str:
    """The address that Sphinx gives a heading: ``4. What a model must remember`` is at ``#what-a-model-must-remember``.

    Lower case, accents dropped, one hyphen for whatever is no letter or digit, no digits at the start. (Docutils
    also spells out a few letters such as ß, which no heading of the book has.)

    Args:
        title: the heading as a reader sees it.

    Returns:
        The anchor; empty where the heading has no Latin letter.
    """
    plain = unicodedata.normalize("NFKD", title.lower()).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"^[-0-9]+|-+$", "", re.sub(r"[^a-z0-9]+", "-", " ".join(plain.split())))


def plain(markdown: str) -> str:
    """Markdown as a reader sees it: links by their text, pictures by their description, no marks and no tags.

    Code and formulas stay as they are; drawings, comments and MyST's directives are left out.

    Args:
        markdown: CommonMark with MyST's additions and HTML.
    """
    kept: list[str] = []

    def keep(match: re.Match) -> str:
        if match["fence"]:
            text = "" if match["info"].strip().startswith("{") else match["block"].rstrip("\n")
        else:
            text = match["span"] or match["formula"]
        kept.append(text)
        return f"\0{len(kept) - 1}\0"

    text = _VERBATIM.sub(keep, _SILENT.sub("", markdown))
    for pattern, replacement in _CLEANING:
        text = pattern.sub(replacement, text)
    text = html.unescape(text)
    text = re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], text)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _read(path: Path) -> str:
    """The text of a Markdown page without its front matter."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BookError(f"There is no page {path}; check the name.") from None
    except OSError as error:
        raise BookError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    except UnicodeDecodeError:
        raise BookError(f"{path.name} is not UTF-8 text; save it again as UTF-8.") from None
    return _FRONT_MATTER.sub("", text)


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
        for heading, text in _at_headings(source) if kind == PROSE else [(None, source)]:
            if heading:
                if trail or parts:
                    yield section()
                level, title = heading
                trail = [entry for entry in trail if entry[0] < level] + [(level, title)]
                here, parts = _unused(anchor(title), used), []
            shown = plain(text) if kind == PROSE else text.strip("\n")
            if shown:
                parts.append((kind, shown))
    if trail or parts:
        yield section()


def _at_headings(markdown: str) -> Iterator[tuple[tuple[int, str] | None, str]]:
    """Markdown cut at its headings: each heading as (level, title), or None before the first, and the text below."""
    heading, lines, fence = None, [], ""
    for line in _SILENT.sub("", markdown).split("\n"):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not mark[2].strip():
            fence = ""
        found = None if fence or mark else _HEADING.match(line)
        if found:
            if heading or any(lines):
                yield heading, "\n".join(lines)
            heading, lines = (len(found[1]), plain(found[2])), []
        else:
            lines.append(line)
    if heading or any(lines):
        yield heading, "\n".join(lines)


def _unused(name: str, used: set[str]) -> str:
    """An anchor that the page does not have yet; like Sphinx, which numbers the second of two equal headings id1."""
    count = 0
    while not name or name in used:
        count += 1
        name = f"id{count}"
    used.add(name)
    return name
