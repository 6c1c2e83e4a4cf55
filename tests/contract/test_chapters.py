"""Every chapter of the book keeps the contract: each rule of rules.py on each notebook of _toc.yml."""

import pytest
import rules
import second
from conftest import ROOT

from bookkit import chapters, notebooks, status

PAGES = [page for page in notebooks.pages(ROOT) if not page.startswith("notebooks/")]


def demand_none(problems):
    """Fail with the problems themselves, a line each, and no traceback."""
    if found := list(problems):
        pytest.fail("\n" + "\n".join(found), pytrace=False)


def rules_of(notebook):
    """The rules of a chapter's edition."""
    return rules.RULES + rules.FIRST if chapters.edition(notebook) == 1 else rules.RULES + second.RULES


def test_chapter_keeps_its_rules(book_chapter, subtests):
    notebook = notebooks.read(book_chapter)
    for rule in rules_of(notebook):
        with subtests.test(rule.__name__):
            demand_none(rule(notebook))


def test_links_of_a_chapter(book_chapter):
    demand_none(rules.links(book_chapter, ROOT, notebooks.pages(ROOT)))


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page(page):
    demand_none(rules.links(ROOT / f"{page}.md", ROOT, notebooks.pages(ROOT)))


def test_price_label(book_chapter):
    entry = status.read(ROOT)["chapters"].get(book_chapter.stem)
    demand_none(rules.price(notebooks.read(book_chapter), entry and status.price_label(entry)))


def test_numbers_in_the_prose(book_chapter, executed):
    demand_none(rules.numerals(notebooks.read(book_chapter), executed(book_chapter)))


def test_pictures_are_described(book_chapter, executed):
    demand_none(rules.described_pictures(executed(book_chapter)))
