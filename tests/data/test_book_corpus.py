"""The snapshot of the book: complete, and without what it is asked in vain."""

import json
from pathlib import Path

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


def test_what_is_not_in_the_book_is_not_in_it(frozen, items):
    text = flat(" ".join(f"{section.title} {section.text()}" for section in frozen)).lower()
    found = [(item["id"], term) for item in items for term in item.get("absent", []) if f" {term.lower()} " in text]
    assert not found


def test_links_from_the_snapshot_lead_to_a_page_or_nowhere(frozen):
    """A page of the first edition may be gone; then its name is shown without a link."""
    gone = passages.Section("notebooks/00_never.ipynb", ("Never",), "never", 1, ())
    assert passages.page_today(gone) == ""
    listed = set(passages.documents(ROOT))
    for section in frozen:
        link = passages.page_today(section)
        assert "#" not in link and bool(link) == (ROOT / section.document).is_file()
        if link:
            target = (ROOT / "notebooks" / link).resolve().relative_to(ROOT).with_suffix("")
            assert target == Path(section.document).with_suffix("") and section.document in listed
