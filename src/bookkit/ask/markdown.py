"""Markdown as a reader sees it: CommonMark with MyST's additions and HTML, cut at its headings, without its marks."""

import html
import re
import unicodedata
from collections.abc import Iterator

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


def body(text: str) -> str:
    """The text of a page without its front matter."""
    return _FRONT_MATTER.sub("", text)


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


def at_headings(markdown: str) -> Iterator[tuple[tuple[int, str] | None, str]]:
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
