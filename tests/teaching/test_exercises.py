"""Exercises grade: the solution passes, the blank fails, every listed wrong answer is caught by an assertion.

Wrong answers stand in wrong_answers/NAME.yml, NAME being the chapter: a list of {exercise, misconception,
code}, three or more for each exercise. Each is plausible: it gives the type that the solution gives, and
agrees with at least one example that the reader sees.
"""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from conftest import MINI, listed_chapters
from nbformat import NotebookNode

from bookkit import notebooks, teaching
from bookkit.teaching.exercises import ANSWER

WRONG_ANSWERS = Path(__file__).parent / "wrong_answers"
KEYS = ("exercise", "misconception", "code")
AT_LEAST = 3
SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.*?)\n[^\n]*### END SOLUTION", re.DOTALL)
HIDDEN_TESTS = re.compile(r"(?m)^.*### BEGIN HIDDEN TESTS(?:.|\n)*?### END HIDDEN TESTS.*\n?")


def wrong_answers(path: Path) -> list[dict]:
    """The listed wrong answers of a chapter."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else []


def listing_problems(found: list[teaching.Exercise], listed: list[dict]) -> list[str]:
    """What is wrong with a list of wrong answers before anything runs."""
    problems = []
    for number, entry in enumerate(listed, 1):
        if set(entry) != set(KEYS) or not all(str(value).strip() for value in entry.values()):
            problems.append(f"wrong answer {number} needs exercise, misconception and code, and nothing else")
    counts = Counter(entry.get("exercise") for entry in listed)
    for name in counts.keys() - {exercise.id for exercise in found}:
        problems.append(f"wrong answers for {name}, but the chapter has no such exercise; correct the name")
    for exercise in found:
        if counts[exercise.id] < AT_LEAST:
            problems.append(f"{exercise.id} has {counts[exercise.id]} wrong answers; write {AT_LEAST} or more")
    codes = Counter(str(entry.get("code")).strip() for entry in listed)
    problems += [f"the same wrong answer stands {n} times: {code[:40]}" for code, n in codes.items() if n > 1]
    return problems


def same_kind(ours: str, theirs: str) -> bool:
    """Whether two kinds agree; of an empty container only the outside is known."""
    if "?" in ours or "?" in theirs:
        return ours.partition("[")[0] == theirs.partition("[")[0]
    return ours == theirs


def wrong_answer_problems(outcome: teaching.Outcome, solution: teaching.Outcome) -> list[str]:
    """Why an answer is no good wrong answer."""
    problems = []
    if outcome.status != "failed":
        problems.append(f"it {outcome.status} instead of failing an assertion ({outcome.message})")
    if not any(outcome.examples):
        problems.append("it agrees with no example of the task, so no reader would believe it")
    for ours, theirs in zip(outcome.kinds, solution.kinds, strict=False):
        if not same_kind(ours, theirs):
            problems.append(f"it gives {ours} where the solution gives {theirs}")
    return problems


def exercise_problems(path: Path, listed: list[dict]) -> list[str]:
    """Everything wrong with the exercises of one chapter; all answers share one interpreter."""
    notebook = notebooks.read(path)
    found = teaching.exercises(notebook, path.name)
    problems = listing_problems(found, listed)
    by_id = {exercise.id: exercise for exercise in found}
    listed = [entry for entry in listed if entry.get("exercise") in by_id]

    answers = [(exercise, exercise.solution.source) for exercise in found]
    answers += [(exercise, exercise.starter) for exercise in found]
    answers += [(by_id[entry["exercise"]], entry["code"]) for entry in listed]
    outcomes = teaching.run_exercises(notebook, answers, path.parent, timeout=120)
    count = len(found)
    solutions, blanks, wrong = outcomes[:count], outcomes[count : 2 * count], outcomes[2 * count :]

    for outcome in solutions:
        if not outcome.passed:
            problems.append(f"{outcome.exercise}: the solution {outcome.status} ({outcome.message})")
        if not all(outcome.examples):
            problems.append(f"{outcome.exercise}: the solution disagrees with an example of its own task")
    for outcome in blanks:
        if outcome.passed:
            problems.append(f"{outcome.exercise}: the check passes on the starter")
    by_exercise = {outcome.exercise: outcome for outcome in solutions}
    for entry, outcome in zip(listed, wrong, strict=True):
        for problem in wrong_answer_problems(outcome, by_exercise[outcome.exercise]):
            problems.append(f"{outcome.exercise}, wrong answer “{entry['misconception']}”: {problem}")
    return problems


def test_exercises(book_chapter):
    if problems := exercise_problems(book_chapter, wrong_answers(WRONG_ANSWERS / f"{book_chapter.stem}.yml")):
        pytest.fail("\n" + "\n".join(problems), pytrace=False)


def copy_problems(original: NotebookNode, copy: NotebookNode) -> list[str]:
    """What a student copy holds that it must not hold, or lacks. That starters fail is known from the chapter."""
    if [cell.id for cell in copy.cells] != [cell.id for cell in original.cells]:
        return ["its cells are not those of the chapter"]
    problems, before = [], {cell.id: cell for cell in original.cells}
    found = teaching.exercises(original)
    starters = {exercise.solution.id: exercise.starter for exercise in found}
    written = {task.cell.id: task.cell.source for task in teaching.tasks(original) if task.kind != "code"}
    for cell in copy.cells:
        if cell.get("outputs"):
            problems.append(f"{cell.id} keeps outputs")
        if cell.metadata.get("nbgrader") != before[cell.id].metadata.get("nbgrader"):
            problems.append(f"{cell.id} changed for nbgrader")
        if cell.id in starters:
            folded = cell.metadata.get("jupyter") or {"hide-input", "exercise-solution"} & set(notebooks.tags(cell))
            if folded or "exercise-answer" not in notebooks.tags(cell):
                problems.append(f"{cell.id} is no open cell for an answer")
        if cell.id in written:
            answer = ANSWER.search(written[cell.id])
            if answer and answer[0].strip() in cell.source:
                problems.append(f"{cell.id} holds the answer")
            if "Your answer" not in cell.source:
                problems.append(f"{cell.id} has no place for an answer")
            continue
        expected = starters.get(cell.id, HIDDEN_TESTS.sub("", before[cell.id].source).rstrip("\n"))
        if cell.source.rstrip("\n") != expected:
            problems.append(f"{cell.id} holds another text than it should")
        for exercise in found:
            answer = SOLUTION.search(exercise.solution.source)[1].strip()
            if answer in cell.source:
                problems.append(f"{cell.id} holds the solution of {exercise.id}")
    return problems


def test_a_student_copy_asks_and_does_not_answer(book_chapter, tmp_path):
    copy = teaching.student_copy(book_chapter, tmp_path / book_chapter.name)
    if problems := copy_problems(notebooks.read(book_chapter), notebooks.read(copy)):
        pytest.fail("\n" + "\n".join(problems), pytrace=False)


def test_every_list_belongs_to_a_chapter():
    stems = {path.stem for path in listed_chapters()}
    orphans = [path.name for path in WRONG_ANSWERS.glob("*.yml") if path.stem not in stems]
    assert not orphans, f"{orphans} match no notebook of _toc.yml; rename or delete them"


# The harness itself ----------------------------------------------------------------------------------

MINI_CHAPTER = MINI / "notebooks" / "01_mini.ipynb"
GOOD = [
    ("ex01-1", "capitals forgotten", "def vowels(text): return sum(letter in 'aeiou' for letter in text)"),
    ("ex01-1", "only the a", "def vowels(text): return text.count('a')"),
    ("ex01-1", "the y counts", "def vowels(text): return 3 if text == 'banana' else 4"),
    ("ex01-2", "the last wins", "def top(text): return max(text, key=lambda c: (text.count(c), c))"),
    ("ex01-2", "the first in the text wins", "def top(text): return max(text, key=text.count)"),
    ("ex01-2", "the first letter", "def top(text): return min(text)"),
    ("ex01-3", "shares of the alphabet", "def shares(text): return {c: 1 / len(set(text)) for c in text}"),
    ("ex01-3", "everything is one", "def shares(text): return {letter: 1.0 for letter in text}"),
    ("ex01-3", "halves", "def shares(text): return {letter: 0.5 for letter in text}"),
]
BAD = [
    (("ex01-1", "right", "def vowels(text): return sum(c in 'aeiouAEIOU' for c in text)"), "it passed"),
    (("ex01-1", "crash", "def vowels(text): return 3 if text == 'banana' else text / 2"), "it crashed"),
    (("ex01-1", "wild", "def vowels(text): return -1"), "it agrees with no example"),
    (("ex01-1", "type", "def vowels(text): return 3 if text == 'banana' else '2'"), "it gives str where"),
    (("ex01-9", "nowhere", "pass"), "wrong answers for ex01-9, but the chapter has no such exercise"),
    (("ex01-1", " ", "def vowels(text): return text.count('o') + 3"), "wrong answer 15 needs exercise"),
    (("ex01-1", "twice", GOOD[0][2]), "the same wrong answer stands 2 times"),
]


def mini_problems(entries):
    return exercise_problems(MINI_CHAPTER, [dict(zip(KEYS, entry, strict=True)) for entry in entries])


def test_a_good_list_passes():
    assert mini_problems(GOOD) == []


def test_bad_entries_are_told():
    problems = mini_problems(GOOD + [entry for entry, _ in BAD])
    for (_, misconception, _), told in BAD:
        where = f"“{misconception}”: " if told.startswith("it ") else ""
        assert any(f"{where}{told}" in problem for problem in problems), (told, problems)


def test_too_few_wrong_answers():
    found = teaching.exercises(notebooks.read(MINI_CHAPTER))
    listed = [dict(zip(KEYS, entry, strict=True)) for entry in GOOD[:-1]]
    assert listing_problems(found, listed) == ["ex01-3 has 2 wrong answers; write 3 or more"]


def broken(tmp_path, key, old, new):
    notebook = notebooks.read(MINI_CHAPTER)
    target = next(cell for cell in notebook.cells if cell.id == key)
    assert old in target.source
    target.source = target.source.replace(old, new)
    path = tmp_path / "broken.ipynb"
    path.write_text(notebooks.dumps(notebook), encoding="utf-8")
    return exercise_problems(path, [dict(zip(KEYS, entry, strict=True)) for entry in GOOD])


def test_a_wrong_solution_is_told(tmp_path):
    problems = broken(tmp_path, "sol1", "text.lower()", "text")
    assert "ex01-1: the solution failed (count capitals as well)" in problems
    assert "ex01-1: the solution disagrees with an example of its own task" in problems


def test_a_check_that_checks_nothing_is_told(tmp_path):
    problems = broken(tmp_path, "chk3", "assert ", "assert True or ")
    assert any("wrong answer “halves”: it passed" in problem for problem in problems)


def test_a_student_copy_fails_until_it_is_solved(tmp_path):
    original = notebooks.read(MINI_CHAPTER)
    copy = teaching.student_copy(MINI_CHAPTER, tmp_path / "student.ipynb")
    assert not any(outcome.passed for outcome in teaching.grade(copy, MINI_CHAPTER))

    solved = notebooks.read(copy)
    solutions = {exercise.solution.id: exercise.solution.source for exercise in teaching.exercises(original)}
    for cell in solved.cells:
        cell.source = solutions.get(cell.id, cell.source)
    copy.write_text(notebooks.dumps(solved), encoding="utf-8")
    assert all(outcome.passed for outcome in teaching.grade(copy, MINI_CHAPTER))


def test_a_copy_that_gives_away_or_lacks_something_is_told(tmp_path):
    original = notebooks.read(MINI_CHAPTER)
    path = teaching.student_copy(MINI_CHAPTER, tmp_path / "student.ipynb")
    assert copy_problems(original, notebooks.read(path)) == []

    def told(key, **changes):
        copy = notebooks.read(path)
        target = next(cell for cell in copy.cells if cell.id == key)
        for name, value in changes.items():
            setattr(target, name, value)
        return copy_problems(original, copy)

    before = {cell.id: cell for cell in original.cells}
    assert told("sol1", source=before["sol1"].source) == [
        "sol1 holds another text than it should",
        "sol1 holds the solution of ex01-1",
    ]
    assert "chk1 holds another text than it should" in told("chk1", source=before["chk1"].source)
    assert "sol1 changed for nbgrader" in told("sol1", metadata=NotebookNode(tags=["exercise-answer"]))
    assert "sol2 is no open cell for an answer" in told("sol2", metadata=before["sol2"].metadata)
    assert "c05 keeps outputs" in told("c05", outputs=[1])
    assert told("c05", id="other") == ["its cells are not those of the chapter"]


def test_nbgrader_reads_the_chapter(book_chapter):
    """nbgrader's own steps of making a release version run on the chapter, and blank every solution."""
    preprocessors = pytest.importorskip("nbgrader.preprocessors")
    notebook, resources = notebooks.read(book_chapter), {}
    for step in "CheckCellMetadata LockCells ClearSolutions ClearHiddenTests ClearOutput ComputeChecksums".split():
        notebook, resources = getattr(preprocessors, step)().preprocess(notebook, resources)
    solutions = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    assert solutions and all("# YOUR CODE HERE" in cell.source for cell in solutions)
    checks = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert all(cell.metadata.editable is False and cell.metadata.nbgrader.checksum for cell in checks)
