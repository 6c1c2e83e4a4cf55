"""Exercises: finding them in a chapter, making student copies, running answers against the checks.

The cells follow nbgrader's conventions (metadata ``nbgrader`` and the marker comments), so that nbgrader
reads a chapter as it is. An exercise is four things in this order:

* the *task*: Markdown that starts ``### Exercise 1. Title``, marked ``bookkit.role = "task"``, with the
  *starter* in its one ``python`` fence (a function with doctest examples that raises NotImplementedError);
* the *solution*: a code cell with ``grade_id`` "<id>-solution" and the lines a student would write between
  ``### BEGIN SOLUTION`` and ``### END SOLUTION``;
* the *check*: a code cell with ``grade_id`` "<id>-check" that asserts.

Cells that exercises build on carry the tag ``needed-by-exercises`` and stand above the first exercise.
"""

import ast
import doctest
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from bookkit.errors import BookError
from bookkit.notebooks import dumps, read, stripped, tags, write_text

NEEDED_TAG = "needed-by-exercises"
SOLUTION_TAGS = ("hide-input", "exercise-solution")
ANSWER_TAG = "exercise-answer"
SETUP_HEADING = "## Set-up"
EXERCISES_HEADING = "## Exercises"

_TASK = re.compile(r"### Exercise (\d+)\. (\S.*)")
_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARKER = re.compile(r"### (BEGIN|END) (SOLUTION|HIDDEN TESTS)")
_PASSED, _FAILED, _CRASHED = "passed", "failed", "crashed"


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
class Outcome:
    """What became of one answer.

    `status` is "passed"; "failed" where an assertion of the check did not hold; "crashed" for everything
    else (an exception, an empty answer, no end in time). `examples` says for each doctest example of the
    task whether the answer agrees with it, `kinds` what type of value it gave there.
    """

    exercise: str
    status: str
    message: str = ""
    examples: tuple[bool, ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the check found nothing wrong."""
        return self.status == _PASSED


# Reading ---------------------------------------------------------------------------------------------


def exercises(notebook: NotebookNode, name: str = "the notebook") -> list[Exercise]:
    """All exercises of a chapter in order; BookError names the first cell that breaks the conventions."""
    graded = _graded_cells(notebook, name)
    position = {cell.id: index for index, cell in enumerate(notebook.cells)}
    found = []
    for task in notebook.cells:
        if task.metadata.get("bookkit", {}).get("role") != "task":
            continue
        number, title = _heading(task, name)
        if number != len(found) + 1:
            raise _broken(name, task, f"is exercise {number} in place {len(found) + 1}; number them in order")
        key = task.metadata.bookkit.get("exercise")
        if not key:
            raise _broken(name, task, 'has no id; add "exercise" to its "bookkit" metadata')
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
            raise _broken(
                name, task, "shows fewer than two examples; add doctests to the starter's docstring"
            )
        found.append(Exercise(key, number, title, task, starter, solution, check, examples))
    for cell in graded.values():
        raise _broken(
            name, cell, "belongs to no exercise; name it after a task or drop its nbgrader metadata"
        )
    if found:
        for cell in notebook.cells[position[found[0].task.id] :]:
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
        _cut(cell, "HIDDEN TESTS", name)
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
    _cut(solution, "SOLUTION", name)


def _cut(cell: NotebookNode, region: str, name: str) -> str:
    """The source without the lines between ``### BEGIN region`` and ``### END region``."""
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
        raise _broken(
            name, task, f"has a starter that is not Python (line {error.lineno}); correct it"
        ) from None
    raised = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    if not any("NotImplementedError" in text for text in raised):
        raise _broken(name, task, 'has a starter that does not say "raise NotImplementedError"; add it')
    return fences[0].rstrip("\n")


def _examples(starter: str) -> list[doctest.Example]:
    documented = (ast.FunctionDef, ast.ClassDef)
    docstrings = [
        ast.get_docstring(node) for node in ast.walk(ast.parse(starter)) if isinstance(node, documented)
    ]
    parser = doctest.DocTestParser()
    return [example for text in docstrings if text for example in parser.get_examples(text)]


# Student copies --------------------------------------------------------------------------------------


def student_copy(path: str | Path, out: str | Path | None = None, handout: bool = False) -> Path:
    """Write the copy of a chapter that students get, and return where it is.

    Solutions become starters, outputs and hidden tests go. With `handout`, only the title, the set-up, the
    cells that exercises need and the exercises themselves stay. The copy belongs beside the chapter, where
    its links lead somewhere; it goes to ``_build/student/`` unless `out` says otherwise. A copy that
    somebody has worked in is never overwritten.
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
        exercise.check.source = _cut(exercise.check, "HIDDEN TESTS", path.name)
    if handout:
        notebook.cells = _handout_cells(notebook.cells, found)
    text = dumps(stripped(notebook, path.name))

    target = Path(out) if out else _root_of(path) / "_build" / "student" / path.name
    if target.is_dir():
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
    wanted |= {part.id for exercise in found for part in (exercise.task, exercise.solution, exercise.check)}
    wanted |= {cell.id for cell in cells if cell.source.startswith(EXERCISES_HEADING)}
    inside = False
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            inside = cell.source.startswith(SETUP_HEADING)
        if inside:
            wanted.add(cell.id)
    return [cell for cell in cells if cell.id in wanted]


# Running answers -------------------------------------------------------------------------------------


def run_exercise(
    notebook: NotebookNode, exercise: Exercise, source: str, folder: str | Path = ".", timeout: int = 60
) -> Outcome:
    """Run one answer in a Python process of its own: the needed cells, `source`, then the check."""
    return run_exercises(notebook, [(exercise, source)], folder, timeout)[0]


def run_exercises(
    notebook: NotebookNode,
    answers: list[tuple[Exercise, str]],
    folder: str | Path = ".",
    timeout: int = 60,
) -> list[Outcome]:
    """Run many answers, each from the same clean state: the cells tagged ``needed-by-exercises`` run once.

    `folder` is where the notebook lies, `timeout` the seconds that the needed cells, and then each answer,
    may take. This executes the code it is given on this machine: treat strangers' answers accordingly.
    """
    needed = [cell.source for cell in notebook.cells if NEEDED_TAG in tags(cell)]
    runs = [
        {
            "answer": source,
            "check": exercise.check.source,
            "examples": [(example.source, example.want, example.exc_msg) for example in exercise.examples],
        }
        for exercise, source in answers
    ]
    groups = [runs] if hasattr(os, "fork") else [[run] for run in runs]
    results = [result for group in groups for result in _in_a_process(needed, group, folder, timeout)]
    return [
        Outcome(exercise.id, **result | {key: tuple(result[key]) for key in ("examples", "kinds")})
        for (exercise, _), result in zip(answers, results, strict=True)
    ]


def grade(student: str | Path, chapter: str | Path, timeout: int = 60) -> list[Outcome]:
    """Run a student's answers against the chapter's own checks, whatever the copy's checks say now."""
    chapter = Path(chapter)
    original = read(chapter)
    answers = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell.source for cell in read(student).cells}
    handed_in = [
        (exercise, answers.get(exercise.solution.metadata.nbgrader.grade_id, exercise.starter))
        for exercise in exercises(original, chapter.name)
    ]
    return run_exercises(original, handed_in, chapter.parent, timeout)


def _result(status: str, message: str = "", examples=(), kinds=()) -> dict:
    return {"status": status, "message": message[:2000], "examples": list(examples), "kinds": list(kinds)}


def _in_a_process(needed: list[str], runs: list[dict], folder: str | Path, timeout: int) -> list[dict]:
    """Hand the job to a fresh interpreter (this module run as a script) and read back what it found."""
    quiet = {"MPLBACKEND": "agg", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        job, answer = Path(scratch, "job.json"), Path(scratch, "answer.json")
        job.write_text(json.dumps({"needed": needed, "runs": runs, "timeout": timeout}), encoding="utf-8")
        try:
            subprocess.run(
                [sys.executable, "-m", "bookkit.teaching", str(job), str(answer)],
                cwd=folder,
                env=os.environ | quiet | {"IPYTHONDIR": scratch},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=timeout * (len(runs) + 1),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [_result(_CRASHED, f"no end after {timeout} s")] * len(runs)
        if not answer.exists():
            return [_result(_CRASHED, "a cell that the exercises need ended the Python process")] * len(runs)
        return json.loads(answer.read_text(encoding="utf-8"))


def _work(job_path: str, answer_path: str) -> None:
    """The other side of `_in_a_process`: run the needed cells once, then every answer from that state."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        def enable_gui(self, gui=None):
            """Figures need no window here."""

    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    config = Config()
    config.HistoryManager.enabled = False
    shell = Shell.instance(config=config)
    results = None
    for source in job["needed"]:
        if error := _run(shell, source):
            message = f"in a cell that the exercises need: {_told(error)}"
            results = [_result(_CRASHED, message)] * len(job["runs"])
            break
    if results is None:
        attempt = _forked if hasattr(os, "fork") else _attempt
        results = [attempt(shell, run, job["timeout"]) for run in job["runs"]]
    Path(answer_path).write_text(json.dumps(results), encoding="utf-8")


def _run(shell, source: str) -> BaseException | None:
    """Run one cell as a notebook would, magics included; return what it raised."""
    result = shell.run_cell(source, store_history=False, silent=True)
    return result.error_before_exec or result.error_in_exec


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _forked(shell, run: dict, timeout: int) -> dict:
    """`_attempt` in a fork of this process, so that no answer sees what another one left behind."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(timeout)  # the system ends the fork, whatever it is doing
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)  # a fork has none of its parent's worker threads
        try:
            os.write(theirs, json.dumps(_attempt(shell, run, timeout)).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        report = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return _result(_CRASHED, f"no end after {timeout} s")
    return json.loads(report) if report else _result(_CRASHED, "the Python process ended early")


def _attempt(shell, run: dict, timeout: int) -> dict:
    """Run answer and check in a shell that has the needed cells behind it, then the task's examples."""
    if error := _run(shell, run["answer"]):
        return _result(_CRASHED, _told(error))
    error = _run(shell, run["check"])
    tried = [_try_example(*example, shell.user_ns) for example in run["examples"]]
    agrees, kinds = zip(*tried, strict=True) if tried else ((), ())
    if error is None:
        return _result(_PASSED, "", agrees, kinds)
    if isinstance(error, AssertionError):
        return _result(_FAILED, str(error), agrees, kinds)
    return _result(_CRASHED, _told(error), agrees, kinds)


def _try_example(source: str, want: str, raises: str | None, namespace: dict) -> tuple[bool, str]:
    """Whether a doctest example shows what it promises, and the kind of value it gave."""
    shown, printed = [], io.StringIO()

    def show(value):
        if value is not None:
            shown.append(value)
            print(repr(value))

    before, sys.displayhook = sys.displayhook, show
    try:
        with redirect_stdout(printed):
            exec(compile(source, "<example>", "single"), namespace)
    except Exception as error:
        return raises == "".join(traceback.format_exception_only(error)), type(error).__name__
    finally:
        sys.displayhook = before
    agrees = doctest.OutputChecker().check_output(want, printed.getvalue(), 0)
    return raises is None and agrees, kind(shown[-1]) if shown else "None"


def kind(value: object) -> str:
    """The type of a value in words that are equal where type and shape are: ``list[str]``, ``Tensor(2, 3)``.

    An empty container's elements are unknown (``list[?]``); NumPy numbers count as Python's.
    """
    if hasattr(value, "shape") and hasattr(value, "dtype") and tuple(value.shape):
        return f"{type(value).__name__}{tuple(value.shape)}"
    if isinstance(value, list | set | frozenset):
        inside = "|".join(sorted({kind(item) for item in value})) or "?"
        return f"{type(value).__name__}[{inside}]"
    if isinstance(value, tuple):
        inside = [kind(item) for item in value]
        return f"tuple[{', '.join(inside)}]" if len(set(inside)) > 1 else f"tuple[{(inside or '?')[0]}, ...]"
    if isinstance(value, dict):
        return f"dict[{kind(set(value))[4:-1]}: {kind(list(value.values()))[5:-1]}]"
    number = re.fullmatch(r"(bool|int|float)[\d_]*", type(value).__name__)
    return number[1] if number else type(value).__name__


if __name__ == "__main__":
    _work(*sys.argv[1:])
