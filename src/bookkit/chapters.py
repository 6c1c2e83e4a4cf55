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

WORDS_A_MINUTE = 150
LINES_A_MINUTE = 10

_KINDS = {"number": int, "title": str, "hours": (int, float), "needs": list, "description": str}
_OUTCOMES = "## You will be able to"
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


def estimated_hours(notebook: NotebookNode) -> float:
    """The hours that a chapter takes, to the half hour: 150 words of its text and ten lines of its code a minute.

    The code of solutions and checks is not counted, nor is the time for doing the exercises.
    """
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    code = [c for c in notebook.cells if c.cell_type == "code" and not _EXERCISE_CODE & set(notebooks.tags(c))]
    lines = sum(bool(line.strip()) for cell in code for line in cell.source.splitlines())
    return max(1, round((words / WORDS_A_MINUTE + lines / LINES_A_MINUTE) / 30)) / 2
