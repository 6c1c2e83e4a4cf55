"""The viewer of a training in a real browser: slider, tokens, keyboard, hostile text."""

import pytest

from bookkit.viewers import learning
from bookkit.viewers.learning import Stage

pytestmark = pytest.mark.site

PASSAGE = ["Once", " upon", " a", " time"]
STAGES = [
    Stage("after 0 steps", [9.0, 8.5, 8.7, 8.8], "qx zz"),
    Stage("after 50 steps", [6.0, 5.0, 3.0, 4.0], "the the"),
    Stage("after 100 steps", [5.0, 0.1, 1.0, 0.5], "Once upon a day"),
]


@pytest.fixture
def show(open_html):
    return lambda passage=PASSAGE, stages=STAGES, **options: open_html(learning.viewer(passage, stages).data, **options)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_the_slider_moves_through_the_training(show, theme, width):
    visit = show(theme=theme, width=width)
    page = visit.page
    slider = page.get_by_role("slider", name="Stage of the training")
    assert slider.get_attribute("aria-valuetext") == "after 0 steps, 8.75 nats a token"
    assert page.locator(".bk-learning-written q").inner_text() == "qx zz"
    deep = page.locator("button.bk-learning-token").nth(1).evaluate("e => getComputedStyle(e).backgroundColor")
    slider.focus()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "after 100 steps, 1.65 nats a token"
    assert page.locator(".bk-learning-written q").inner_text() == "Once upon a day"
    pale = page.locator("button.bk-learning-token").nth(1).evaluate("e => getComputedStyle(e).backgroundColor")
    assert pale != deep
    page.keyboard.press("ArrowLeft")
    assert page.locator("li.bk-learning-now").inner_text().split("\n")[0] == "after 50 steps"
    visit.assert_quiet()


def test_a_token_is_followed_by_click_and_by_keyboard(show):
    visit = show()
    page = visit.page
    page.get_by_role("slider", name="Stage of the training").press("End")
    # At first, the token that was learned best.
    assert page.locator("button.bk-learning-token[aria-pressed=true]").inner_text() == "·upon"
    assert "a probability of 90 %" in page.locator(".bk-learning-one p").inner_text()
    page.get_by_role("button", name="Once, 5.0 nats").click()
    assert "one chance in 148" in page.locator(".bk-learning-one p").inner_text()
    assert [t.split("\n")[-1] for t in page.locator(".bk-learning-bars li").all_inner_texts()] == [
        "9.0 nats",
        "6.0 nats",
        "5.0 nats",
    ]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("button.bk-learning-token[aria-pressed=true]").inner_text() == "·upon"
    visit.assert_quiet()
