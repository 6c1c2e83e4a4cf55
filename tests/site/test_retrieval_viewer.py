"""The viewer of retrieval in a real browser: questions, lists, marks, keyboard, hostile text."""

import pytest

from bookkit.viewers import retrieval
from bookkit.viewers.retrieval import Passage, Question

pytestmark = pytest.mark.site

PASSAGES = [Passage(f"Title {i}", f"Cats, number {i}: a cat's\n\ncatalogue of CATS.", f"#part-{i}") for i in range(6)]
QUESTIONS = [
    Question("What do cats eat?", {"BM25": [(3, 7.5), (1, 2.25)], "dense": [(1, 0.8), (4, 0.6)]}, [1], ["cats", "eat"]),
    Question("Who?", {"BM25": [(0, -1.0), (3, -5.5)], "dense": [(0, 0.3), (1, 0.2)]}, [5]),
    Question("Nothing?", {"BM25": [(2, 0.0)], "dense": [(2, 0.0)]}),
]
ALT = "Two lists of two passages each."


@pytest.fixture
def show(open_html):
    def show(questions=QUESTIONS, passages=PASSAGES, alt=ALT, **options):
        return open_html(retrieval.viewer(questions, passages, alt=alt).data, **options)

    return show


def state(page) -> str:
    return page.locator(".bk-retrieval > .bkv-note").text_content()


def pressed(page) -> list[str]:
    return page.locator(".bk-retrieval-hit[aria-pressed=true] bdi").all_inner_texts()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_compares_lists_and_reads_passages(show, theme, width):
    visit = show(theme=theme, width=width)
    page = visit.page
    assert state(page) == "BM25 has it in place 2; dense has it in place 1."
    assert page.locator(".bk-retrieval-open a").get_attribute("href") == "#part-3"
    assert page.locator(".bk-retrieval-open mark").all_inner_texts() == ["Cats", "CATS"]
    if width < 500:
        page.get_by_role("radio", name="dense").check(force=True)
        assert page.locator(".bk-retrieval-column:visible").count() == 1
    page.get_by_role("button", name="Title 1 ✓ (holds the answer)").last.click()
    assert (
        page.locator(".bk-retrieval-open .bkv-note").text_content()
        == "BM25: place 2; dense: place 1. It holds the answer."
    )
    assert set(pressed(page)) == {"Title 1"}
    page.get_by_role("button", name="Next question").click()
    assert page.locator(".bk-retrieval-asked").text_content() == "Who?"
    assert state(page) == "BM25 misses the answer; dense misses the answer."
    page.get_by_role("combobox", name="Question").select_option("Nothing?")
    assert state(page).startswith("The book does not answer this question")
    visit.assert_quiet()


def test_the_keyboard_reaches_everything_and_keeps_its_place(show):
    visit = show()
    page = visit.page
    page.get_by_role("combobox", name="Question").focus()
    page.keyboard.press("ArrowDown")
    assert page.locator(".bk-retrieval-asked").text_content() == "Who?"
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert pressed(page) == ["Title 3"]
    focused = "() => document.querySelector('.bookkit-retrieval').shadowRoot.activeElement.textContent"
    assert "Title 3" in page.evaluate(focused)
    visit.assert_quiet()


def test_bars_show_scores_of_any_sign(show):
    page = show().page
    page.get_by_role("button", name="Next question").click()
    shares = page.locator(".bk-retrieval-bar-of span").evaluate_all("(all) => all.map((one) => one.style.inlineSize)")
    assert shares == ["100%", "0%", "100%", "67%"]
