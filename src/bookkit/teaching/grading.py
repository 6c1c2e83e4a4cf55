"""Grading: answers run against the checks of a chapter, in a Python process of their own."""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from nbformat import NotebookNode

from bookkit.notebooks import read, tags
from bookkit.teaching.exercises import NEEDED_TAG, Exercise, exercises

PASSED, FAILED, CRASHED = "passed", "failed", "crashed"


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
        return self.status == PASSED


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
    """Run a student's answers against the chapter's own checks, whatever the copy's checks say now.

    An answer stands alone in its cell, as in the chapter: where it uses a name that another cell of the student's
    notebook defines, the outcome's message says so.
    """
    chapter = Path(chapter)
    original, handed_in = read(chapter), read(student)
    answers = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell.source for cell in handed_in.cells}
    runs = [
        (exercise, answers.get(exercise.solution.metadata.nbgrader.grade_id, exercise.starter))
        for exercise in exercises(original, chapter.name)
    ]
    return [_with_reason(outcome, handed_in) for outcome in run_exercises(original, runs, chapter.parent, timeout)]


def _with_reason(outcome: Outcome, handed_in: NotebookNode) -> Outcome:
    """The outcome; where a name was missing that another cell defines, with a message that says what to do."""
    missing = re.search(r"NameError: name '(\w+)' is not defined", outcome.message)
    sources = [cell.source for cell in handed_in.cells if cell.cell_type == "code"]
    if not missing or not any(missing[1] in _defined(source) for source in sources):
        return outcome
    advice = f"the answer uses the name {missing[1]} from another cell: copy its definition into the answer's cell"
    return replace(outcome, message=advice)


def _defined(source: str) -> set[str]:
    """The names that a cell defines: functions, classes, imports, variables."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        statements = ast.parse(TransformerManager().transform_cell(source)).body
    except SyntaxError:
        return set()
    found, definitions = set(), (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for statement in statements:
        for node in [statement] if isinstance(statement, definitions) else ast.walk(statement):
            if isinstance(node, definitions):
                found.add(node.name)
            elif isinstance(node, ast.alias):
                found.add(node.asname or node.name.partition(".")[0])
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def verdict(status: str, message: str = "", examples=(), kinds=()) -> dict:
    """What the worker process says of one answer: the fields of an :class:`Outcome`, as JSON holds them."""
    return {"status": status, "message": message[:2000], "examples": list(examples), "kinds": list(kinds)}


def _in_a_process(needed: list[str], runs: list[dict], folder: str | Path, timeout: int) -> list[dict]:
    """Hand the job to a fresh interpreter (:mod:`bookkit.teaching.worker`) and read back what it found."""
    quiet = {"MPLBACKEND": "agg", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        job, answer = Path(scratch, "job.json"), Path(scratch, "answer.json")
        job.write_text(json.dumps({"needed": needed, "runs": runs, "timeout": timeout}), encoding="utf-8")
        try:
            subprocess.run(
                [sys.executable, "-m", "bookkit.teaching.worker", str(job), str(answer)],
                cwd=folder,
                env=os.environ | quiet | {"IPYTHONDIR": scratch},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=timeout * (len(runs) + 1),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [verdict(CRASHED, f"no end after {timeout} s")] * len(runs)
        if not answer.exists():
            return [verdict(CRASHED, "a cell that the exercises need ended the Python process")] * len(runs)
        return json.loads(answer.read_text(encoding="utf-8"))


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
