"""The viewer of one query in a real browser: what is moved, what follows, by mouse and by keyboard."""

import math

import pytest

from bookkit.viewers import query

pytestmark = pytest.mark.site

HOST = "document.querySelector('.bookkit-query')"
KEYS, VALUES = [(2, 0), (0, 0), (0, 2)], [(8, 0), (0, 0), (0, 8)]


def made(**options):
    shown = {"query": (2, 1), "axes": ("doer", "object"), "alt": "A query between two keys.", **options}
    return query.viewer(["Mary", "reads", "letters"], KEYS, VALUES, **shown).data


@pytest.fixture
def show(open_html):
    return lambda markup=None, **options: open_html(markup or made(), **options)


def column(page, number: int) -> list[float]:
    texts = page.locator(f".bk-query-live tbody td:nth-of-type({number})").all_text_contents()
    return [float(text.replace("−", "-")) for text in texts]


def softmax(scores: list[float]) -> list[float]:
    exponentials = [math.exp(score) for score in scores]
    return [one / sum(exponentials) for one in exponentials]


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_the_table_is_the_computation_on_paper(show, theme, width):
    visit = show(theme=theme, width=width)
    page = visit.page
    assert column(page, 1) == [4, 0, 2] and column(page, 2) == [2.83, 0, 1.41]
    assert column(page, 3) == pytest.approx(softmax([4 / 2**0.5, 0, 2**0.5]), abs=0.006)
    assert page.locator(".bk-query-said").inner_text() == "Query (2.0, 1.0). Weighted sum (6.14, 1.49)."
    visit.assert_quiet()


def test_the_keyboard_moves_the_query(show):
    visit = show()
    page = visit.page
    first, second = (page.get_by_role("slider", name=f"Query, {axis}") for axis in ("doer", "object"))
    first.press("Home")
    second.press("Home")
    assert column(page, 1) == [-6, 0, -6] and first.get_attribute("aria-valuetext") == "−3.0"
    assert max(column(page, 3)) == column(page, 3)[1] > 0.96
    second.press("End")
    second.press("ArrowLeft")
    assert column(page, 1) == pytest.approx([-6, 0, 5.8]) and column(page, 3)[2] > 0.97
    visit.assert_quiet()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_tip_is_dragged_and_a_click_sets_it(show, width):
    visit = show(width=width)
    page = visit.page
    page.locator(".bk-query-live .bk-query-plane").first.scroll_into_view_if_needed()
    grip = page.locator(".bk-query-grip").bounding_box()
    plane = page.locator(".bk-query-live .bk-query-plane").first.bounding_box()
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(plane["x"] + plane["width"] / 2, plane["y"] + plane["height"] / 2, steps=4)
    page.mouse.up()
    assert page.evaluate(f"{HOST}.bookkit.now.query") == pytest.approx([0, 0], abs=0.11)
    assert column(page, 3) == pytest.approx([1 / 3] * 3, abs=0.06)
    page.mouse.click(plane["x"] + plane["width"] / 6, plane["y"] + plane["height"] / 2)
    assert page.evaluate(f"{HOST}.bookkit.now.query") == pytest.approx([-2, 0], abs=0.11)
    assert column(page, 3)[0] < 0.1
    visit.assert_quiet()


def test_the_query_stays_in_its_plane(show):
    visit = show()
    assert visit.page.evaluate(f"({HOST}.bookkit.put(99, -99), {HOST}.bookkit.now.query)") == [3, -3]
    visit.assert_quiet()
