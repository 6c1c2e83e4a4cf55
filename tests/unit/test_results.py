"""bookkit.results: figures of sweeps, and the refusal of stale ones."""

import json
from pathlib import Path

import pytest
from conftest import ROOT

from bookkit import results
from bookkit.errors import BookError

STORED = sorted(path.stem for path in (ROOT / "data" / "results").glob("*.json"))


@pytest.fixture
def book(tmp_path, monkeypatch) -> Path:
    """A book in small with one sweep and its result."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models.yml").write_text("roles: {}\n")
    (tmp_path / "sweep.py").write_text("print(1)\n")
    (tmp_path / "data" / "corpus.txt").write_text("once upon a time\n")
    monkeypatch.setenv("BOOK_ROOT", str(tmp_path))
    results.write(
        "small",
        {"loss": [2.5, 1.5]},
        command="python sweep.py",
        seeds=range(3),
        inputs=["sweep.py", "data/corpus.txt"],
    )
    return tmp_path


def test_what_was_written_is_read(book):
    assert results.read("small") == {"loss": [2.5, 1.5]}
    assert results.names() == ["small"]
    record = json.loads((book / "data/results/small.json").read_text())
    assert record["seeds"] == [0, 1, 2] and record["command"] == "python sweep.py"
    assert list(record["sha256"]) == ["data/corpus.txt", "sweep.py"]
    assert all(len(digest) == 64 for digest in record["sha256"].values())


@pytest.mark.parametrize("path", ["sweep.py", "data/corpus.txt"])
def test_a_changed_input_makes_it_stale(book, path):
    (book / path).write_text("something else\n")
    with pytest.raises(BookError, match=rf"stale, since {path} changed .*run `python sweep.py`\.$"):
        results.read("small")


def test_a_lost_input_makes_it_stale(book):
    (book / "sweep.py").unlink()
    with pytest.raises(BookError, match="stale, since sweep.py changed"):
        results.read("small")


def test_an_unknown_name(book):
    with pytest.raises(BookError, match="no data/results/large.json: the sweeps with results are small"):
        results.read("large")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"figures": 1}', '{"figures": 1, "command": "", "seeds": [], "sha256": 3}']
)
def test_a_damaged_file(book, text):
    (book / "data/results/small.json").write_text(text)
    with pytest.raises(BookError, match="delete data/results/small.json and run `git checkout data/results/small"):
        results.read("small")


def test_an_input_that_is_not_there(book):
    with pytest.raises(BookError, match="names other.py, which is not there"):
        results.write("new", {}, command="python sweep.py", seeds=[], inputs=["other.py"])
    assert results.names() == ["small"]


@pytest.mark.parametrize("name", STORED)
def test_the_results_of_the_book_are_fresh(name, monkeypatch):
    monkeypatch.setenv("BOOK_ROOT", str(ROOT))
    results.read(name)
