"""tools/execute.py: a chapter runs again exactly when something that it depends on has changed."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from bookkit import models
from bookkit.errors import BookError
from tools import execute


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one chapter that counts its runs in a file and reads one data file."""
    for folder in ("src/bookkit", "data/corpora", "notebooks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "src/bookkit/helper.py").write_text("x = 1\n")
    (tmp_path / "data/models.yml").write_text("{}\n")
    (tmp_path / "data/corpora/read.txt").write_text("one\n")
    (tmp_path / "data/corpora/unread.txt").write_text("one\n")
    (tmp_path / "requirements.lock").write_text("a==1\n")
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    monkeypatch.setattr(execute, "BUILD", tmp_path / "_build")
    monkeypatch.setenv("BOOK_ROOT", str(tmp_path))
    cells = [
        new_markdown_cell("# A chapter"),
        new_code_cell('with open("runs", "a") as runs:\n    runs.write("x")'),
        new_code_cell('# bookkit.data("corpora/read.txt")\nprint(6 * 7)'),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = tmp_path / "notebooks/01_chapter.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def runs(book) -> int:
    return len((book.parent / "runs").read_text())


def test_a_chapter_runs_once_and_again_when_its_data_change(book):
    executed = nbformat.read(execute.execute(book), as_version=4)
    assert executed.cells[2].outputs[0].text == "42\n"
    measured = json.loads((execute.BUILD / "meter/01_chapter.json").read_text())
    assert measured["seconds"] > 0 and measured["peak_mb"] > 10 and measured["cells"] == 3

    execute.execute(book)
    assert runs(book) == 1, "nothing changed, so nothing runs"
    (execute.ROOT / "data/corpora/read.txt").write_text("two\n")
    before = book.stat().st_mtime_ns
    execute.execute(book)
    assert runs(book) == 2, "a file that the chapter names has changed"
    assert book.stat().st_mtime_ns > before, "Sphinx re-reads a source by its time"


def test_a_failing_cell_is_named_and_not_cached(book, capsys):
    notebook = nbformat.read(book, as_version=4)
    notebook.cells[2].source = "assert 6 * 7 == 43, 'the claim'"
    nbformat.write(notebook, book)
    for _ in range(2):
        with pytest.raises(BookError, match="01_chapter failed in cell 3"):
            execute.execute(book)
    assert "the claim" in capsys.readouterr().err
    assert runs(book) == 2, "a failed run is not taken for a result"
    assert not (execute.BUILD / "executed/01_chapter.ipynb").exists()


def test_the_fingerprint_knows_what_outputs_depend_on(book, monkeypatch):
    notebook = nbformat.read(book, as_version=4)
    first = execute.fingerprint(notebook)

    (execute.ROOT / "data/corpora/unread.txt").write_text("two\n")
    assert execute.fingerprint(notebook) == first, "a file that no cell names does not count"
    for changed in ("src/bookkit/helper.py", "requirements.lock", "data/models.yml", "data/corpora/read.txt"):
        path = execute.ROOT / changed
        original = path.read_text()
        path.write_text(original + "# changed\n")
        assert execute.fingerprint(notebook) != first, changed
        path.write_text(original)
    assert execute.fingerprint(notebook) == first

    monkeypatch.setattr(models, "mode", lambda: "hub")
    assert execute.fingerprint(notebook) != first, "the size of models"


def test_a_named_folder_counts_with_what_it_holds(book):
    notebook = nbformat.read(book, as_version=4)
    notebook.cells[2].source = 'bookkit.data("corpora")'
    first = execute.fingerprint(notebook)
    (execute.ROOT / "data/corpora/unread.txt").write_text("two\n")
    assert execute.fingerprint(notebook) != first


def test_the_results_of_a_sweep_count(book):
    notebook = nbformat.read(book, as_version=4)
    notebook.cells[2].source = 'results.read("sweep")'
    (execute.ROOT / "data/results").mkdir()
    first = execute.fingerprint(notebook)
    (execute.ROOT / "data/results/sweep.json").write_text("{}")
    assert execute.fingerprint(notebook) != first


def test_roles_are_read_from_the_cells():
    cells = [new_code_cell('bookkit.model("chat")\nbookkit.model( "gpt2" )'), new_markdown_cell('bookkit.model("no")')]
    assert execute.roles(new_notebook(cells=cells)) == ["chat", "gpt2"]


def test_controls_run_and_leave_no_state(book):
    notebook = nbformat.read(book, as_version=4)
    notebook.cells[2].source = (
        "import ipywidgets\n\n@ipywidgets.interact(x=3)\ndef show(x):\n    print(x * x)\n    display(x)"
    )
    nbformat.write(notebook, book)
    executed = nbformat.read(execute.execute(book), as_version=4)
    assert any("widget-view" in kind for output in executed.cells[2].outputs for kind in output.get("data", {}))
    assert "widgets" not in executed.metadata
