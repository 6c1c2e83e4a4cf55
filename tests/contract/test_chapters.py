"""Every chapter of the book keeps the contract: each rule of rules.py on each notebook of _toc.yml."""

import pytest
import rules
from conftest import ROOT

from bookkit import notebooks, status

PAGES = [page for page in notebooks.pages(ROOT) if not page.startswith("notebooks/")]


def demand_none(problems):
    """Fail with the problems themselves, a line each, and no traceback."""
    if found := list(problems):
        pytest.fail("\n" + "\n".join(found), pytrace=False)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_chapter_keeps(rule, book_chapter):
    demand_none(rule(notebooks.read(book_chapter)))


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
