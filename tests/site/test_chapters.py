"""The interactive figures in the built chapters, where the reader meets them."""

import pytest
from test_token_viewer import FEED, READY, seen

pytestmark = pytest.mark.site


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_types_into_chapter_02(open_page, theme, width):
    visit = open_page("notebooks/02_tokenization.html", theme=theme, width=width)
    visit.page.evaluate(READY)
    visit.page.evaluate(FEED, "This is some text")
    assert seen(visit.page) == [("This", 1212), ("·is", 318), ("·some", 617), ("·text", 2420)]
    took = visit.page.evaluate(FEED, "The quick brown fox. " * 476)
    print(f"9,996 characters, {width} px: {took}")
    assert took["pieces"] > 2000
    visit.assert_quiet()
