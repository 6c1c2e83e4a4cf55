"""A reader's own documents as sections, for a search like that over the book.

:func:`read` takes PDF, HTML, Markdown, notebooks, plain text, and JSON lines with a title and a text. What cannot be
read is told in one sentence, and a document is read whole or not at all.
"""

import json
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from bookkit.ask import passages
from bookkit.ask.passages import PROSE, Section, fit
from bookkit.errors import BookError

_SKIPPED = ("script", "style", "noscript", "template", "nav", "head", "svg")
_BLOCKS = (
    "address article aside blockquote br dd div dl dt figcaption figure footer form header hr li main ol p pre "
    "section table td th tr ul"
).split()
_LIGATURES = re.compile("[\ufb00-\ufdff\ufe70-\ufefc]+")  # and the forms of Arabic letters; not ², which is no 2
_HYPHENED = re.compile(r"\b\w+-\w+")
_CUT = re.compile(r"\b(\w+)[-\u2010\u00ad][ \t]*\n[ \t]*([^\W\d_A-Z]\w*)")


def corpus(paths: Iterable[str | Path], say: Callable[[str], object] = print) -> list[Section]:
    """The sections of several documents, in their order.

    Args:
        paths: of the documents. A folder stands for all documents below it that can be read, by name, and each of their
            sections names its document by the path below the folder. Hidden files and folders are left out.
        say: takes a sentence about each document of a folder that cannot be read; the others are read all the same.

    Raises:
        BookError: there is no document that can be read, or one that was named itself cannot.
    """
    found = []
    for path in map(Path, paths):
        if not path.is_dir():
            found += read(path)
            continue
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path)
            hidden = any(part.startswith(".") for part in name.parts)
            if hidden or file.suffix.lower() not in READERS or not file.is_file():
                continue
            try:
                found += [replace(section, document=name.as_posix()) for section in read(file)]
            except BookError as error:
                say(f"Left out: {error}")
    if not found:
        raise BookError(f"There is nothing to read: give at least one document ({', '.join(READERS)}).")
    return found


def read(path: str | Path) -> list[Section]:
    """One document, cut where it cuts itself: at headings, at pages, at lines.

    Args:
        path: of the document; its suffix says what it is.

    Returns:
        Its sections that hold text; their ``anchor`` is what leads there after ``#``, such as "page=3" in a PDF.

    Raises:
        BookError: the file is missing, of an unknown kind, damaged, locked by a password, or without text.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise BookError(f"{path.name} is of a kind that cannot be read here: give {', '.join(READERS)}.")
    if not path.is_file():
        raise BookError(f"There is no document {path}; check the name.")
    try:
        found = [_fit(section) for section in READERS[path.suffix.lower()](path) if section.parts]
    except RecursionError:
        raise BookError(f"{path.name} is nested too deeply to be read: open and save it again.") from None
    if not found:
        raise BookError(f"{path.name} holds no text: if it is a scan, have its letters recognised (OCR) first.")
    return found


def _fit(section: Section) -> Section:
    """A section with � for each character that a database or a tokenizer would refuse."""
    parts = tuple((kind, fit(text)) for kind, text in section.parts)
    return replace(section, trail=tuple(map(fit, section.trail)), anchor=fit(section.anchor), parts=parts)


def _pdf(path: Path) -> list[Section]:
    """A PDF, a section for each page.

    The text comes in the order in which the file draws it. Of two columns, most programs (LaTeX, Word, browsers) draw
    one after the other, and so they are read; a file that draws line by line across both is read line by line.
    """
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it tells of every blemish that it could mend
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise BookError(f"{path.name} is locked by a password: save a copy without one.")
        texts = _mended([page.extract_text() for page in reader.pages])
    except BookError:
        raise
    except Exception as error:  # damaged files fail in as many ways as there are objects in them
        raise BookError(
            f"{path.name} is no PDF that can be read ({type(error).__name__}): open and save it again."
        ) from error
    return [
        Section(path.name, (path.stem, f"page {number}"), f"page={number}", 1, ((PROSE, text),) if text else ())
        for number, text in enumerate(texts, 1)
    ]


def _mended(pages: list[str]) -> list[str]:
    """The texts of pages with letters in the place of ligatures, and words whole that a line's end has cut.

    The hyphen at a line's end stays where the document writes the word with a hyphen elsewhere.
    """
    pages = [_LIGATURES.sub(lambda found: unicodedata.normalize("NFKC", found[0]), page) for page in pages]
    hyphened = {word.lower() for page in pages for word in _HYPHENED.findall(page)}

    def joined(cut: re.Match) -> str:
        before, after = cut.groups()
        return f"{before}-{after}" if f"{before}-{after}".lower() in hyphened else before + after

    return [_CUT.sub(joined, unicodedata.normalize("NFC", page)).replace("\u00ad", "").strip() for page in pages]


def _html(path: Path) -> list[Section]:
    """A page of HTML, cut at its headings; scripts, styles and navigation are left out."""
    from bs4 import BeautifulSoup, NavigableString, Tag
    from bs4.element import PreformattedString

    soup = BeautifulSoup(_text(path), "html.parser")
    # A drawing in the page may have titles of its own.
    titles = (tag.get_text().split() for tag in soup("title") if not tag.find_parent("svg"))
    title = " ".join(next(titles, [])) or path.stem
    for tag in soup(_SKIPPED):
        tag.decompose()
    found, trail, anchor, words = [], [(0, title)], "", []

    def close() -> None:
        lines = (" ".join(line.split()) for line in "".join(words).split("\n"))
        text = re.sub(r"\n{2,}", "\n\n", "\n".join(lines)).strip()
        names = tuple(name for _, name in trail)
        found.append(Section(path.name, names, anchor, trail[-1][0], ((PROSE, text),) if text else ()))
        words.clear()

    for node in soup.descendants:
        if isinstance(node, Tag):
            if level := re.fullmatch(r"h([1-6])", node.name):
                close()
                level = int(level[1])
                trail = [entry for entry in trail if entry[0] < level]
                trail.append((level, " ".join(node.get_text().split())))
                holder = node if node.get("id") else node.find_parent(["section", "div"], id=True)
                anchor = holder["id"] if holder else ""
            elif node.name in _BLOCKS:
                words.append("\n")
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
            if not node.find_parent(re.compile(r"^h[1-6]$")):
                words.append(re.sub(r"\s+", " ", node))
    close()
    return found


def _markdown(path: Path) -> list[Section]:
    """A Markdown page or a notebook, cut at its headings."""
    return passages.sections(path.name, path.parent)


def _plain(path: Path) -> list[Section]:
    """A text file as one section."""
    text = _text(path).strip()
    return [Section(path.name, (path.stem,), "", 1, ((PROSE, text),) if text else ())]


def _lines(path: Path) -> list[Section]:
    """JSON lines, each with a "text" and, if it likes, a "title"."""
    found = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            title, text = record.get("title", f"line {number}"), record["text"]
        except (ValueError, KeyError, AttributeError, TypeError):
            raise BookError(f'Line {number} of {path.name} is no JSON object with a "text": mend it.') from None
        if not (isinstance(title, str) and isinstance(text, str)):
            raise BookError(f"Line {number} of {path.name} has a title or a text that is no text: mend it.")
        found.append(Section(path.name, (title,), f"line-{number}", 1, ((PROSE, text),) if text.strip() else ()))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BookError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    except UnicodeDecodeError:
        raise BookError(f"{path.name} is not UTF-8 text; save it again as UTF-8.") from None


READERS = {
    ".pdf": _pdf,
    ".html": _html,
    ".htm": _html,
    ".md": _markdown,
    ".ipynb": _markdown,
    ".txt": _plain,
    ".jsonl": _lines,
}
