"""Student copies: a chapter in which the answers are still to be written."""

from pathlib import Path

from nbformat import NotebookNode

from bookkit.errors import BookError
from bookkit.files import write_text
from bookkit.notebooks import dumps, read, stripped, tags
from bookkit.teaching.exercises import ANSWER, NEEDED_TAG, WRITTEN, Exercise, cut, exercises, tasks

SOLUTION_TAGS = ("hide-input", "exercise-solution")
ANSWER_TAG = "exercise-answer"
YOUR_ANSWER = "*Your answer, in this cell:*"
SETUP_HEADING = "## Set-up"
EXERCISES_HEADING = "## Exercises"


def student_copy(path: str | Path, out: str | Path | None = None, handout: bool = False) -> Path:
    """Write the copy of a chapter that students get, and return where it is.

    Solutions become starters; outputs, hidden tests and the answers of written exercises go. With `handout`,
    only the title, the set-up, the cells that exercises need and the exercises themselves stay. The copy belongs
    beside the chapter, where its links lead somewhere; it goes to ``_build/student/`` unless `out` says otherwise: a
    notebook's name, or a folder, which is made where it is missing. A copy that somebody has worked in is never
    overwritten.
    """
    path = Path(path)
    notebook = read(path)
    found = exercises(notebook, path.name)
    if not found:
        raise BookError(f"{path.name} has no exercises to make a student copy of; choose another chapter.")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    for exercise in found:
        _blank(exercise.solution, exercise.starter)
        exercise.check.source = cut(exercise.check, "HIDDEN TESTS", path.name)
    for task in tasks(notebook, path.name):
        if task.kind in WRITTEN:
            task.cell.source = f"{ANSWER.sub('', task.cell.source).rstrip()}\n\n{YOUR_ANSWER}"
    if handout:
        notebook.cells = _handout_cells(notebook.cells, found)
    text = dumps(stripped(notebook, path.name))

    target = Path(out) if out else _root_of(path) / "_build" / "student" / path.name
    if target.suffix != ".ipynb" or target.is_dir():
        target = target / path.name
    if target.exists() and target.read_bytes() != text.encode():
        raise BookError(f"{target} exists and is not a fresh copy; move or delete it, or name another file.")
    write_text(target, text)
    return target


def _root_of(path: Path) -> Path:
    """The folder of the book that a notebook belongs to; the notebook's own where there is none."""
    parents = path.resolve().parents
    return next((folder for folder in parents if (folder / "_toc.yml").is_file()), parents[0])


def _blank(solution: NotebookNode, starter: str) -> None:
    """Turn a solution cell into the cell a student writes in: open, visible, editable."""
    solution.source = starter
    for key in ("cellView", "jupyter"):
        solution.metadata.pop(key, None)
    solution.metadata.tags = [tag for tag in tags(solution) if tag not in SOLUTION_TAGS] + [ANSWER_TAG]


def _handout_cells(cells: list[NotebookNode], found: list[Exercise]) -> list[NotebookNode]:
    wanted = {cells[0].id} | {cell.id for cell in cells if NEEDED_TAG in tags(cell)}
    wanted |= {part.id for exercise in found for part in (exercise.solution, exercise.check)}
    wanted |= {cell.id for cell in cells if cell.metadata.get("bookkit", {}).get("role") == "task"}
    wanted |= {cell.id for cell in cells if cell.source.startswith(EXERCISES_HEADING)}
    inside = False
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            inside = cell.source.startswith(SETUP_HEADING)
        if inside:
            wanted.add(cell.id)
    return [cell for cell in cells if cell.id in wanted]
