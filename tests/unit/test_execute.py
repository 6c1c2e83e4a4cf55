"""tools.execute and tools.runs: a chapter runs exactly when something it depends on has changed, by nbval alone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from bookkit import notebooks
from tools import execute, runs

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one chapter that counts its runs in a file, reads one data file and keeps one output."""
    root = tmp_path / "Büch mit Leerzeichen"
    for folder in ("data/corpora", "notebooks", "src/helper"):
        (root / folder).mkdir(parents=True)
    (root / "src/helper/__init__.py").write_text("x = 1\n")
    (root / "src/helper/style.css").write_text("a {}\n")
    (root / "src/helper/unused.py").write_text("x = 1\n")
    (root / "data/models.yml").write_text("roles: {}\n")
    (root / "data/corpora/read.txt").write_text("one\n")
    (root / "data/corpora/unread.txt").write_text("one\n")
    (root / "requirements.lock").write_text("a==1\n")
    (root / "_toc.yml").write_text("root: book/index\nchapters: [{file: notebooks/01_chapter}]\n")
    shutil.copy(ROOT / "notebooks/conftest.py", root / "notebooks")
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("BOOK_ROOT", str(root))
    monkeypatch.setenv("BOOKKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BOOK_RUN_STORE", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root / "src"), str(ROOT / "src")]))
    cells = [
        new_markdown_cell("# A chapter"),
        new_code_cell('with open("runs", "a") as counter:\n    counter.write("x")'),
        new_code_cell('import bookkit, helper\nprint(bookkit.read_text("corpora/read.txt"))'),
        new_code_cell("print(6 * 7)", execution_count=1, metadata={"tags": ["nbval-check-output"]},
                      outputs=[new_output("stream", text="42\n")]),
    ]  # fmt: skip
    path = root / "notebooks/01_chapter.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    return path


@pytest.fixture
def quick(book, monkeypatch):
    """The same book where nbval is a stand-in that passes at once, for tests of what is run and what is not."""

    def nbval(path, record, environment, python=""):
        with open(path.parent / "runs", "a") as counter:
            counter.write("x")
        notebook = notebooks.read(path)
        used = ["data/corpora/read.txt", "src/helper/__init__.py", "src/helper/style.css"]
        runs.write(record, path, notebook, notebook, used, [], 1.0, 10**7, {})
        return runs.record_of(path)

    monkeypatch.setattr(execute, "nbval", nbval)
    return book


def edit(book: Path, place: int, source: str | None = None, **changes):
    """Change one cell of the chapter."""
    notebook = nbformat.read(book, as_version=4)
    notebook.cells[place].update(changes, **({} if source is None else {"source": source}))
    nbformat.write(notebook, book)


def times(book: Path) -> int:
    """How often the chapter has run."""
    return len((book.parent / "runs").read_text())


def go(book: Path) -> dict:
    """What `make book` and `make test` do with the chapters."""
    return execute.run([book])[book.stem]


def root(book: Path) -> Path:
    return book.parent.parent


def test_a_chapter_runs_once_and_is_written_down(book, capsys):
    record = go(book)
    assert record["verdict"] == runs.PASSED and record["seconds"] > 0 and record["peak_mb"] > 10
    assert record["cells"] == 4 and len(record["cell_seconds"]) == 3 and record["download_mb"] == 0
    executed = notebooks.read(runs.executed_of(book))
    assert set(record["uses"]) == {"data/corpora/read.txt", "src/helper/__init__.py", "src/helper/style.css"}
    assert [cell.get("execution_count") for cell in executed.cells] == [None, 1, 2, 3]
    assert executed.cells[2].outputs[0].text == "one\n\n" and executed.cells[3].outputs[0].text == "42\n"
    assert "01_chapter passed in" in capsys.readouterr().out
    go(book)
    assert times(book) == 1, "nothing changed, so nothing runs"
    assert f"stands: validated {record['when']} on {record['where']}" in capsys.readouterr().out
    assert execute.count() == {"01_chapter": 1}


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("data/corpora/read.txt", True),
        ("src/helper/__init__.py", True),
        ("src/helper/style.css", True),
        ("requirements.lock", True),
        ("data/corpora/unread.txt", False),
        ("src/helper/unused.py", False),
        ("data/models.yml", False),
    ],
)
def test_it_runs_again_when_something_it_used_has_changed(quick, changed, again):
    book = quick
    wanted, record = runs.inputs(notebooks.read(book)), go(book)
    assert runs.holds(record, wanted)
    path = root(book) / changed
    path.write_text(path.read_text() + "# changed\n")
    assert runs.holds(record, runs.inputs(notebooks.read(book))) is not again


def test_roles_and_the_size_of_models_count(book, monkeypatch):
    assert runs.digest("data/models.yml#chat") != runs.digest("data/models.yml")
    registry = root(book) / "data/models.yml"
    registry.write_text("roles: {chat: {title: a}, judge: {title: b}}\n")
    first = {role: runs.digest(f"data/models.yml#{role}") for role in ("chat", "judge")}
    registry.write_text("roles: {chat: {title: a}, judge: {title: changed}}\n")
    assert runs.digest("data/models.yml#chat") == first["chat"], "another role does not count"
    assert runs.digest("data/models.yml#judge") != first["judge"]
    before = runs.inputs(notebooks.read(book))
    monkeypatch.setenv("BOOK_MODELS", "hub")
    assert runs.inputs(notebooks.read(book)) != before


def test_a_folder_counts_with_what_it_holds(book):
    before = runs.digest("data/corpora")
    (root(book) / "data/corpora/new.txt").write_text("new\n")
    assert runs.digest("data/corpora") != before


def test_new_prose_needs_no_run(quick):
    book = quick
    go(book)
    edit(book, 0, "# Another title")
    go(book)
    assert times(book) == 1 and notebooks.read(runs.executed_of(book)).cells[0].source == "# Another title"


# What turns it red -----------------------------------------------------------------------------------


def test_new_kept_outputs_need_a_run(quick):
    go(quick)
    edit(quick, 3, outputs=[new_output("stream", text="43\n")])
    assert runs.find(quick) is None


def test_a_false_assertion_is_told_and_not_run_again(book, capsys):
    edit(book, 2, 'import bookkit\nassert bookkit.read_text("corpora/read.txt") == "two\\n", "the claim"')
    for _ in range(2):
        (problem,) = go(book)["problems"]
        assert (problem["cell"], problem["kind"]) == (3, "error") and "AssertionError: the claim" in problem["said"]
    assert times(book) == 1, "a failure is kept with its fingerprint"
    assert capsys.readouterr().out.count("01_chapter FAILED: cell 3 (id ") == 2
    assert not list((root(book).parent / "cache").rglob("run.json")), "no failed run enters the store"
    (root(book) / "data/corpora/read.txt").write_text("two\n")
    assert runs.find(book) is None, "what it has read has changed, so it runs again"


def test_a_changed_kept_output_is_told(book):
    edit(book, 3, outputs=[new_output("stream", text="43\n")])
    (problem,) = go(book)["problems"]
    assert problem["cell"] == 4 and problem["kind"] == "differs" and "43" in problem["detail"]


def test_a_kernel_that_dies_is_told_at_once_and_run_again(book):
    edit(book, 2, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    (problem,) = go(book)["problems"]
    assert problem["cell"] == 3 and problem["kind"] == "died" and "memory" in problem["said"]
    assert runs.find(book) is None, "that says nothing about the chapter, so the next command tries again"


def test_a_cell_that_never_ends(book, monkeypatch):
    monkeypatch.setenv("BOOK_CELL_SECONDS", "2")
    edit(book, 2, "while True:\n    pass")
    (problem,) = go(book)["problems"]
    assert problem["cell"] == 3 and problem["said"] == "had not ended after 2 seconds"


def test_nbval_that_cannot_start(book):
    (root(book) / "notebooks/conftest.py").write_text("1 / 0\n")
    (problem,) = go(book)["problems"]
    assert problem["kind"] == "start" and "ZeroDivisionError" in problem["detail"]


# What is damaged or shared ---------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["meter/01_chapter.json", "executed/01_chapter.ipynb"])
def test_half_a_file_means_a_new_run(quick, file, capsys, monkeypatch):
    book = quick
    monkeypatch.setenv("BOOK_RUN_STORE", "off")
    go(book)
    path = runs.build() / file
    path.write_text(path.read_text()[:40])
    assert go(book)["verdict"] == runs.PASSED and times(book) == 2
    assert "damaged, so it runs again" in capsys.readouterr().out


def test_another_clone_need_not_run_it(quick, monkeypatch):
    book = quick
    go(book)
    shutil.rmtree(runs.build())
    assert go(book)["verdict"] == runs.PASSED and times(book) == 1
    assert notebooks.read(runs.executed_of(book)).cells[3].outputs[0].text == "42\n"
    shutil.rmtree(runs.build())
    (root(book) / "data/corpora/read.txt").write_text("two\n")
    go(book)
    assert times(book) == 2, "a clone with other data runs it"
    shutil.rmtree(runs.build())
    monkeypatch.setenv("BOOK_RUN_STORE", "off")
    go(book)
    assert times(book) == 3, "the store is not read"


def test_a_store_that_cannot_be_written(quick, capsys):
    book = quick
    (root(book).parent / "cache").write_text("a file stands where the folder would")
    assert go(book)["verdict"] == runs.PASSED
    assert "other clones will run it again" in capsys.readouterr().out


def test_two_commands_at_once_run_it_once_and_a_broken_chapter_ends_with_1(book):
    command = [sys.executable, "-m", "tools.execute"]
    edit(book, 2, "import no_such_module")
    both = [subprocess.Popen(command, cwd=root(book), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [1, 1] and times(book) == 1
    assert sum("waiting until it has ended" in text for text in said) == 1
    for text in said:
        assert "raised ModuleNotFoundError: No module named 'no_such_module'" in text
        assert "0 of 1 chapters passed" in text


# What is kept of a cell's outputs --------------------------------------------------------------------


def test_displays_are_updated_and_cleared_and_widgets_leave_no_state(book):
    edit(book, 1, "import ipywidgets\n@ipywidgets.interact(x=3)\ndef show(x):\n    print(x * x)")
    edit(
        book,
        2,
        "from IPython.display import clear_output\nprint('gone')\nclear_output()\nprint('stays')\n"
        "shown = display('old', display_id='one')",
    )
    edit(book, 3, "display('new', display_id='one', update=True)", outputs=[], execution_count=None)
    assert go(book)["verdict"] == runs.PASSED
    executed = notebooks.read(runs.executed_of(book))
    stream, shown = executed.cells[2].outputs
    assert stream.text == "stays\n" and shown.data["text/plain"] == "'new'"
    assert any("widget-view" in kind for output in executed.cells[1].outputs for kind in output.get("data", {}))
    assert "widgets" not in executed.metadata


@pytest.mark.parametrize(("executed", "noted"), [(3, {"book": 9.0}), (0, {"book again": 9.0}), (1, {})])
def test_a_time_is_that_of_every_chapter_or_of_none(monkeypatch, tmp_path, executed, noted):
    monkeypatch.setattr(execute.paths, "root", lambda: tmp_path)
    execute.note_time("book", 9.0, executed, 3)
    written = tmp_path / "_build/meter/commands.json"
    assert (json.loads(written.read_text()) if written.exists() else {}) == noted
