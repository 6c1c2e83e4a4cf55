"""bookkit.teaching: exercises found, copied for students and run; nbgrader reads the same notebooks."""

import json
from pathlib import Path

import nbformat
import pytest
from conftest import MINI

from bookkit import notebooks, teaching
from bookkit.errors import BookError
from bookkit.notebooks import tags

CHAPTER = MINI / "notebooks" / "01_mini.ipynb"


def cell(notebook, key):
    return next(cell for cell in notebook.cells if cell.id == key)


def task(notebook, number):
    return next(cell for cell in notebook.cells if cell.source.startswith(f"### Exercise {number}."))


@pytest.fixture
def first(mini):
    return teaching.exercises(mini)[0]


# Reading ---------------------------------------------------------------------------------------------


def test_exercises_of_a_chapter(mini):
    found = teaching.exercises(mini)
    assert [(one.id, one.number, one.title) for one in found] == [
        ("ex01-1", 1, "Vowels"),
        ("ex01-2", 2, "Most frequent"),
        ("ex01-3", 3, "Shares"),
    ]
    assert found[0].starter.startswith("def vowels") and found[0].starter.endswith("raise NotImplementedError")
    assert [example.source for example in found[0].examples] == ['vowels("banana")\n', 'vowels("Oslo")\n']


def change(key, old, new):
    def breaking(notebook):
        target = task(notebook, 1) if key == "task" else cell(notebook, key)
        assert old in target.source
        target.source = target.source.replace(old, new)

    return breaking


def graded(key, **metadata):
    return lambda notebook: cell(notebook, key).metadata.nbgrader.update(metadata)


BROKEN = [
    ("sol1", change("sol1", "### END SOLUTION", ""), 'never closes "### BEGIN SOLUTION"'),
    ("sol1", change("sol1", "### BEGIN SOLUTION", ""), 'no "### BEGIN SOLUTION"'),
    ("sol1", change("sol1", "    ### END", "    ### BEGIN SOLUTION\n    ### END"), "twice"),
    (
        "sol1",
        change("sol1", "    ### BEGIN", "    ### END SOLUTION\n    ### BEGIN"),
        'no "### BEGIN SOLUTION" above',
    ),
    ("sol1", graded("sol1", solution=False), 'set "solution" to true'),
    ("chk1", change("chk1", "### END HIDDEN TESTS", ""), 'never closes "### BEGIN HIDDEN TESTS"'),
    ("chk2", graded("chk2", grade_id="ex01-1-check"), 'uses the grade_id "ex01-1-check" of another cell'),
    ("task", graded("chk1", grade_id="ex01-9-check"), "has no check cell"),
    ("task", graded("sol1", grade_id="other"), "has no solution cell"),
    ("task", lambda nb: task(nb, 1).metadata.bookkit.pop("exercise"), "has no id"),
    ("task", change("task", "### Exercise 1. Vowels", "### Vowels"), "without its heading"),
    ("task", change("task", "### Exercise 1.", "### Exercise 4."), "number them in order"),
    ("task", change("task", "```python", "```text"), "has 0 python fences"),
    ("task", change("task", "raise NotImplementedError", "return 0"), "raise NotImplementedError"),
    ("task", change("task", "def vowels(", "def vowels(("), "not Python"),
    ("task", change("task", '>>> vowels("Oslo")', "For Oslo:"), "fewer than two examples"),
    ("task", lambda nb: nb.cells.append(nb.cells.pop(nb.cells.index(cell(nb, "sol1")))), "out of order"),
    ("c15", change("c15", "your_text", "### BEGIN SOLUTION\nyour_text"), "no nbgrader metadata"),
    ("c15", lambda nb: nb.cells.append(nb.cells.pop(6)), "below the first exercise"),
]


@pytest.mark.parametrize(("key", "breaking", "told"), BROKEN, ids=[told for _, _, told in BROKEN])
def test_broken_exercises_are_told_in_one_sentence(mini, key, breaking, told):
    where = task(mini, 1).id if key == "task" else "c06" if told.startswith("below") else key
    breaking(mini)
    with pytest.raises(BookError) as caught:
        teaching.exercises(mini, "01_mini.ipynb")
    text = str(caught.value)
    assert text.startswith(f"01_mini.ipynb: cell {where} ") and told in text
    assert "\n" not in text and text.endswith(".") and ";" in text


def test_a_grade_cell_of_no_exercise_is_refused(mini):
    extra = nbformat.v4.new_code_cell(
        "assert True", id="extra", metadata={"nbgrader": {"grade_id": "x", "grade": True}}
    )
    mini.cells.append(extra)
    with pytest.raises(BookError, match="cell extra belongs to no exercise"):
        teaching.exercises(mini)


# Student copies --------------------------------------------------------------------------------------


def test_student_copy(tmp_path):
    out = teaching.student_copy(CHAPTER, tmp_path / "student.ipynb")
    copy, original = notebooks.read(out), notebooks.read(CHAPTER)
    assert [cell.id for cell in copy.cells] == [cell.id for cell in original.cells]
    answer = cell(copy, "sol1")
    assert answer.source == teaching.exercises(original)[0].starter
    assert answer.metadata == {
        "nbgrader": cell(original, "sol1").metadata.nbgrader,
        "tags": ["exercise-answer"],
    }
    text = out.read_text()
    assert "HIDDEN" not in text and "an empty text has none" not in text and "BEGIN SOLUTION" not in text
    assert "count capitals as well" in text
    assert not any(cell.get("outputs") for cell in copy.cells)


def test_the_default_place_is_below_build(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_toc.yml").touch()
    chapter = tmp_path / "notebooks" / "01_mini.ipynb"
    chapter.write_bytes(CHAPTER.read_bytes())
    before = chapter.read_bytes()
    assert teaching.student_copy(chapter) == tmp_path / "_build" / "student" / "01_mini.ipynb"
    assert chapter.read_bytes() == before


def test_a_folder_as_target(tmp_path):
    assert teaching.student_copy(CHAPTER, tmp_path) == tmp_path / "01_mini.ipynb"


def test_a_folder_that_is_not_there_yet_is_made(tmp_path):
    for out in (f"{tmp_path}/week 1/", tmp_path / "week.2" / "copies"):
        assert teaching.student_copy(CHAPTER, out) == Path(out) / "01_mini.ipynb"


def test_a_copy_that_somebody_worked_in_is_not_overwritten(tmp_path):
    out = teaching.student_copy(CHAPTER, tmp_path / "student.ipynb")
    assert teaching.student_copy(CHAPTER, out) == out, "an untouched copy may be made again"
    out.write_text(out.read_text().replace("NotImplementedError", "ValueError"))
    with pytest.raises(BookError, match="is not a fresh copy"):
        teaching.student_copy(CHAPTER, out)
    with pytest.raises(BookError, match="is not a fresh copy"):
        teaching.student_copy(tmp_path_copy := _copy_of(tmp_path), tmp_path_copy)


def _copy_of(folder):
    path = folder / "chapter.ipynb"
    path.write_bytes(CHAPTER.read_bytes())
    return path


def test_handout(tmp_path):
    copy = notebooks.read(teaching.student_copy(CHAPTER, tmp_path / "handout.ipynb", handout=True))
    kept = [cell.id for cell in copy.cells]
    assert kept[:4] == ["m00", "m04", "c05", "c06"]
    assert {"sol1", "chk1", "sol3", "chk3"} <= set(kept) and "c08" not in kept and "c01" not in kept
    assert len(kept) == 4 + 1 + 9


def test_a_chapter_without_exercises_has_no_student_copy(tmp_path, mini):
    mini.cells = [cell for cell in mini.cells if "nbgrader" not in cell.metadata and "bookkit" not in cell.metadata]
    path = tmp_path / "plain.ipynb"
    path.write_text(notebooks.dumps(mini))
    with pytest.raises(BookError, match="has no exercises"):
        teaching.student_copy(path)
    assert list(tmp_path.iterdir()) == [path]


# Running ---------------------------------------------------------------------------------------------


def test_answers_pass_fail_and_crash(mini, first):
    answers = {
        first.solution.source: ("passed", ""),
        first.starter: ("crashed", "NotImplementedError"),
        "def vowels(text): return sum(text.count(v) for v in 'aeiou')": ("failed", "count capitals as well"),
        "def vowels(text): return 1 / 0": ("crashed", "ZeroDivisionError: division by zero"),
        "def vowels(text: return": ("crashed", "SyntaxError"),
        "import os; os._exit(1)": ("crashed", "ended early"),
        "raise SystemExit": ("crashed", "SystemExit"),
        "assert False, 'in the answer'": ("crashed", "AssertionError: in the answer"),
        "%time TEXT": ("crashed", "NameError"),
    }
    outcomes = teaching.run_exercises(mini, [(first, source) for source in answers])
    for outcome, (source, (status, message)) in zip(outcomes, answers.items(), strict=True):
        assert (outcome.status, outcome.passed) == (status, status == "passed"), source
        assert message in outcome.message, source
    assert outcomes[0].examples == (True, True) and outcomes[0].kinds == ("int", "int")
    assert outcomes[2].examples == (True, False) and outcomes[1].kinds == ("NotImplementedError",) * 2


def test_one_answer_sees_nothing_of_another(mini, first):
    meddling = "import builtins; builtins.sum = None; TEXT = None\ndef vowels(text): return -1"
    outcomes = teaching.run_exercises(mini, [(first, meddling), (first, first.solution.source)])
    assert [outcome.status for outcome in outcomes] == ["failed", "passed"]


def test_an_answer_without_end(mini, first):
    endless = "def vowels(text):\n    while True: pass"
    outcomes = teaching.run_exercises(mini, [(first, endless), (first, first.solution.source)], timeout=6)
    assert [outcome.status for outcome in outcomes] == ["crashed", "passed"]
    assert outcomes[0].message == "no end after 6 s"


def test_a_needed_cell_that_fails(mini, first):
    cell(mini, "c06").source += "\nraise ValueError('no data')"
    outcome = teaching.run_exercise(mini, first, first.solution.source)
    assert (outcome.status, outcome.message) == (
        "crashed",
        "in a cell that the exercises need: ValueError: no data",
    )


def test_a_needed_cell_that_never_ends(mini, first):
    cell(mini, "c06").source = "while True: pass"
    assert teaching.run_exercise(mini, first, "1", timeout=2).message == "no end after 2 s"


def test_grading_takes_the_chapters_checks(tmp_path):
    copy = notebooks.read(teaching.student_copy(CHAPTER, tmp_path / "student.ipynb"))
    cell(copy, "sol1").source = cell(notebooks.read(CHAPTER), "sol1").source
    cell(copy, "chk2").source = "print('I pass')"
    copy.cells.remove(cell(copy, "sol3"))
    (tmp_path / "handed_in.ipynb").write_text(notebooks.dumps(copy))
    outcomes = teaching.grade(tmp_path / "handed_in.ipynb", CHAPTER)
    assert [outcome.status for outcome in outcomes] == ["passed", "crashed", "crashed"]


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ("%time pass\nif True:\n    def halved(text): return 0", "halved"),
        ("import string as letters", "letters"),
        ("LIMIT: int = 3\na, *rest = 1, 2", "rest"),
        ("class Tally:\n    pass", "Tally"),
    ],
)
def test_a_name_from_a_cell_of_the_students_own_is_named(tmp_path, own, name):
    copy = notebooks.read(teaching.student_copy(CHAPTER, tmp_path / "student.ipynb"))
    copy.cells.insert(4, nbformat.v4.new_code_cell(own))
    cell(copy, "sol1").source = f"{teaching.exercises(notebooks.read(CHAPTER))[0].starter}\n{name}"
    raw = json.loads(notebooks.dumps(copy)) | {"nbformat_minor": 3}  # as VS Code and Colab hand it in
    raw["cells"] = [{key: value for key, value in one.items() if key != "id"} for one in raw["cells"]]
    (tmp_path / "handed_in.ipynb").write_text(json.dumps(raw))
    first = teaching.grade(tmp_path / "handed_in.ipynb", CHAPTER)[0]
    assert (first.status, first.message) == (
        "crashed",
        f"the answer uses the name {name} from another cell: copy its definition into the answer's cell",
    )


@pytest.mark.parametrize("own", ["def f():\n    missing = 1", "missing + 1", "missing = = 1", "# missing = 1"])
def test_a_name_that_no_cell_defines_stays_a_name_error(tmp_path, own):
    copy = notebooks.read(teaching.student_copy(CHAPTER, tmp_path / "student.ipynb"))
    copy.cells.append(nbformat.v4.new_code_cell(own))
    cell(copy, "sol1").source = "missing"
    (tmp_path / "handed_in.ipynb").write_text(notebooks.dumps(copy))
    assert (
        teaching.grade(tmp_path / "handed_in.ipynb", CHAPTER)[0].message == "NameError: name 'missing' is not defined"
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, "int"),
        (True, "bool"),
        (1.5, "float"),
        ("a", "str"),
        ([1, 2], "list[int]"),
        ([], "list[?]"),
        ([1, "a"], "list[int|str]"),
        (["a", ["b"]], "list[list[str]|str]"),
        (("a", "b"), "tuple[str, ...]"),
        (("a", 1), "tuple[str, int]"),
        ({"a": [1]}, "dict[str: list[int]]"),
        ({1, 2}, "set[int]"),
        (None, "NoneType"),
    ],
)
def test_kinds(value, kind):
    assert teaching.kind(value) == kind


def test_kinds_of_arrays():
    import numpy as np

    assert teaching.kind(np.zeros((2, 3))) == "ndarray(2, 3)"
    assert teaching.kind(np.float32(1)) == "float" and teaching.kind(np.int64(1)) == "int"


# nbgrader --------------------------------------------------------------------------------------------


def test_nbgrader_reads_the_chapter_as_it_is(mini):
    """nbgrader's own steps of making a release version run on a chapter without complaint."""
    preprocessors = pytest.importorskip("nbgrader.preprocessors")
    steps = "CheckCellMetadata LockCells ClearSolutions ClearHiddenTests ClearOutput ComputeChecksums".split()
    resources = {}
    for step in steps:
        mini, resources = getattr(preprocessors, step)().preprocess(mini, resources)
    assert cell(mini, "sol1").source.endswith("    # YOUR CODE HERE\n    raise NotImplementedError()")
    assert "HIDDEN" not in cell(mini, "chk1").source
    assert cell(mini, "chk1").metadata.editable is False and "checksum" in cell(mini, "chk1").metadata.nbgrader


def nbgrader_validates(path):
    validator = pytest.importorskip("nbgrader.validator")
    return validator.Validator().validate(str(path))


def test_nbgrader_validates_chapter_and_copies(tmp_path):
    """What ``nbgrader validate`` says: the chapter passes, a fresh copy fails, a solved copy passes."""
    chapter = tmp_path / "chapter.ipynb"
    chapter.write_bytes(CHAPTER.read_bytes())
    assert nbgrader_validates(chapter) == {}

    out = teaching.student_copy(CHAPTER, tmp_path / "student.ipynb")
    assert len(nbgrader_validates(out)["failed"]) == 3

    solved = json.loads(out.read_text())
    solutions = {cell.id: cell.source for cell in notebooks.read(CHAPTER).cells if "exercise-solution" in tags(cell)}
    for each in solved["cells"]:
        each["source"] = solutions.get(each["id"], each["source"])
    (tmp_path / "solved.ipynb").write_text(json.dumps(solved))
    assert nbgrader_validates(tmp_path / "solved.ipynb") == {}
