"""bookkit.status: what a run took reaches the status and the label, and nothing else changes them."""

import json

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from bookkit import status
from bookkit.errors import BookError

MEASURED = {"seconds": 95.0, "peak_mb": 1234, "download_mb": 0, "cells": 30, "cores": 2, "fingerprint": "f"}


@pytest.fixture
def book(tmp_path):
    for folder in ("data", "notebooks", "_build/meter"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "_build/meter/01_chapter.json").write_text(json.dumps(MEASURED))
    return tmp_path


def write_chapter(book, source):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=[new_markdown_cell(source)], metadata={"kernelspec": kernel})
    nbformat.write(notebook, book / "notebooks/01_chapter.ipynb")


def test_measurements_reach_status_and_label(book):
    write_chapter(book, "# Title\n\n<!-- price:begin -->old<!-- price:end -->\n\nAfter.")
    assert "95.0 s" in status.update(book)[0]
    entry = status.read(book)["chapters"]["01_chapter"]
    assert entry == {key: MEASURED[key] for key in entry} and "fingerprint" not in entry
    source = nbformat.read(book / "notebooks/01_chapter.ipynb", as_version=4).cells[0].source
    assert status.price_label(entry) in source and "old" not in source and source.endswith("After.")
    assert "1.6 minutes on 2 cores, 1.2 GB of memory, no models to fetch" in source


def test_a_second_update_changes_no_file(book):
    write_chapter(book, "<!-- price:begin --><!-- price:end -->")
    status.update(book)
    times = [path.stat().st_mtime_ns for path in (book / "data/status.json", book / "notebooks/01_chapter.ipynb")]
    status.update(book)
    assert times == [
        path.stat().st_mtime_ns for path in (book / "data/status.json", book / "notebooks/01_chapter.ipynb")
    ]


def test_a_chapter_without_a_place_for_the_label(book):
    write_chapter(book, "# Title")
    with pytest.raises(BookError, match="no price label"):
        status.update(book)


def test_nothing_executed_yet(tmp_path):
    with pytest.raises(BookError, match="make book"):
        status.update(tmp_path)
