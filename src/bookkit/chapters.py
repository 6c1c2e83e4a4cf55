"""The chapters of the book, as their notebooks describe themselves in ``metadata.bookkit.chapter``.

Number, title, hours, the earlier chapters that are needed and one sentence stand there and nowhere else;
:mod:`bookkit.lists` writes them wherever chapters are listed.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from bookkit import notebooks
from bookkit.errors import BookError

WORDS_A_MINUTE = 200
LINES_A_MINUTE = 8
FIRST_WORDS, FIRST_LINES = 150, 10  # of a chapter in its first edition, which is read in full, folded cells too

_KINDS = {"number": int, "title": str, "hours": (int, float), "needs": list, "description": str}
_OUTCOMES = "## You will be able to"
_HEADING = re.compile(r"(?m)^## ([^:\n]+)")
_FOLDED = {"hide-input", "hide-cell", "remove-input"}
_EXERCISE_CODE = {"exercise-solution", "exercise-check"}


@dataclass(frozen=True)
class Chapter:
    """What a notebook says about itself.

    Attributes:
        path: the notebook.
        number: the chapter's number, with which the file name begins.
        title: its short title, with which the notebook's heading begins.
        hours: the time that reading and running it takes, see `estimated_hours`.
        needs: the numbers of earlier chapters that it builds on.
        description: one sentence on what it is about.
        outcomes: what a reader can do afterwards, from the list below "You will be able to".
    """

    path: Path
    number: int
    title: str
    hours: float
    needs: tuple[int, ...]
    description: str
    outcomes: tuple[str, ...]


def read(root: str | Path) -> list[Chapter]:
    """The chapters below ``notebooks/``, in the order of their numbers.

    Raises:
        BookError: a notebook cannot be read, or does not describe itself in full.
    """
    found = [of(path, notebooks.read(path)) for path in sorted(Path(root).glob("notebooks/*.ipynb"))]
    for chapter in found:
        if any(need >= chapter.number for need in chapter.needs):
            raise BookError(f"{chapter.path.name} needs a chapter that is not earlier: correct its metadata.")
    return sorted(found, key=lambda chapter: chapter.number)


def of(path: Path, notebook: NotebookNode) -> Chapter:
    """What one notebook says about itself.

    Raises:
        BookError: a part is missing or of another kind, or the file's name has another number.
    """
    told = notebook.metadata.get("bookkit", {}).get("chapter", {})
    wrong = [key for key, kind in _KINDS.items() if not isinstance(told.get(key), kind) or told[key] == ""]
    if wrong:
        raise BookError(f"{path.name} says too little about itself: give metadata.bookkit.chapter {', '.join(wrong)}.")
    if not path.name.startswith(f"{told['number']:02d}_"):
        raise BookError(f"{path.name} calls itself chapter {told['number']}: let the name begin with that number.")
    return Chapter(
        path, **{**{key: told[key] for key in _KINDS}, "needs": tuple(told["needs"])}, outcomes=_outcomes(notebook)
    )


def _outcomes(notebook: NotebookNode) -> tuple[str, ...]:
    """The list below "You will be able to", without links and final signs."""
    cell = next((c.source for c in notebook.cells if c.cell_type == "markdown" and _OUTCOMES in c.source), "")
    section = cell.partition(_OUTCOMES)[2].partition("\n## ")[0]
    items = re.findall(r"(?ms)^- (.*?)(?=\n- |\n\n|\Z)", section)
    return tuple(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(item.split())).rstrip(".;") for item in items)


def edition(notebook: NotebookNode) -> int:
    """1, or 2 for a chapter whose core path is kept short (CONTRIBUTING.md, "Write")."""
    return notebook.metadata.get("bookkit", {}).get("chapter", {}).get("edition", 1)


def part(notebook: NotebookNode, first: str, last: str | None = None) -> list[NotebookNode]:
    """The cells from the one with the heading ``## first`` down to the one before that with ``## last``."""
    found, inside = [], False
    for cell in notebook.cells:
        names = _HEADING.findall(cell.source) if cell.cell_type == "markdown" else []
        if last in names:
            break
        inside |= first in names
        if inside:
            found.append(cell)
    return found


def core(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells of the core path of a second edition: all but the set-up, the exercises and "Going deeper"."""
    apart = [*part(notebook, "Set-up", "See it"), *part(notebook, "Exercises")]
    ids = {cell.id for cell in apart}
    return [cell for cell in notebook.cells if cell.id not in ids]


def folded(cell: NotebookNode) -> bool:
    """Whether a reader meets only what a code cell shows."""
    return bool(_FOLDED & set(notebooks.tags(cell)))


def lines(cell: NotebookNode) -> int:
    """The lines of a cell that are not empty."""
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def minutes(words: int, visible_lines: int) -> int:
    """What reading takes: 200 words of text and eight lines of code a minute."""
    return round(words / WORDS_A_MINUTE + visible_lines / LINES_A_MINUTE)


def estimated_hours(notebook: NotebookNode) -> float:
    """The hours that a chapter's core path takes, to the quarter of an hour; see `minutes`.

    A chapter in its first edition has no core path: all its text and code count, except solutions and checks, at 150
    words and ten lines a minute, to the half hour. The time for doing the exercises is not counted.
    """
    cells = core(notebook) if edition(notebook) == 2 else notebook.cells
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    code = [c for c in cells if c.cell_type == "code" and not _EXERCISE_CODE & set(notebooks.tags(c))]
    if edition(notebook) == 2:
        return max(1, round(minutes(words, sum(lines(c) for c in code if not folded(c))) / 15)) / 4
    return max(1, round((words / FIRST_WORDS + sum(map(lines, code)) / FIRST_LINES) / 30)) / 2
