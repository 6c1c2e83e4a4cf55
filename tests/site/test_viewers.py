"""What holds of every viewer in a real browser, asked of the samples in tests/viewer_samples.py."""

import json

import pytest
from harness import ALIVE, COMBINATIONS, assert_accessible, assert_no_wider, insert_as_notebook
from hostile import viewer_hostile_strings
from viewer_samples import SAMPLES

pytestmark = pytest.mark.site

every_viewer = pytest.mark.parametrize("name", SAMPLES)

NASTY = "</script><script>window.__pwned = true</script><img src=x onerror='window.__pwned = true'><!--"
FIRST = (
    NASTY,
    "<!--<script>window.__pwned = true",
    "]]><svg onload='window.__pwned = true'>",
    f"</textarea></noscript></style></select>{NASTY}",
)
"""Each stands once where a viewer takes a single text: title, prompt, text alternative."""

# Size, colours, letters and words of everything in a viewer: of what stands on the page and of what is alive.
LOOK = """(host) => [host, host.shadowRoot].filter(Boolean).flatMap((root) =>
  [...root.querySelectorAll(':not(style, script, slot, .bkv-sr)')].map((e) => {
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    return [e.tagName, e.getAttribute('class'), Math.round(box.width), Math.round(box.height), style.display,
      style.color, style.fill, style.stroke, style.backgroundColor, style.font, style.margin, style.padding,
      style.border, style.opacity, e.children.length ? '' : e.textContent].join(' | ');
  }))"""


def look(page, name: str, place: int = 0) -> list[str]:
    return page.locator(f".bookkit-{name}").nth(place).evaluate(LOOK)


@pytest.fixture
def show(open_html):
    """show(markup, theme=…, width=…) opens a page that holds this markup, and waits until its viewers stand still."""

    def show_(markup: str, **options):
        visit = open_html(markup, reduced_motion="reduce", **options)
        visit.page.evaluate(ALIVE)
        return visit

    return show_


@every_viewer
def test_hostile_text_is_only_text(show, name):
    sample = SAMPLES[name]
    texts = [FIRST[0], *viewer_hostile_strings, *FIRST[1:]]
    one = show(sample.hostile(texts))
    sample.read(one.page, texts)
    others = show("".join(sample.hostile([first, *viewer_hostile_strings]) for first in FIRST[1:]))
    for visit, many in ((one, 1), (others, len(FIRST) - 1)):
        assert visit.page.evaluate("window.__pwned") is None
        assert visit.page.locator("img:not([src^='data:']), svg[onload]").count() == 0
        assert visit.page.locator("main script").count() == many
        visit.assert_quiet()


@every_viewer
def test_two_of_one_kind_leave_each_other_alone(show, name):
    sample = SAMPLES[name]
    visit = show(sample.markup() + sample.markup())
    alone = look(show(sample.markup()).page, name)
    assert look(visit.page, name, 0) == look(visit.page, name, 1) == alone
    for _ in sample.states(visit.page.locator(f".bookkit-{name}").first):
        pass
    assert look(visit.page, name, 1) == alone
    visit.assert_quiet()


@pytest.mark.parametrize("script", [True, False], ids=["alive", "without JavaScript"])
def test_any_viewers_stand_on_one_page(show, open_without_javascript, script):
    """Before all others and after them: a viewer's style can neither touch theirs nor yield to it."""

    def opened(markup):
        return show(markup).page if script else open_without_javascript(markup)

    markups = {name: sample.markup() for name, sample in SAMPLES.items()}
    crowd = opened("".join([*markups.values(), *markups.values()]))
    changed = {}
    for name, markup in markups.items():
        alone = look(opened(markup), name)
        for place in (0, 1):
            for one, other in zip(alone, look(crowd, name, place), strict=True):
                if one != other:
                    changed.setdefault(name, (one, other))
    assert not changed, f"alone and beside the others: {json.dumps(changed, indent=1)}"


@every_viewer
def test_a_notebook_may_insert_it_twice(show, name):
    markup = SAMPLES[name].markup()
    visit = show("<p>before</p>")
    for _ in range(2):  # two views of one output
        insert_as_notebook(visit.page, markup)
    visit.page.evaluate(ALIVE)
    alone = look(show(markup).page, name)
    assert look(visit.page, name, 0) == look(visit.page, name, 1) == alone
    visit.assert_quiet()


@every_viewer
def test_without_javascript(open_without_javascript, name):
    page = open_without_javascript(SAMPLES[name].markup(), width=390)
    selector, count = SAMPLES[name].still
    parts = page.locator(f".bookkit-{name} .bookkit-static").locator(selector)
    assert parts.count() == count and parts.first.is_visible()
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    assert page.locator("noscript p").is_visible()
    assert_no_wider(page)


@every_viewer
@pytest.mark.parametrize(("theme", "width"), COMBINATIONS)
def test_accessible_and_within_the_page(show, name, theme, width):
    visit = show(SAMPLES[name].markup(), theme=theme, width=width)
    page = visit.page
    for _ in SAMPLES[name].states(page):
        page.evaluate(ALIVE)
        assert_accessible(page)
        assert_no_wider(page)
        assert page.evaluate("document.getAnimations().length") == 0, "who wants no motion sees none"
    ground = page.locator(f".bookkit-{name}").evaluate("(host) => getComputedStyle(host).backgroundColor")
    assert (int(ground.split("(")[1].split(",")[0]) < 80) is (theme == "dark")
    visit.assert_quiet()


def test_axe_tells_of_letters_that_cannot_be_read(open_html):
    """Outside code every letter is judged; code's colours are judged from the style sheet (test_pages.py)."""
    pale = '<p style="color: #bbb; background: #fff">Nobody can read this.</p>'
    with pytest.raises(AssertionError, match="color-contrast"):
        assert_accessible(open_html(pale).page)
    assert_accessible(open_html(f'<div class="highlight"><pre tabindex="0"><span>{pale}</span></pre></div>').page)
