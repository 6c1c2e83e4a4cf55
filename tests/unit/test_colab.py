"""The set-up cell for Colab: run as IPython would run it, there, in a clone, and alone; and what it calls."""

import importlib.util
import json
import sys
import types

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from bookkit import BookError, address, colab, fetch, paths

URL, PAGES = "https://github.com/ada/book", "https://ada.github.io/book"
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


class Shell:
    """IPython, as far as the cell uses it: notes shell lines and magics."""

    def __init__(self):
        self.lines = []

    def system(self, line):
        self.lines.append("!" + line)

    def run_line_magic(self, name, line):
        self.lines.append(f"%{name} {line}")


def run_cell(monkeypatch, shell: Shell) -> None:
    """Run the cell; what it puts on the path is taken off again after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    code = TransformerManager().transform_cell(colab.cell_text(URL, PAGES))
    exec(code, {"get_ipython": lambda: shell})


def on_colab(monkeypatch, answer) -> None:
    """Let this look like Colab, whose front end gives an answer about the open notebook, or fails."""
    front_end = types.ModuleType("google.colab._message")

    def blocking_request(kind, timeout_sec):
        if isinstance(answer, Exception):
            raise answer
        return answer

    front_end.blocking_request = blocking_request
    package = types.ModuleType("google.colab")
    package._message = front_end
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setitem(sys.modules, "google.colab._message", front_end)


def test_on_colab_the_cell_fetches_the_book_and_prepares_it(monkeypatch, capsys):
    on_colab(monkeypatch, None)
    prepared = []
    monkeypatch.setattr(colab, "prepare", lambda: prepared.append(list(sys.path[:2])))
    shell = Shell()
    run_cell(monkeypatch, shell)
    clone, change = shell.lines
    assert clone.startswith("!test -d /content/book || git clone") and clone.endswith("{REPOSITORY} /content/book")
    assert change == "%cd -q /content/book/notebooks"
    assert prepared == [["/content/book/src", "/content/book"]], "bookkit and training are importable by then"
    assert PAGES in capsys.readouterr().out


def test_elsewhere_the_cell_does_nothing(monkeypatch, capsys):
    shell = Shell()
    run_cell(monkeypatch, shell)
    assert shell.lines == [] and capsys.readouterr().out == ""


@pytest.mark.parametrize("there", [False, True], ids=["alone", "on Colab, the clone failed"])
def test_without_the_book_the_cell_names_the_line_that_gets_it(monkeypatch, there):
    if there:
        on_colab(monkeypatch, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=f"git clone {URL}`, then `make lab`"):
        run_cell(monkeypatch, Shell())


def test_one_text_whatever_the_chapter_and_the_address():
    assert colab.cell_text(URL, PAGES).replace(URL, "u").replace(PAGES, "p") == colab.cell_text("u", "p")
    assert "{REPOSITORY}" in colab.cell_text(URL, ""), "left for IPython to fill in"


def test_the_address_command_and_the_lists_agree(tmp_path):
    (tmp_path / "_config.yml").write_text(f'repository:\n  url: {URL}\nhtml:\n  baseurl: ""\n')
    (tmp_path / "notebooks").mkdir()
    notebook = new_notebook(cells=[new_code_cell(colab.cell_text(URL, ""))])
    nbformat.write(notebook, tmp_path / "notebooks/a.ipynb")
    address.write(tmp_path, "https://github.com/eve/copy", pages="https://eve.example/copy")
    (cell,) = nbformat.read(tmp_path / "notebooks/a.ipynb", as_version=4).cells
    assert cell.source == colab.cell_text("https://github.com/eve/copy", "https://eve.example/copy")


# --- what the cell calls --------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with two chapters, and a record of what is installed and fetched in it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/models.yml").write_text("roles: {}\n")
    (tmp_path / "notebooks").mkdir()
    sources = {7: 'bookkit.model("chat")\nbookkit.model("gpt2")', 9: "1 + 1", 12: 'bookkit.model( "chat")'}
    for number, source in sources.items():
        described = {"kernelspec": KERNEL, "bookkit": {"chapter": {"number": number}}}
        notebook = new_notebook(cells=[new_markdown_cell("# T"), new_code_cell(source)], metadata=described)
        nbformat.write(notebook, tmp_path / f"notebooks/{number:02d}_chapter.ipynb")
    for name in ("requirements-colab.txt", "requirements-colab-12.txt", "requirements-colab-14.txt"):
        (tmp_path / name).write_text("tiktoken==0.14.0\n")
    monkeypatch.setenv("BOOK_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", "/before")
    done = types.SimpleNamespace(installed=[], fetched=[])
    monkeypatch.setattr(colab, "_pip", lambda *words: done.installed.append(words[-1].rpartition("/")[2]))
    monkeypatch.setattr(fetch, "fetch", lambda roles, say: done.fetched.append(list(roles)))
    return done


def open_notebook(number):
    return {"ipynb": json.loads(json.dumps({"metadata": {"bookkit": {"chapter": {"number": number}}}, "cells": []}))}


@pytest.mark.parametrize(
    ("answer", "installed", "fetched"),
    [
        (open_notebook(7), ["requirements-colab.txt"], [["chat", "gpt2"]]),
        (open_notebook(9), ["requirements-colab.txt"], []),
        (open_notebook(12), ["requirements-colab.txt", "requirements-colab-12.txt"], [["chat"]]),
        (open_notebook(99), "everything", [[]]),
        ({"ipynb": {"metadata": {}}}, "everything", [[]]),
        (None, "everything", [[]]),
        (TimeoutError("no answer"), "everything", [[]]),
    ],
    ids=["models", "no models", "packages of its own", "unknown chapter", "no metadata", "no notebook", "no answer"],
)
def test_a_chapter_gets_what_it_needs(monkeypatch, clone, capsys, answer, installed, fetched):
    if installed == "everything":
        installed = ["requirements-colab.txt", "requirements-colab-12.txt", "requirements-colab-14.txt"]
    on_colab(monkeypatch, answer)
    colab.prepare()
    assert clone.installed == installed and clone.fetched == fetched
    assert colab.os.environ["PYTHONPATH"].endswith("/src:" + str(paths.root()) + ":/before")


def test_full_size_models_are_left_to_the_library(monkeypatch, clone, capsys):
    monkeypatch.setenv("BOOK_MODELS", "hub")
    on_colab(monkeypatch, open_notebook(7))
    colab.prepare()
    assert clone.installed and not clone.fetched


def test_a_package_that_cannot_be_installed_is_told_in_one_sentence(monkeypatch):
    script = "import sys; print('ERROR: No matching distribution found for x', file=sys.stderr); sys.exit(1)"
    real = colab.subprocess.run
    monkeypatch.setattr(colab.subprocess, "run", lambda command, **rest: real([sys.executable, "-c", script], **rest))
    with pytest.raises(BookError, match="could not install r.txt .No matching distribution found for x.: run the cell"):
        colab._pip("-r", "r.txt")


# --- where the cell is written --------------------------------------------------------------------------------


def test_the_cell_is_put_in_its_place():
    notebook = new_notebook(cells=[new_code_cell("1"), new_code_cell('# !pip\n"google.colab"'), new_code_cell("2")])
    before = [cell.id for cell in notebook.cells]
    colab.put_cell(notebook, "a.ipynb", "the text")
    assert [cell.source for cell in notebook.cells] == ["1", "the text", "2"]
    assert [cell.id for cell in notebook.cells] == before
    folded = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    assert notebook.cells[1].metadata == {"cellView": "form"} | folded


@pytest.mark.parametrize("sources", [["1"], ['"google.colab"'] * 2])
def test_a_chapter_without_its_place_is_told(sources):
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    with pytest.raises(BookError, match=r"a.ipynb has [02] code cells that name google.colab"):
        colab.put_cell(notebook, "a.ipynb", "the text")
