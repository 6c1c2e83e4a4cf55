"""The easy questions: the form of book_qa.jsonl, in the documents' own words, and answered by one piece of text."""

import re

import pytest
from conftest import ROOT
from test_book_qa import FIELDS, FORMS, by_address, content_bigrams, flat, has, numbers, read

from bookkit.ask import passages

PATH = ROOT / "data" / "questions" / "book_easy.jsonl"


@pytest.fixture(scope="module")
def items() -> list[dict]:
    return read(PATH)


@pytest.fixture(scope="module")
def frozen() -> dict[tuple[str, str], passages.Section]:
    return by_address()


def test_sixty_of_one_kind(items):
    assert [item["id"] for item in items] == [f"e{number:02}" for number in range(1, 61)]
    assert len({flat(item["question"]).lower() for item in items}) == 60
    for item in items:
        assert item.keys() == FIELDS.keys(), item["id"]
        assert item["answerable"] and item["kind"] == "lookup" and item["half"] == "held-back"
        assert item["form"] in FORMS and {gold["part"] for gold in item["gold"]} == {1}, item["id"]


def test_answers_are_a_few_words(items):
    for item in items:
        assert 1 <= len(item["answer"].split()) <= 7, item["id"]
        assert any(has(text, item["answer"]) for text in item["accepts"]), item["id"]
        assert not any(has(text, item["question"]) for text in item["accepts"]), f"{item['id']} gives its answer away"


def test_the_piece_with_the_quote_holds_the_answer(items, frozen):
    """That one piece is shown alone as "the right passage", so it must be enough."""
    for item in items:
        for gold in item["gold"]:
            assert 4 <= len(gold["quote"].split()) <= 15, f"{item['id']}: {gold['quote']}"
            section = frozen[gold["document"], gold["anchor"]]
            held = [text for text in passages.pieces(section) if flat(gold["quote"]) in flat(text)]
            assert held, f"{item['id']}: no piece of {gold['document']}#{gold['anchor']} holds {gold['quote']!r}"
            assert any(has(text, held[0]) for text in item["accepts"]), f"{item['id']}: {held[0]}"
        first = frozen[item["gold"][0]["document"], item["gold"][0]["anchor"]]
        assert numbers(item["answer"]) <= numbers(f"{first.title}\n{first.text()}"), item["id"]


def test_most_are_in_the_documents_words(items, frozen):
    """Where book_qa avoids pairs of neighbouring words that its passages have, these share some."""
    shared = 0
    for item in items:
        texts = [frozen[gold["document"], gold["anchor"]] for gold in item["gold"]]
        pairs = set().union(*(content_bigrams(f"{section.title}\n{section.text()}") for section in texts))
        shared += bool(content_bigrams(item["question"]) & pairs)
    assert shared >= 50


def test_the_datasheet_tells_of_them():
    text = (PATH.parent / "README.md").read_text(encoding="utf-8")
    assert re.search(r"## book_easy\.jsonl", text)
