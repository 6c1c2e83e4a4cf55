"""The second edition's contract: see it, build it, prove it; a core path that fits into 45 to 75 minutes.

Chapters whose metadata say ``edition: 2`` keep these rules in place of `rules.sections`, `rules.size` and
`rules.rhythm`. The *core path* runs from the title to the summary; the set-up, the exercises and "Going deeper" are
not part of it. *Folded* cells (``hide-input``) hold plots, bookkeeping and proofs; what is visible is what one reads.
"""

import ast
import re
from collections.abc import Iterator

from nbformat import NotebookNode
from prose import CITATION, Page, headings, markdown, markdown_cells, text_below
from rules import OWN, at, in_order
from syntax import calls, code_cells, drawing_cells, tree

from bookkit.chapters import core, folded, lines, minutes, part
from bookkit.errors import BookError
from bookkit.notebooks import tags
from bookkit.teaching import tasks

Problems = Iterator[str]

SECTIONS = (
    "You will be able to",
    "You need",
    "Set-up",
    "See it",
    OWN,
    "Folklore check",
    "Classic mistakes",
    "On the full-size model",
    "Summary",
    "Exercises",
    "Going deeper",
)
WORDS, VISIBLE_LINES, CODE_CELLS = 3000, 400, 30
CELL_LINES = 25
PARAGRAPH_WORDS = 120
KINDS = ("code", "code", "explain", "open", "predict")
DIAGRAM_TAG = "diagram"
FOLDED_TAG = "hide-input"
EXERCISE_TAGS = {"exercise-solution", "exercise-check"}

# Words of the book's own that stood for the field's, and the term that says the same. As names in code …
NOT_IN_CODE = {
    "shares": "weights (of a softmax), or probabilities",
    "places": "positions",
    "powers": "exponentials",
    "root_norm": "rms_norm",
    "tiny": "eps",
    "back": "output projection (o_proj)",
    "dice": "generator",
    "bend": "activation",
    "felt": "attended",
    "said": "output",
}
# … and in prose, where most of the above are ordinary English.
NOT_IN_PROSE = {
    "forger": "generator",
    "toll": "KL divergence",
    "rivals": "baselines",
    "way back": "backward pass",
    "runs of words": "n-grams",
    "turned back into floats": "dequantised",
    "leap": "closed-form noising",
}


def words(cell: NotebookNode) -> int:
    """The words of prose in a Markdown cell: what a reader reads, without code and formulas."""
    return sum(len(block.replace(CITATION, "").split()) for block in Page(cell.source).blocks)


def measures(notebook: NotebookNode) -> dict[str, int]:
    """Words, visible lines and code cells of the core path, and the minutes of reading that they make."""
    cells = core(notebook)
    code = [cell for cell in cells if cell.cell_type == "code"]
    found = {
        "words": sum(words(cell) for cell in cells if cell.cell_type == "markdown"),
        "visible lines": sum(lines(cell) for cell in code if not folded(cell)),
        "code cells": len(code),
    }
    return found | {"minutes": minutes(found["words"], found["visible lines"])}


def sections(notebook: NotebookNode) -> Problems:
    """The sections of a second edition."""
    yield from in_order(notebook, SECTIONS)


def core_size(notebook: NotebookNode) -> Problems:
    """The core path has at most 3,000 words, 400 visible lines of code and 30 code cells."""
    found = measures(notebook)
    for name, limit in (("words", WORDS), ("visible lines", VISIBLE_LINES), ("code cells", CODE_CELLS)):
        if found[name] > limit:
            yield f'the core path has {found[name]:,} {name}; cut it to {limit:,}, or move a part to "Going deeper"'


def cell_length(notebook: NotebookNode) -> Problems:
    """A visible cell has at most 25 lines; a folded one is folded in JupyterLab and on the page."""
    exempt = {cell.id for cell in part(notebook, "Set-up", "See it")}
    for cell in code_cells(notebook):
        if cell.id in exempt or EXERCISE_TAGS & set(tags(cell)):
            continue
        if not folded(cell) and lines(cell) > CELL_LINES:
            yield at(cell, f"shows {lines(cell)} lines; cut it to {CELL_LINES}, or fold what is not its one purpose")
        yield from folded_twice(cell)


def folded_twice(cell: NotebookNode) -> Problems:
    """What is folded on the page is folded in JupyterLab."""
    if FOLDED_TAG in tags(cell) and not cell.metadata.get("jupyter", {}).get("source_hidden"):
        yield at(cell, "is folded on the page and open in JupyterLab; set jupyter.source_hidden to true")


def set_up_folded(notebook: NotebookNode) -> Problems:
    """A reader of the page meets the chapter, not its imports."""
    for cell in part(notebook, "Set-up", "See it"):
        if cell.cell_type == "code":
            if not folded(cell):
                yield at(cell, f"shows the set-up; tag it {FOLDED_TAG}")
            yield from folded_twice(cell)


def prose_before_code(notebook: NotebookNode) -> Problems:
    """A sentence or two stand directly before every code cell, the set-up and the exercises apart."""
    exempt = {cell.id for cell in part(notebook, "Set-up", "See it")}
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type != "code" or cell.id in exempt or EXERCISE_TAGS & set(tags(cell)):
            continue
        if before.cell_type != "markdown" or not words(before):
            yield at(cell, "follows code; say in a sentence before it what it is for and what to look for")


def diagram(notebook: NotebookNode) -> Problems:
    """A diagram of the mechanism stands before the first displayed formula of the core path."""
    drawing = [cell.id for cell in drawing_cells(notebook)]
    for cell in core(notebook):
        if cell.cell_type == "code" and DIAGRAM_TAG in tags(cell):
            if cell.id not in drawing:
                yield at(cell, f"is tagged {DIAGRAM_TAG} and draws nothing; use bookkit.diagrams")
            return
        if cell.cell_type == "markdown" and "$$" in cell.source:
            yield at(
                cell, f"holds a formula before any diagram; draw the mechanism above it, in a cell tagged {DIAGRAM_TAG}"
            )
            return
    yield f"no cell of the core path is tagged {DIAGRAM_TAG}; draw how the mechanism works"


def paragraphs(notebook: NotebookNode) -> Problems:
    """No paragraph above 120 words, and at most one parenthesis in each; citations do not count."""
    for cell in markdown_cells(notebook):
        source = re.sub(r"\[[^\]]*\]\(\.\./book/references\.md#\w+\)", "", cell.source)
        for token in markdown.parse(source):
            if token.type != "inline":
                continue
            text = re.sub(r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)", "", token.content)
            if len(text.split()) > PARAGRAPH_WORDS:
                yield at(cell, f'has a paragraph of {len(text.split())} words ("{text[:40]}…"); split it')
            if text.count("(") > 1:
                yield at(cell, f'has {text.count("(")} parentheses in a paragraph ("{text[:40]}…"); keep one')


def going_deeper(notebook: NotebookNode) -> Problems:
    """Each section of "Going deeper" says in its first sentence, in italics, whom it serves: "*For …*"."""
    text = "\n\n".join(c.source for c in part(notebook, "Going deeper") if c.cell_type == "markdown")
    names = [name for level, name in headings(text) if level == 3]
    if not names:
        yield 'nothing stands below "## Going deeper"; give it a "### Section" a subject'
    for name in names:
        if not text_below(text, name, 3).lstrip().startswith("*For "):
            yield f'"### {name}" does not say whom it serves; begin it with a sentence "*For readers who …*"'


def five_exercises(notebook: NotebookNode) -> Problems:
    """Five exercises: predict, explain, two of code, one open."""
    try:
        kinds = sorted(task.kind for task in tasks(notebook))
    except BookError as error:
        yield str(error)
        return
    if tuple(kinds) != KINDS:
        yield f"the exercises are of the kinds {', '.join(kinds)}; give it one predict, one explain, two code, one open"


def standard_words(notebook: NotebookNode) -> Problems:
    """Code and prose use the field's term from its first mention."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            used = {node.id for node in ast.walk(tree(cell)) if isinstance(node, ast.Name)}
            used |= {node.arg for node in ast.walk(tree(cell)) if isinstance(node, ast.arg)}
            found = {word: term for word, term in (NOT_IN_CODE | NOT_IN_PROSE).items() if word in used}
        else:
            text = " ".join(Page(cell.source).blocks).lower()
            found = {word: term for word, term in NOT_IN_PROSE.items() if re.search(rf"\b{word}\b", text)}
        for word, term in found.items():
            yield at(cell, f'says "{word}"; write {term}')


def tables(notebook: NotebookNode) -> Problems:
    """A table is a data frame: nothing is aligned by hand over several prints."""
    for cell in code_cells(notebook):
        for call in calls([tree(cell)]):
            if getattr(call.func, "id", "") == "print" and any(keyword.arg == "end" for keyword in call.keywords):
                yield at(cell, "prints a line in pieces (end=…); show a table with figures.table(frame, caption)")


RULES = (
    sections,
    core_size,
    cell_length,
    set_up_folded,
    prose_before_code,
    diagram,
    paragraphs,
    going_deeper,
    five_exercises,
    standard_words,
    tables,
)
