"""Each rule of the second edition can fail: a small sound chapter passes them all, every broken one is told."""

import nbformat
import pytest
import second
from nbformat.v4 import new_code_cell, new_markdown_cell

from bookkit import chapters

FOLDED = {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}
ANSWER = '<details class="answer"><summary>Answer</summary>\n\nThree.\n\n</details>'
RUBRIC = '<details class="rubric"><summary>Rubric</summary>\n\nTwo points.\n\n</details>'
KINDS = {1: "predict", 2: "explain", 3: "code", 4: "code", 5: "open"}


def exercise(number: int, kind: str):
    folded = {"predict": ANSWER, "code": ""}.get(kind, RUBRIC)
    said = {"exercise": f"ex01-{number}", "role": "task"} | ({"kind": kind} if kind != "code" else {})
    source = f"### Exercise {number}. Count\n\nHow many?\n\n{folded}"
    return new_markdown_cell(source, id=f"task{number}", metadata={"bookkit": said})


@pytest.fixture
def sound():
    drawing = "from bookkit import diagrams, figures\nfigures.show(diagrams.canvas()[0], alt='A box')"
    return nbformat.v4.new_notebook(
        metadata={"bookkit": {"chapter": {"edition": 2}}},
        cells=[
            new_markdown_cell(
                "# Counting\n\nHow many?\n\n## You will be able to\n\n- count\n\n## You need\n\nNothing."
            ),
            new_markdown_cell("## Set-up\n\nTwo cells.", id="set-up"),
            new_code_cell("import math", id="colab", metadata=FOLDED),
            new_code_cell("import random", id="imports", metadata=FOLDED),
            new_markdown_cell("## See it\n\nGuess first.", id="see"),
            new_code_cell("print(3)", id="shown"),
            new_markdown_cell("## 1. How it works\n\nA box.", id="own"),
            new_code_cell(
                drawing, id="drawn", metadata={"tags": ["diagram", *FOLDED["tags"]], "jupyter": FOLDED["jupyter"]}
            ),
            new_markdown_cell("Its rule:\n\n$$n = 3$$", id="formula"),
            new_code_cell("n = 3", id="rule"),
            new_markdown_cell("## Folklore check: three\n\nNo.\n\n## Classic mistakes\n\nOne.", id="check"),
            new_markdown_cell("## On the full-size model\n\nMore.\n\n## Summary\n\nThree.", id="end"),
            new_markdown_cell("## Exercises\n\nFive.", id="exercises"),
            *[exercise(number, kind) for number, kind in KINDS.items()],
            new_markdown_cell("## Going deeper\n\n### Four\n\n*For readers who want more.* Then four.", id="deeper"),
        ],
    )


def cell(notebook, key):
    return next(cell for cell in notebook.cells if cell.id == key)


def put(key, old, new):
    def change(notebook):
        target = cell(notebook, key)
        assert old in target.source
        target.source = target.source.replace(old, new)

    return change


def drop(key):
    return lambda notebook: notebook.cells.remove(cell(notebook, key))


def test_a_sound_chapter_passes(sound):
    assert [problem for rule in second.RULES for problem in rule(sound)] == []


BROKEN = [
    ("sections", put("see", "See it", "Look"), '"## See it" stands 0 times'),
    ("sections", put("own", "## 1.", "### 1."), "nothing stands between"),
    ("sections", put("deeper", "### Four", "## Four\n\n### Four"), "is out of place"),
    ("sections", lambda nb: nb.cells.insert(2, nb.cells.pop(-1)), "out of order"),
    ("core_size", put("own", "A box.", "A box. " * 1600), "3,2"),
    ("core_size", put("rule", "n = 3", "n = 3\n" * 450), "visible lines"),
    ("core_size", lambda nb: nb.cells.__setitem__(slice(9, 9), [new_code_cell("1") for _ in range(30)]), "code cells"),
    ("cell_length", put("rule", "n = 3", "n = 3\n" * 26), "shows 26 lines"),
    ("cell_length", lambda nb: cell(nb, "drawn").metadata.pop("jupyter"), "open in JupyterLab"),
    ("set_up_folded", lambda nb: cell(nb, "imports").metadata.pop("tags"), "shows the set-up"),
    ("set_up_folded", lambda nb: cell(nb, "colab").metadata.pop("jupyter"), "open in JupyterLab"),
    ("prose_before_code", drop("formula"), "follows code"),
    ("prose_before_code", put("formula", "Its rule:\n\n", ""), "follows code"),
    ("diagram", lambda nb: cell(nb, "drawn").metadata.pop("tags"), "before any diagram"),
    ("diagram", lambda nb: nb.cells.__setitem__(slice(7, 9), []), "no cell of the core path"),
    ("diagram", lambda nb: cell(nb, "drawn").update(source="n = 3"), "draws nothing"),
    ("paragraphs", put("own", "A box.", "A box " * 61), "122 words"),
    ("paragraphs", put("own", "A box.", "A (small) box (blue)."), "2 parentheses"),
    ("going_deeper", put("deeper", "*For readers who want more.* ", ""), "whom it serves"),
    ("going_deeper", put("deeper", "### Four", "Four"), "nothing stands below"),
    ("five_exercises", drop("task5"), "give it one predict"),
    ("five_exercises", put("task1", ANSWER, ""), 'no folded <details class="answer">'),
    ("five_exercises", put("task5", RUBRIC, ""), "asks for words"),
    ("five_exercises", lambda nb: cell(nb, "task1").metadata.bookkit.update(kind="guess"), 'of the kind "guess"'),
    ("standard_words", put("rule", "n = 3", "powers = 3"), "exponentials"),
    ("standard_words", put("own", "A box.", "The way back takes long."), "backward pass"),
    ("tables", put("shown", "print(3)", "print(3, end='')"), "figures.table"),
]


@pytest.mark.parametrize(("rule", "change", "told"), BROKEN, ids=[f"{rule}-{told[:20]}" for rule, _, told in BROKEN])
def test_a_broken_chapter_is_told(sound, rule, change, told):
    change(sound)
    problems = list(getattr(second, rule)(sound))
    assert any(told in problem for problem in problems), problems


def test_every_rule_has_been_seen_to_fail():
    assert {name for name, _, _ in BROKEN} == {rule.__name__ for rule in second.RULES}


def test_the_core_path_and_its_minutes(sound):
    core = [one.id for one in chapters.core(sound)]
    assert "see" in core and "end" in core
    assert not {"set-up", "colab", "imports", "exercises", "task1", "deeper"} & set(core)
    assert second.measures(sound) == {"words": 37, "visible lines": 2, "code cells": 3, "minutes": 0}
    cell(sound, "own").source += " word" * 1000
    cell(sound, "rule").source += "\nn = 3" * 80
    assert second.measures(sound)["minutes"] == 15
    assert chapters.estimated_hours(sound) == 0.25
