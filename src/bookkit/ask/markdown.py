"""Markdown as a reader sees it: CommonMark with MyST's additions and HTML, cut at its headings, without its marks.

Everything here takes a time that grows in step with the text, whatever the text is: a search over strangers' documents
must not hang on one of them. (A parser such as markdown-it builds a tree that is not needed here, and takes minutes for
a megabyte of asterisks or brackets.)
"""

import html
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?\n)??(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_SETTING = re.compile(r"[ \t#-]|[^:\n]+:(?:[ \t]|$)|$")  # a line of YAML: a key, what belongs to it, a comment
_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_TARGET = re.compile(r"(?m)^\([\w:.-]+\)=[ \t]*$")
# What goes on to the next blank line and is no heading with a line below: lists, quotations, tables, HTML, directives.
_OTHER = re.compile(r"[ \t]*(?:[-+*](?:[ \t]|$)|\d{1,9}[.)][ \t]|[>|<]|:{3,})")
# What makes Markdown mean nothing until it ends, and a backslash, which does so for one character.
_OPENING = re.compile(
    r"(?m)^ {0,3}(?P<fence>`{3,}|~{3,})(?P<info>[^`\n]*)\n"
    r"|(?:\{[a-z:-]+\})?(?P<ticks>`+)|(?P<formula>\$\$?)|(?P<comment><!--)|<(?P<element>svg|style|script)\b"
    r"|\\(?P<escaped>[!-/:-@\[-`{-~])"
)
_BLANK = re.compile(r"\n[ \t]*\n")
_SHORT_FORMULA = re.compile(r"\$(?=\S)[^$\n]+(?<=\S)\$(?!\d)")
_EMPHASIS = re.compile(r"(?P<blank>\n[ \t]*\n)|\*+|_+")
_SPACE = r"(?:[ \t]|\n(?![ \t]*\n))"
_ATTRIBUTE = rf"""{_SPACE}+[A-Za-z_:][\w:.-]*(?:{_SPACE}*={_SPACE}*(?:[^\s"'=<>`]+|'[^']*'|"[^"]*"))?"""
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_CLEANING = [
    *2 * [(_LINK, r"\1")],  # links and pictures; twice: a picture may stand in a link
    (re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*)>"), r"\1"),  # addresses
    (re.compile(r"<([\w.!#$%&'*+/=?^`{|}~-]+@[\w.-]+)>"), r"\1"),
    (_TARGET, ""),
    (re.compile(r"(?m)^:{3,}.*$"), ""),  # the marks around a colon fence
    (re.compile(r"\{[.#][^{}\n]*\}"), ""),  # attributes
    (re.compile(rf"<[A-Za-z][A-Za-z0-9-]*(?:{_ATTRIBUTE})*{_SPACE}*/?>|</[A-Za-z][A-Za-z0-9-]*{_SPACE}*>"), ""),  # tags
    (re.compile(r"(?m)^[ \t]*(?:>[ \t]?)+"), ""),  # quotations
    (re.compile(r"(?m)^[ \t]*\|[ \t:|-]+\|[ \t]*$\n?"), ""),  # the rule below a table's head
]


class _Span(NamedTuple):
    """Where Markdown means nothing, and what a reader sees there."""

    start: int
    end: int
    shown: str
    block: bool


def body(text: str) -> str:
    """The text of a page without its front matter, YAML between ``---`` or TOML between ``+++``."""
    found = _FRONT_MATTER.match(text)
    if not found:
        return text
    # Three hyphens also draw a line across the page.
    settings = found[1] == "+++" or all(map(_SETTING.match, (found[2] or "").split("\n")))
    return text[found.end() :] if settings else text


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
    markdown = markdown.replace("\0", "\ufffd")  # as CommonMark has it; below, NUL marks what is kept
    kept: list[str] = []
    parts, done = [], 0
    for span in _spans(markdown):
        parts.append(markdown[done : span.start])
        if span.shown:
            parts.append(f"\0{len(kept)}\0")
            kept.append(span.shown)
        done = span.end
    text = "".join([*parts, markdown[done:]])
    for pattern, replacement in _CLEANING:
        text = pattern.sub(replacement, text)
    text = html.unescape(_without_emphasis(text))
    text = re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], text)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip(" \t") for line in text.split("\n"))).strip()


def at_headings(markdown: str) -> Iterator[tuple[tuple[int, str] | None, str]]:
    """Markdown cut at its headings: each heading as (level, title), or None before the first, and the text below."""
    blocks = [span for span in _spans(markdown) if span.block]
    heading, lines, start, block = None, [], 0, 0
    title = (
        0  # how many of the last lines are a heading if a line is drawn below them; below zero: whatever comes, none
    )
    for line in markdown.split("\n"):
        while block < len(blocks) and blocks[block].end <= start:
            block += 1
        inside = block < len(blocks) and blocks[block].start <= start
        marked = None if inside else _HEADING.match(line)
        underline = _UNDERLINE.match(line) if title > 0 and not inside else None
        if marked or underline:
            above = lines[len(lines) - title :] if underline else []
            del lines[len(lines) - len(above) :]
            if heading or any(lines):
                yield heading, "\n".join(lines)
            level = len(marked[1]) if marked else "=-".index(underline[1][0]) + 1
            heading = level, plain(_without_hashes(line[marked.end() :]) if marked else " ".join(above))
            lines, title = [], 0
        else:
            lines.append(line)
            if inside or not line.strip() or _TARGET.match(line):
                title = 0
            elif title < 0 or _OTHER.match(line) or (title == 0 and line.startswith(("    ", "\t"))):
                title = -1
            else:
                title += 1
        start += len(line) + 1
    if heading or any(lines):
        yield heading, "\n".join(lines)


def _without_hashes(title: str) -> str:
    """What stands after the opening hashes of a heading, without those that close it."""
    title = title.strip(" \t")
    before = title.rstrip("#")
    return before.rstrip(" \t") if not before or before[-1] in " \t" else title


def _spans(text: str) -> Iterator[_Span]:
    """Code, formulas, comments, drawings and escaped characters, in their order."""
    blanks = [match.start() for match in _BLANK.finditer(text)]
    ticks: dict[int, list[int]] = {}
    for run in re.finditer("`+", text):
        ticks.setdefault(len(run[0]), []).append(run.start())
    missing: set[str] = set()  # what does not occur any more

    def find(wanted: str, start: int) -> int:
        """Where a text comes next, or -1; what is missing once is not looked for again."""
        place = -1 if wanted in missing else text.find(wanted, start)
        if place < 0:
            missing.add(wanted)
        return place

    place = 0
    while opening := _OPENING.search(text, place):
        start, place = opening.span()
        if opening["fence"]:
            mark = opening["fence"]
            closing = re.compile(rf"(?m)^ {{0,3}}{mark}{mark[0]}*[ \t]*$").search(text, place)
            inner = text[place : closing.start() if closing else len(text)].rstrip("\n")
            place = closing.end() if closing else len(text)
            yield _Span(start, place, "" if opening["info"].strip().startswith("{") else inner, True)
        elif mark := opening["ticks"]:
            places = ticks[len(mark)]
            following = bisect_left(places, place)
            if following < len(places):
                end = places[following]
                edge = bisect_left(blanks, start)
                if edge == len(blanks) or end < blanks[edge]:
                    yield _Span(start, end + len(mark), text[place:end], False)
                    place = end + len(mark)
        elif opening["formula"] == "$$":
            if (end := find("$$", place + 1)) > 0:
                yield _Span(start, end + 2, text[start : end + 2], False)
                place = end + 2
        elif opening["formula"]:
            if formula := _SHORT_FORMULA.match(text, start):
                yield _Span(start, formula.end(), formula[0], False)
                place = formula.end()
        elif opening["escaped"]:
            yield _Span(start, place, opening["escaped"], False)
        else:
            closing = "-->" if opening["comment"] else f"</{opening['element']}>"
            if (end := find(closing, place)) > 0:
                place = end + len(closing)
                yield _Span(start, place, "", True)


def _without_emphasis(text: str) -> str:
    """Text without the asterisks and underscores around words; those between words or numbers stay."""
    opened: dict[str, list[list[int]]] = {"*": [], "_": []}  # the runs that are open, as [start, marks left]
    gone: list[tuple[int, int]] = []
    for run in _EMPHASIS.finditer(text):
        if run["blank"]:
            opened = {"*": [], "_": []}
            continue
        place, end = run.span()
        before, after = text[place - 1 : place] or " ", text[end : end + 1] or " "
        stack = opened[run[0][0]]
        if not before.isspace() and not _in_a_word(after):
            while stack and place < end:
                count = min(stack[-1][1], end - place)
                stack[-1][1] -= count
                left = sum(stack[-1])
                gone += [(left, left + count), (place, place + count)]
                place += count
                if not stack[-1][1]:
                    stack.pop()
        if place < end and not after.isspace() and not _in_a_word(before):
            stack.append([place, end - place])
    parts, done = [], 0
    for start, end in sorted(gone):
        parts.append(text[done:start])
        done = end
    return "".join([*parts, text[done:]])


def _in_a_word(character: str) -> bool:
    return character.isalnum() or character == "_"
