"""A lab inside a chapter: nothing of it is there before the reader comes near, and then it is the lab."""

import re

import pytest
from harness import COMBINATIONS, assert_no_wider

pytestmark = pytest.mark.site

PAGES = {
    "notebooks/03_embeddings.html": "search",
    "notebooks/04_attention.html": "text",
    "notebooks/05_gpt_from_scratch.html": "text",
    "notebooks/07_gpt2_generation.html": "text",
    "notebooks/10_stable_diffusion.html": "pictures",
    "notebooks/14_rag.html": "search",
}
BEGUN = """async (host) => {
  while (!host.bookkit.ready) await new Promise(requestAnimationFrame);
  await host.bookkit.ready;
}"""


@pytest.mark.parametrize("path", PAGES)
def test_a_lab_begins_when_the_reader_comes_near(open_page, path):
    theme, width = COMBINATIONS[list(PAGES).index(path) % 2]
    visit = open_page(path, theme=theme, width=width)
    host = visit.page.locator(".bookkit-lab")
    assert host.get_attribute("data-lab") == PAGES[path]
    assert not [url for url in visit.own if re.search(r"/lab/(files/|\w+/example)", url)], "a lab began by itself"
    host.scroll_into_view_if_needed()
    host.evaluate(BEGUN)
    host.get_by_role("button", name=re.compile(r"^Load \(\d+ MB\)")).wait_for()
    assert not [url for url in visit.own if "/lab/files/" in url], "a model was loaded before the button was pressed"
    assert not host.locator("> p > a").is_visible(), "the note that stood there is still seen"
    assert_no_wider(visit.page)
    visit.assert_quiet()


def test_in_chapter_04_it_opens_at_attention_and_runs(open_page):
    visit = open_page("notebooks/04_attention.html")
    host = visit.page.locator(".bookkit-lab")
    host.scroll_into_view_if_needed()
    host.evaluate(BEGUN)
    assert host.get_by_role("radio", name="Attention").is_checked()
    host.get_by_role("button", name=re.compile("^Load")).click()
    host.get_by_role("button", name="Write", exact=True).wait_for(timeout=120_000)
    host.get_by_text("Where each token looks").wait_for()
    visit.assert_quiet()
