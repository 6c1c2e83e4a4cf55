"""The sentence map where the reader meets it, in the built chapter 03."""

import pytest
from test_sentence_map import chosen, rest

pytestmark = pytest.mark.site


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_searches_the_map_of_chapter_03(open_page, theme, width):
    visit = open_page("notebooks/03_embeddings.html", theme=theme, width=width)
    page = visit.page
    rest(page)
    assert chosen(page) == "vulture" and page.locator(".bkm-live circle").count() == 400
    field = page.get_by_label("Search the definitions")
    field.fill("queen")
    field.press("Enter")
    assert "queen" in page.locator(".bkm-live .bkm-side").inner_text()
    page.get_by_role("radio", name="PCA").check()
    rest(page)
    frames = page.evaluate("document.querySelector('.bookkit-sentence-map').bookkit.frames")
    print(f"{width} px: {len(frames)} frames, the slowest took {max(frames):.1f} ms")
    assert "of these 5" in page.locator(".bkm-near-head").text_content()
    visit.assert_quiet()
