"""The frozen text of the book: complete, and still the text that the questions are about."""

import json

import pytest
from conftest import ROOT

from bookkit.ask import passages


@pytest.fixture(scope="module")
def frozen() -> list[passages.Section]:
    return passages.frozen()


@pytest.fixture(scope="module")
def items() -> list[dict]:
    lines = (ROOT / "data" / "questions" / "book_qa.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def flat(text: str) -> str:
    """Text with every run of white space as one blank."""
    return " ".join(text.split())


def test_figures_of_the_datasheet(frozen):
    datasheet = (ROOT / "data" / "corpora" / "book" / "DATASHEET.md").read_text(encoding="utf-8")
    words = sum(len(section.text().split()) for section in frozen)
    pages = {section.document for section in frozen}
    assert f"{len(frozen)} sections of {len(pages)} pages, {words:,} words" in datasheet


def test_every_section_has_text_and_its_own_address(frozen):
    assert all(section.text().strip() and section.anchor and section.trail for section in frozen)
    assert len({(section.document, section.anchor) for section in frozen}) == len(frozen)
    assert {kind for section in frozen for kind, _ in section.parts} == {passages.PROSE, passages.OUTPUT}


def test_gold_passages_stand_in_it(frozen, items):
    """A quote that was mended for an edited page may be missing. Where a heading was renamed, or many quotes are gone,
    make the frozen text anew and run chapter 14's sweeps again.
    """
    book = {(section.document, section.anchor): flat(section.text()) for section in frozen}
    golds = [gold for item in items for gold in item["gold"]]
    assert not [gold for gold in golds if (gold["document"], gold["anchor"]) not in book]
    lost = [gold["quote"] for gold in golds if flat(gold["quote"]) not in book[gold["document"], gold["anchor"]]]
    assert len(lost) < len(golds) / 20, lost


def test_what_is_not_in_the_book_is_not_in_it(frozen, items):
    text = flat(" ".join(f"{section.title} {section.text()}" for section in frozen)).lower()
    found = [(item["id"], term) for item in items for term in item.get("absent", []) if f" {term.lower()} " in text]
    assert not found
