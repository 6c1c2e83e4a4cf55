"""bookkit.notebooks: reading with one clear sentence, cleaning for git."""

import json
import os
import re
import stat
import subprocess
import sys

import nbformat
import pytest
from conftest import FIXTURES, MINI

from bookkit import notebooks
from bookkit.errors import BookError

MINI_CHAPTER = MINI / "notebooks" / "01_mini.ipynb"


def is_one_sentence(text):
    return "\n" not in text and text.endswith(".") and len(text) < 300


def test_chapters_in_reading_order(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in ("01_a", "02_b", "03_c"):
        (tmp_path / "notebooks" / f"{name}.ipynb").touch()
    (tmp_path / "_toc.yml").write_text(
        "root: book/index\nparts:\n- chapters:\n"
        "  - file: notebooks/02_b\n    sections:\n    - file: notebooks/03_c\n"
        "- chapters:\n  - file: book/glossary\n  - file: notebooks/01_a.ipynb\n"
    )
    assert [path.stem for path in notebooks.chapters(tmp_path)] == ["02_b", "03_c", "01_a"]
    assert notebooks.pages(tmp_path)[0] == "book/index"


@pytest.mark.parametrize(
    ("toc", "told"),
    [
        (None, "cannot be read"),
        ("a: [", "not valid YAML"),
        ("root: x\nchapters: [{file: notebooks/09_x}]", "no such file"),
    ],
)
def test_a_broken_table_of_contents(tmp_path, toc, told):
    if toc is not None:
        (tmp_path / "_toc.yml").write_text(toc)
    with pytest.raises(BookError, match=told) as caught:
        notebooks.chapters(tmp_path)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("not_json", "not valid JSON"),
        ("not_utf8", "not UTF-8"),
        ("no_cells", "JSON but not a notebook"),
        ("no_kernelspec", "names no kernel"),
        ("same_ids", "two cells with the id a"),
        ("format_3", "format 3.0, not 4"),
        ("not_a_notebook", "does not fit the notebook format"),
        ("missing", "no notebook"),
    ],
)
def test_a_broken_notebook_is_told_in_one_sentence(name, told):
    with pytest.raises(BookError, match=told) as caught:
        notebooks.read(FIXTURES / f"{name}.ipynb")
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize("name", ["format_3", "same_ids"])
def test_what_a_sentence_advises_makes_the_notebook_readable(name, tmp_path):
    """ "Open it in JupyterLab and save it", carried out by the part of its server that does so."""
    from jupyter_server.services.contents.largefilemanager import LargeFileManager

    path = tmp_path / f"{name}.ipynb"
    path.write_bytes((FIXTURES / path.name).read_bytes())
    with pytest.raises(BookError, match="; open it in JupyterLab and save it"):
        notebooks.read(path)
    lab = LargeFileManager(root_dir=str(tmp_path))
    lab.save(lab.get(path.name, type="notebook"), path.name)
    assert notebooks.read(path).cells


@pytest.mark.parametrize("minor", range(5))
def test_older_notebooks_of_format_4_get_ids_by_place(draft, minor):
    raw = json.loads(draft.read_text())
    for cell in raw["cells"]:
        del cell["id"]
    raw["cells"][3]["id"] = "cell-5"  # what the fifth would get
    draft.write_text(json.dumps(raw | {"nbformat_minor": minor}))
    ids = [cell.id for cell in notebooks.read(draft).cells]
    assert ids[:6] == ["cell-1", "cell-2", "cell-3", "cell-5", "cell-5-new", "cell-6"]
    assert ids == [cell.id for cell in notebooks.read(draft).cells]
    assert notebooks.strip(draft) is True and notebooks.strip(draft) is False
    assert (notebooks.read(draft).nbformat_minor, [cell.id for cell in notebooks.read(draft).cells]) == (5, ids)


def test_a_byte_order_mark_is_no_fault(draft):
    clean = draft.read_bytes()
    draft.write_bytes(b"\xef\xbb\xbf" + clean)
    assert notebooks.strip(draft) is True and draft.read_bytes() == clean


@pytest.mark.parametrize("text", ["[" * 100_000, '{"nbformat": 4, "nbformat_minor": 5, "cells": [1]}', "null"])
def test_json_that_no_notebook_holds(text, tmp_path):
    path = tmp_path / "odd.ipynb"
    path.write_text(text)
    with pytest.raises(BookError, match="take a fresh copy of it") as caught:
        notebooks.read(path)
    assert is_one_sentence(str(caught.value))


def test_a_folder_is_no_notebook(tmp_path):
    with pytest.raises(BookError, match="cannot be read"):
        notebooks.read(tmp_path)


def test_sources_are_whole_lines_however_they_are_stored():
    assert notebooks.read(MINI_CHAPTER).cells[0].source.startswith("# 1. Counting letters\n\nWhich")


# Stripping -------------------------------------------------------------------------------------------


def test_a_clean_notebook_stays_as_it_is(mini):
    assert notebooks.stripped(mini) == mini


def test_only_printed_text_of_kept_cells_stays(mini):
    cells = {cell.id: cell for cell in mini.cells}
    kept, plain = cells["c08"], cells["c15"]
    stream = nbformat.v4.new_output("stream", name="stdout", text="a")
    plain.outputs, plain.execution_count = [stream], 4
    result = nbformat.v4.new_output("execute_result", data={"text/plain": "3"}, metadata={"x": 1}, execution_count=9)
    kept.outputs, kept.execution_count = [stream, dict(stream, text="b"), result], 9
    clean = {cell.id: cell for cell in notebooks.stripped(nbformat.from_dict(mini)).cells}
    assert (clean["c15"].outputs, clean["c15"].execution_count) == ([], None)
    assert clean["c08"].execution_count == 1
    assert [output.get("text", output.get("data")) for output in clean["c08"].outputs] == [
        "ab",
        {"text/plain": "3"},
    ]
    assert clean["c08"].outputs[1].execution_count == 1 and clean["c08"].outputs[1].metadata == {}
    assert kept.execution_count == 9, "the notebook that was given is left alone"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            nbformat.v4.new_output("display_data", data={"image/png": "x", "text/plain": "<Figure>"}),
            "image/png",
        ),
        (nbformat.v4.new_output("execute_result", data={"text/html": "x", "text/plain": "x"}), "text/html"),
        (nbformat.v4.new_output("stream", name="stderr", text="x"), "stderr"),
        (nbformat.v4.new_output("error", ename="E", evalue="x", traceback=[]), "error"),
    ],
)
def test_a_kept_cell_that_shows_more_than_text_is_refused(mini, output, told):
    next(cell for cell in mini.cells if cell.id == "c08").outputs.append(output)
    with pytest.raises(BookError, match=f"cell c08: .*holds .*{told}") as caught:
        notebooks.stripped(mini, "01_mini.ipynb")
    assert is_one_sentence(str(caught.value))


def test_metadata_that_the_book_does_not_use_goes(mini):
    mini.metadata.update(widgets={"state": {}}, colab={"provenance": []}, execution={"timeout": 9})
    mini.metadata.language_info.update(version="3.11.7")
    mini.metadata.kernelspec.display_name = "my environment"
    mini.cells[5].metadata = nbformat.from_dict(
        {
            "id": "x",
            "collapsed": True,
            "execution": {"iopub": 1},
            "tags": [],
            "jupyter": {"outputs_hidden": True},
        }
    )
    solution = next(cell for cell in mini.cells if cell.id == "sol1")
    clean = notebooks.stripped(mini)
    assert clean.metadata == {
        "kernelspec": notebooks.KERNELSPEC,
        "language_info": {"name": "python"},
        "execution": {"timeout": 9},
    }
    assert clean.cells[5].metadata == {}
    assert next(cell for cell in clean.cells if cell.id == "sol1").metadata == solution.metadata


def test_a_kept_cell_that_never_ran_is_left_for_the_contract(mini):
    cell = next(cell for cell in mini.cells if cell.id == "c08")
    cell.outputs, cell.execution_count = [], 3
    clean = next(cell for cell in notebooks.stripped(mini).cells if cell.id == "c08")
    assert (clean.outputs, clean.execution_count) == ([], None)


@pytest.fixture
def draft(tmp_path):
    path = tmp_path / "chapter.ipynb"
    path.write_bytes(MINI_CHAPTER.read_bytes())
    return path


def test_strip_writes_only_what_changed(draft):
    assert notebooks.strip(draft) is False
    before = draft.read_text()
    raw = json.loads(before)
    raw["cells"][5].update(execution_count=3)
    draft.write_text(json.dumps(raw))  # other order, other indent, no newline at the end
    os.chmod(draft, 0o640)
    assert notebooks.strip(draft) is True
    assert draft.read_text() == before and before.endswith("}\n")
    assert stat.S_IMODE(draft.stat().st_mode) == 0o640
    assert notebooks.strip(draft) is False


def test_nbval_accepts_what_strip_keeps(draft, tmp_path):
    """The kept outputs are compared: unchanged they pass, changed they fail."""

    def nbval():
        command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", str(draft)]
        command += ["-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout

    assert re.search(r"\n\d+ passed", nbval())
    draft.write_text(draft.read_text().replace("0.125 of them e\\n", "0.126 of them e\\n"))
    assert "1 failed" in nbval()
