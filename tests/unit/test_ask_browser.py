"""The passages of the search lab: what is written, what is encoded again, and what is told."""

import json

import numpy as np
import pytest

from bookkit import BookError
from bookkit.ask import browser, passages


class Standin:
    """An encoder that knows letters only, and counts what it reads."""

    record = {"sha256": "0" * 64}

    def __init__(self):
        self.read = []

    def __call__(self, texts):
        texts = list(texts)
        self.read += texts
        counts = np.array([[text.count(letter) + 0.01 for letter in "aeiou"] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.setenv("BOOKKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(browser.paths, "root", lambda: tmp_path)
    for name, text in {
        "book/index.md": "# A cat\n\nAll of it.\n\n## Its food\n\nIt eats fish. 🐟\n",
        "book/two.md": "# Two\n\n```python\nx = 1\n```\n",
        "book/lab/search.md": "# Search\n\nAsk about fish.\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    toc = "root: book/index\nchapters:\n  - file: book/two\n  - file: book/lab/search\n"
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    return tmp_path


def written(book, encoder):
    said = []
    browser.write(book, encoder, book / "made", said.append)
    listing = json.loads((book / "made" / "passages.json").read_text(encoding="utf-8"))
    packed, count = (book / "made" / "passages.bin").read_bytes(), len(listing["passages"])
    scale = np.frombuffer(packed[: 4 * count], np.float32)
    return listing, np.frombuffer(packed[4 * count :], np.int8).reshape(count, -1) * scale[:, None], said


def test_passages_carry_address_and_vector(book):
    encoder = Standin()
    listing, vectors, said = written(book, encoder)
    assert listing["pages"][0] == ["A cat", "book/index.html"]
    assert [0, "its-food", "Its food", "It eats fish. 🐟"] in listing["passages"]
    assert all("Ask about fish" not in text for *_, text in listing["passages"])
    wanted = Standin()(encoder.read)
    assert np.abs(vectors - wanted).max() < 0.01 and (vectors * wanted).sum(axis=1).min() > 0.999
    assert len(said) == 1


def test_only_what_has_changed_is_encoded_again(book):
    before = written(book, Standin())
    again = Standin()
    listing, vectors, said = written(book, again)
    assert (listing, again.read, said) == (before[0], [], []) and (vectors == before[1]).all()
    page = book / "book" / "index.md"
    page.write_text(page.read_text(encoding="utf-8").replace("eats fish", "drinks milk"), encoding="utf-8")
    listing, vectors, said = written(book, again)
    assert again.read == ["A cat › Its food\nIt drinks milk. 🐟"] and len(said) == 1


def test_a_damaged_store_of_vectors_is_made_anew(book):
    before = written(book, Standin())
    (shelf,) = (book / "cache" / "search-lab").glob("*.npz")
    shelf.write_bytes(shelf.read_bytes()[:100])
    assert (written(book, Standin())[1] == before[1]).all()


def test_without_the_model_there_is_a_sentence(book, monkeypatch):
    monkeypatch.setattr(browser, "folder", lambda: None)
    with pytest.raises(BookError, match="python -m bookkit fetch embedder"):
        browser.Encoder(book)


def test_passages_are_those_of_the_search_that_answers(book):
    """`python -m bookkit ask` and the lab cut the book alike."""
    listing, *_ = written(book, Standin())
    pieces = [text for section in passages.book(book) for text in passages.pieces(section)]
    kept = [text.partition("\n")[2] for text in pieces if "Ask about fish" not in text]
    assert [text for *_, text in listing["passages"]] == kept
