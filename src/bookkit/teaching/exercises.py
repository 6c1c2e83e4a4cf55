"""Exercises as a chapter holds them.

The cells follow nbgrader's conventions (metadata ``nbgrader`` and the marker comments), so that nbgrader
reads a chapter as it is. An exercise is four things in this order:

* the *task*: Markdown that starts ``### Exercise 1. Title``, marked ``bookkit.role = "task"``, with the
  *starter* in its one ``python`` fence (a function with doctest examples that raises NotImplementedError);
* the *solution*: a code cell with ``grade_id`` "<id>-solution" and the lines a student would write between
  ``### BEGIN SOLUTION`` and ``### END SOLUTION``;
* the *check*: a code cell with ``grade_id`` "<id>-check" that asserts.

Cells that exercises build on carry the tag ``needed-by-exercises`` and stand above the first exercise.

A *written* exercise asks for words, a prediction or an open piece of work. It is a task alone, with
``bookkit.kind`` one of `WRITTEN`; a folded ``<details class="answer">`` holds the answer or an example of one,
and whatever is to be marked has a folded ``<details class="rubric">``.
"""

import ast
import doctest
import re
from dataclasses import dataclass

from nbformat import NotebookNode

from bookkit.errors import BookError
from bookkit.notebooks import tags

NEEDED_TAG = "needed-by-exercises"
WRITTEN = ("predict", "explain", "open")
ANSWER = re.compile(r'<details class="answer">.*?</details>\n*', re.DOTALL)
RUBRIC = '<details class="rubric">'

_TASK = re.compile(r"### Exercise (\d+)\. (\S.*)")
_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARKER = re.compile(r"### (BEGIN|END) (SOLUTION|HIDDEN TESTS)")


@dataclass(frozen=True)
class Exercise:
    """One exercise of a chapter: its three cells and what is read from them."""

    id: str
    number: int
    title: str
    task: NotebookNode
    starter: str
    solution: NotebookNode
    check: NotebookNode
    examples: tuple[doctest.Example, ...]


@dataclass(frozen=True)
class Task:
    """What an exercise asks: its Markdown cell, and its kind ("code", or one of `WRITTEN`)."""

    id: str
    number: int
    title: str
    kind: str
    cell: NotebookNode


def tasks(notebook: NotebookNode, name: str = "the notebook") -> list[Task]:
    """What all exercises of a chapter ask, in order; BookError names the first cell that breaks the conventions."""
    found = []
    for cell in notebook.cells:
        said = cell.metadata.get("bookkit", {})
        if said.get("role") != "task":
            continue
        number, title = _heading(cell, name)
        if number != len(found) + 1:
            raise _broken(name, cell, f"is exercise {number} in place {len(found) + 1}; number them in order")
        if not said.get("exercise"):
            raise _broken(name, cell, 'has no id; add "exercise" to its "bookkit" metadata')
        kind = said.get("kind", "code")
        if kind not in ("code", *WRITTEN):
            raise _broken(name, cell, f'is of the kind "{kind}"; choose code, {", ".join(WRITTEN)}')
        if kind == "predict" and not ANSWER.search(cell.source):
            raise _broken(name, cell, 'asks to predict and has no folded <details class="answer">; add it')
        if kind in ("explain", "open") and RUBRIC not in cell.source:
            raise _broken(name, cell, f"asks for words and has no folded {RUBRIC}; add it")
        found.append(Task(said["exercise"], number, title, kind, cell))
    return found


def exercises(notebook: NotebookNode, name: str = "the notebook") -> list[Exercise]:
    """The exercises of a chapter that a check marks; BookError names the first cell that breaks the conventions."""
    graded = _graded_cells(notebook, name)
    position = {cell.id: index for index, cell in enumerate(notebook.cells)}
    asked = tasks(notebook, name)
    found = []
    for one in asked:
        if one.kind in WRITTEN:
            continue
        task, key = one.cell, one.id
        solution = graded.pop(f"{key}-solution", None)
        check = graded.pop(f"{key}-check", None)
        for part, cell in (("solution", solution), ("check", check)):
            if cell is None:
                raise _broken(name, task, f'has no {part} cell; add one with the grade_id "{key}-{part}"')
        if not position[task.id] < position[solution.id] < position[check.id]:
            raise _broken(name, task, "is out of order; put task, solution and check in this order")
        _require_markers(solution, name)
        starter = _starter(task, name)
        examples = tuple(_examples(starter))
        if len(examples) < 2:
            raise _broken(name, task, "shows fewer than two examples; add doctests to the starter's docstring")
        found.append(Exercise(key, one.number, one.title, task, starter, solution, check, examples))
    for cell in graded.values():
        raise _broken(name, cell, "belongs to no exercise; name it after a task or drop its nbgrader metadata")
    if asked:
        for cell in notebook.cells[position[asked[0].cell.id] :]:
            if NEEDED_TAG in tags(cell):
                raise _broken(name, cell, f"carries {NEEDED_TAG} below the first exercise; move it above")
    return found


def _broken(name: str, cell: NotebookNode, problem: str) -> BookError:
    return BookError(f"{name}: cell {cell.id} {problem}.")


def _graded_cells(notebook: NotebookNode, name: str) -> dict[str, NotebookNode]:
    """Cells with nbgrader metadata by grade_id, and no marker anywhere else."""
    graded = {}
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader")
        if meta is None:
            if cell.cell_type == "code" and _MARKER.search(cell.source):
                raise _broken(name, cell, "has solution or test markers but no nbgrader metadata; add it")
            continue
        key = meta.get("grade_id", "")
        if key in graded:
            raise _broken(name, cell, f'uses the grade_id "{key}" of another cell; give it its own')
        cut(cell, "HIDDEN TESTS", name)
        graded[key] = cell
    return graded


def _heading(task: NotebookNode, name: str) -> tuple[int, str]:
    match = _TASK.match(task.source)
    if not match:
        raise _broken(name, task, 'is a task without its heading; start it with "### Exercise 1. Title"')
    return int(match[1]), match[2].strip()


def _require_markers(solution: NotebookNode, name: str) -> None:
    if not solution.metadata.nbgrader.get("solution"):
        raise _broken(name, solution, 'is a solution that nbgrader does not see; set "solution" to true')
    if "### BEGIN SOLUTION" not in solution.source:
        raise _broken(name, solution, 'has no "### BEGIN SOLUTION"; add it above what a student writes')
    cut(solution, "SOLUTION", name)


def cut(cell: NotebookNode, region: str, name: str) -> str:
    """The source of a cell without a region.

    Args:
        cell: the cell.
        region: "SOLUTION" or "HIDDEN TESTS": what stands between ``### BEGIN region`` and ``### END region``.
        name: of the notebook, for the sentence that tells what is wrong.

    Raises:
        BookError: a marker has no partner.
    """
    kept, inside = [], False
    for line in cell.source.split("\n"):
        if f"BEGIN {region}" in line:
            if inside:
                raise _broken(name, cell, f'opens "### BEGIN {region}" twice; close the first one')
            inside = True
        elif f"END {region}" in line:
            if not inside:
                raise _broken(name, cell, f'has no "### BEGIN {region}" above "### END {region}"; add it')
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise _broken(name, cell, f'never closes "### BEGIN {region}"; add "### END {region}"')
    return "\n".join(kept).rstrip("\n")


def _starter(task: NotebookNode, name: str) -> str:
    fences = _FENCE.findall(task.source)
    if len(fences) != 1:
        raise _broken(name, task, f"has {len(fences)} python fences; put the starter code into exactly one")
    try:
        tree = ast.parse(fences[0])
    except SyntaxError as error:
        raise _broken(name, task, f"has a starter that is not Python (line {error.lineno}); correct it") from None
    raised = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    if not any("NotImplementedError" in text for text in raised):
        raise _broken(name, task, 'has a starter that does not say "raise NotImplementedError"; add it')
    return fences[0].rstrip("\n")


def _examples(starter: str) -> list[doctest.Example]:
    documented = (ast.FunctionDef, ast.ClassDef)
    docstrings = [ast.get_docstring(node) for node in ast.walk(ast.parse(starter)) if isinstance(node, documented)]
    parser = doctest.DocTestParser()
    return [example for text in docstrings if text for example in parser.get_examples(text)]
