"""A chapter's Markdown as a reader sees it: headings, links, pictures, and the numbers that prose states."""

import ast
import re
from decimal import Decimal
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode
from syntax import alt_values, code_cells, names, tree

CITATION = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands in a page's text where a link cites a source

markdown = MarkdownIt("commonmark").enable("table")
markdown.use(dollarmath_plugin, double_inline=True, renderer=lambda formula, options: "")


def markdown_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The Markdown cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def headings(source: str) -> list[tuple[int, str]]:
    """The headings of a Markdown text as (level, text)."""
    tokens = markdown.parse(source)
    pairs = zip(tokens, tokens[1:], strict=False)
    return [(int(first.tag[1]), second.content) for first, second in pairs if first.type == "heading_open"]


def text_below(source: str, heading: str, level: int) -> str:
    """The Markdown below a heading, down to the next heading of the same or a higher level."""
    lines, inside, fenced = [], False, False
    for line in source.split("\n"):
        fenced ^= line.startswith("```")
        match = None if fenced else re.match(r"(#{1,6}) +(.*)", line)
        if match and len(match[1]) <= level:
            inside = len(match[1]) == level and is_heading(match[2], heading)
        elif inside:
            lines.append(line)
    return "\n".join(lines)


def is_heading(text: str, name: str) -> bool:
    """Whether a heading is the one called `name`; it may go on after a colon."""
    return text == name or text.startswith(f"{name}:")


class Page(HTMLParser):
    """What a reader sees of Markdown: `blocks` of prose, `alts` of pictures, `targets` of links, `ids`.

    Code, formulas, drawings and scripts are no prose and leave a gap. A link into the references leaves
    the character `CITATION` in the text.
    """

    SILENT = {"code", "pre", "script", "style", "svg", "kbd"}
    HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
    BLOCKS = HEADINGS | {"p", "li", "tr", "table", "div", "blockquote", "figcaption", "summary", "details"}

    def __init__(self, source: str):
        super().__init__(convert_charrefs=True)
        self.blocks, self.alts, self.targets, self.ids = [], [], [], set()
        self._text, self._silent = "", 0
        self.feed(markdown.render(source))
        self.close()
        self._end_block()

    def handle_starttag(self, tag, attrs):
        given = {key: value or "" for key, value in attrs}
        self.ids |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.targets.append(given["href"])
            self._text += CITATION if "references.md#" in given["href"] else ""
        elif tag == "img":
            self.targets.append(given.get("src", ""))
            self.alts.append(given.get("alt", ""))
        elif tag in self.SILENT:
            self._silent += 1
        elif tag in self.BLOCKS:
            self._end_block()
        self._text += " " if tag in ("td", "th", "br", *self.SILENT) else ""

    def handle_endtag(self, tag):
        if tag in self.SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in self.BLOCKS:
            if tag in self.HEADINGS:  # "2. Tokenization": the number is the heading's own
                self._text = re.sub(r"^\s*\d+(\.\d+)*\.?\s", "", self._text)
            self._end_block()

    def handle_data(self, data):
        self._text += "" if self._silent else data

    def _end_block(self):
        if text := " ".join(self._text.split()):
            self.blocks.append(text)
        self._text = ""


def slug(heading: str) -> str:
    """The anchor that MyST and GitHub give a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(source: str) -> set[str]:
    """Everything in a Markdown text that ``#…`` can lead to: headings, explicit targets, HTML ids."""
    explicit = re.findall(r"(?m)^\(([^)\s]+)\)=\s*$", source) + re.findall(r"\{#([\w-]+)", source)
    return {slug(text) for _, text in headings(source)} | set(explicit) | Page(source).ids


# Numbers ---------------------------------------------------------------------------------------------

_LABELS = "chapter|section|exercise|step|figure|table|part|page|equation|article|version|cell|question|row"
_NAMES = "Python|Unicode|Llama|Qwen|Gemma|Claude|Gemini|Phi|CC BY|CC BY-SA|RFC|ISO"
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"

# What may stand in prose as digits without being a claim that a cell has to show.
EXEMPT = {
    "addresses": r"https?://\S+|\barXiv:\S+|\b10\.\d{4,}/\S+",
    "labels": rf"(?i)(?:\b(?:{_LABELS})s?\s|§+\s?)\d+(?:\.\d+)*(?:(?:,| and| or| to|–)\s*\d+(?:\.\d+)*)*\b",
    "names": rf"\b(?:{_NAMES})\s+\d+(?:\.\d+)*\b",
    "versions": r"\bv?\d+\.\d+\.\d+\S*|\bv\d+(?:\.\d+)*\b",
    "days": rf"\b\d{{1,2}}\s+(?:{_MONTHS})\b|\b(?:{_MONTHS})\s+\d{{1,2}}\b|\b\d{{4}}-\d\d-\d\d\b",
    "years, unless they count something": r"\b(?:1[5-9]\d\d|20[0-3]\d)s?\b(?![.,]\d|\s*%|\s[a-z]+s\b)",
    "ordinals": r"\b\d+(?:st|nd|rd|th)\b",
    "dimensions": r"\b[1-9]-?D\b",
    "code points": r"U\+[0-9A-Fa-f]{4,6}",
}
_GROUPED = r"\d{1,3}(?:[,_\u202f]\d{3})++(?!\d)(?:\.\d+)?"  # 50,257
_STATED = re.compile(
    r"(?<![\w.])(?<![A-Za-z]-)(?<![A-Za-z]\d-)"  # not within a name: GPT-2, cl100k, SmolLM2-135M
    rf"(?P<digits>{_GROUPED}|\d++(?:\.\d++)?)"
    r"(?P<scale>\s?(?:%|per\s?cent|thousand|million|billion|trillion|[kKMGBT](?![A-Za-z])))?"
)
_SHOWN = re.compile(rf"{_GROUPED}|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_POWERS = {"thousand": 3, "k": 3, "million": 6, "m": 6, "billion": 9, "b": 9, "g": 9, "trillion": 12, "t": 12}


def _value(digits: str) -> Decimal:
    return Decimal(re.sub(r"[,_\u202f]", "", digits))


def numbers_in(text: str) -> set[Decimal]:
    """Every number in a program's output, without sign and thousands separators."""
    return {_value(digits) for digits in _SHOWN.findall(text)}


def shown_numbers(executed: NotebookNode) -> set[Decimal]:
    """The numbers that an executed notebook shows as text, and the literals of its code but alt texts."""
    found, known = set(), names(executed)
    for cell in code_cells(executed):
        for output in cell.outputs:
            shown = output.get("data", {}).get("text/plain", "") + output.get("evalue", "")
            found |= numbers_in(shown + (output.text if output.get("name") == "stdout" else ""))
        alts = {id(sub) for value in alt_values([tree(cell)], known) for sub in ast.walk(value)}
        for node in ast.walk(tree(cell)):
            if isinstance(node, ast.Constant) and id(node) not in alts:
                found |= numbers_in(str(node.value))
    return found


def stated_numbers(sentence: str) -> list[tuple[str, set[Decimal]]]:
    """The numbers that a sentence states: how it writes each, and the values that would bear it out."""
    for pattern in EXEMPT.values():
        sentence = re.sub(pattern, " ", sentence)
    found = []
    for match in _STATED.finditer(sentence):
        value, scale = _value(match["digits"]), (match["scale"] or "").strip().lower()
        power = -2 if scale == "%" or scale.startswith("per") else _POWERS.get(scale, 0)
        found.append((match[0].strip(), {value, value.scaleb(power)}))
    return found


def sentences(source: str) -> list[str]:
    """The sentences of a Markdown text, table rows and alt texts among them."""
    page = Page(source)
    ends = re.compile(r"(?<=[.!?])\s+(?=\W?[A-Z])")
    return [sentence for block in page.blocks + page.alts for sentence in ends.split(block)]
