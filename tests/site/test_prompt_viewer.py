"""The viewer of a conversation in a browser: a token is selected with mouse and keys, and says where it comes from."""

import pytest
from viewer_samples import SAMPLES

pytestmark = pytest.mark.site

TOKEN = "button.bk-prompt-token"


@pytest.fixture
def visit(open_html):
    return open_html(SAMPLES["prompt"].markup())


def test_a_token_says_where_its_probability_comes_from(visit):
    page = visit.page
    told = page.locator(".bk-prompt-one > p")
    assert "Token 5 of 5, id 8, put there by the model" in told.text_content()  # what the model wrote comes first
    page.locator(TOKEN).nth(1).click()
    assert "computed from the 1 token before it" in told.text_content()
    assert page.locator(f"{TOKEN}.bk-prompt-later").count() == 3
    assert page.locator(".bk-prompt-bars li").count() == 2
    assert page.locator(".bk-prompt-bars li.bk-prompt-here").text_content().startswith("user")
    page.locator(TOKEN).first.click()
    assert "Nothing stands before it" in told.text_content()
    assert page.locator(".bk-prompt-bars li").count() == 0
    visit.assert_quiet()


def test_a_token_that_was_unlikely_is_shown_first(visit):
    visit.page.locator(TOKEN).nth(3).click()
    rows = visit.page.locator(".bk-prompt-bars li")
    assert rows.count() == 3 and rows.first.get_attribute("class") == "bk-prompt-here"


def test_keys_alone(visit):
    page = visit.page
    page.locator(TOKEN).first.focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert page.locator(f'{TOKEN}[aria-pressed="true"]').count() == 1
    page.get_by_role("button", name="one token back").click()
    page.keyboard.press("Enter")
    visit.assert_quiet()
