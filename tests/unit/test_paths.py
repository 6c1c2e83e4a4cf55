"""bookkit.paths: where the root of the book, its data and the cache are."""

from pathlib import Path

import pytest

import bookkit
from bookkit import BookError, paths


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """The root of a book that holds nothing but an empty registry."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models.yml").write_text("roles: {}")
    monkeypatch.setenv("BOOK_ROOT", str(tmp_path))
    return tmp_path.resolve()


def test_data(root):
    (root / "data" / "words.txt").write_text("naïve", encoding="utf-8")
    assert bookkit.data("words.txt") == root / "data" / "words.txt"
    assert bookkit.read_text("words.txt") == "naïve"
    for call in (bookkit.data, bookkit.read_text):
        with pytest.raises(BookError, match="data/wrods.txt is missing: .*"):
            call("wrods.txt")


def test_a_tilde_in_a_variable_is_the_home_folder(root, monkeypatch):
    """A shell puts the folder in its place; what reads the variables from a file does not."""
    monkeypatch.setenv("HOME", str(root.parent))
    monkeypatch.setenv("BOOK_ROOT", f"~/{root.name}")
    monkeypatch.delenv("BOOKKIT_CACHE", raising=False)
    assert paths.root() == root
    monkeypatch.setenv("XDG_CACHE_HOME", "~/kept")
    assert paths.cache() == root.parent / "kept" / "bookkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert paths.cache() == root.parent / ".cache" / "bookkit"


def test_corpus_that_is_not_utf8(root):
    (root / "data" / "latin.txt").write_bytes("so naïve".encode("latin-1"))
    with pytest.raises(BookError, match=r"data/latin.txt is not UTF-8 \(byte 5 is 0xef\)"):
        bookkit.read_text("latin.txt")


def test_root_that_is_not_a_book(monkeypatch, tmp_path):
    monkeypatch.setenv("BOOK_ROOT", str(tmp_path))
    with pytest.raises(BookError, match="There is no data/models.yml in BOOK_ROOT") as caught:
        bookkit.data("x")
    assert str(tmp_path) in str(caught.value)


def test_the_root_is_found_from_below(root, monkeypatch):
    (root / "notebooks" / "drafts").mkdir(parents=True)
    monkeypatch.delenv("BOOK_ROOT")
    monkeypatch.chdir(root / "notebooks" / "drafts")
    assert paths.root() == root


def test_relative_cache_lies_below_the_root(root, monkeypatch):
    monkeypatch.setenv("BOOKKIT_CACHE", "_build/cache")
    assert paths.cache() == root / "_build" / "cache"
    monkeypatch.delenv("BOOKKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert paths.cache() == Path("/somewhere/bookkit")
