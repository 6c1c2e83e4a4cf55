"""The sentence map in a real browser: pointer, keyboard, search, switching, hostile texts, accessibility."""

import math

import numpy as np
import pytest

from bookkit.viewers import sentence_map

pytestmark = pytest.mark.site

ALT = "Eighty made-up texts as points in two clouds."
TITLES = [f"word{i}" for i in range(80)]
GROUPS = ["left", "right"] * 40
TEXTS = [f"text number {i} about {'water' if i % 10 == 0 else 'stone'}" for i in range(80)]


def cloud(seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(80, 2))
    points[1::2, 0] += 6
    return points


@pytest.fixture
def show(open_html):
    def show_(texts=TEXTS, *, more="", settings=None, **options):
        given = {"titles": TITLES, "groups": GROUPS, "vectors": np.random.default_rng(9).normal(size=(80, 6))}
        given |= {"alt": ALT, "what": "texts", "notes": {"one": "A note."}, **(settings or {})}
        maps = {"one": cloud(1)[: len(texts)], "two": cloud(2)[: len(texts)]}
        visit = open_html(sentence_map.viewer(texts, maps, **given).data + more, **options)
        rest(visit.page)
        return visit

    return show_


def rest(page):
    page.wait_for_function(
        "() => [...document.querySelectorAll('.bookkit-sentence_map')].every((h) => !h.bookkit.moving)"
    )


def chosen(page) -> str:
    return page.locator(".bk-sentence_map-live .bk-sentence_map-title bdi").text_content()


def test_hover_shows_a_text_and_leaving_restores(show):
    visit = show()
    page = visit.page
    assert chosen(page) == "word0"
    page.locator(".bk-sentence_map-live circle").nth(7).hover()
    assert chosen(page) == "word7"
    assert page.locator(".bk-sentence_map-text").text_content() == TEXTS[7]
    assert page.locator(".bk-sentence_map-lines path").count() == 5
    page.locator(".bkv-top").last.hover()
    assert chosen(page) == "word0"
    visit.assert_quiet()


def test_click_chooses_and_neighbours_lead_on(show):
    page = show().page
    page.locator(".bk-sentence_map-live circle").nth(7).click()
    page.locator(".bkv-top").last.hover()
    assert chosen(page) == "word7"
    near = page.locator(".bk-sentence_map-near-list button").first
    name = near.text_content()
    near.click()
    assert chosen(page) == name
    cosines = [float(text) for text in page.locator(".bk-sentence_map-near-list b").all_text_contents()]
    assert len(cosines) == 5 and cosines == sorted(cosines, reverse=True)


def test_search_and_enter(show):
    visit = show()
    page = visit.page
    field = page.get_by_label("Search the texts")
    field.fill("WATER")
    assert page.locator(".bk-sentence_map-count").text_content() == "8 of 80 found"
    assert page.locator(".bk-sentence_map-live .bk-sentence_map-faded").count() > 60
    field.press("Enter")
    assert chosen(page) == "word10"
    field.press("Enter")
    assert chosen(page) == "word20"
    field.press("Shift+Enter")
    assert chosen(page) == "word10"
    page.wait_for_timeout(600)
    assert page.locator('[aria-live="polite"]').last.text_content() == f"word10: {TEXTS[10]}"
    field.press("Escape")
    assert field.input_value() == "" and page.locator(".bk-sentence_map-count").text_content() == "80 texts"
    field.fill("nothing like this")
    assert page.locator(".bk-sentence_map-count").text_content() == "0 of 80 found"
    page.locator(".bk-sentence_map-live select").select_option(label="left")
    field.fill("")
    assert page.locator(".bk-sentence_map-count").text_content() == "40 of 80 found"
    visit.assert_quiet()


def test_keyboard_alone(show):
    visit = show()
    page = visit.page
    page.get_by_label("Search the texts").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    focused = "document.querySelector('.bookkit-sentence_map').shadowRoot.activeElement"
    assert page.evaluate(f"{focused}.getAttribute('role')") == "option"
    place = "document.querySelector('.bookkit-sentence_map').bookkit.at"
    now = "document.querySelector('.bookkit-sentence_map').bookkit.now.at"
    for key, axis, sign in (("ArrowRight", 0, 1), ("ArrowLeft", 0, -1), ("ArrowDown", 1, 1), ("ArrowUp", 1, -1)):
        before = page.evaluate(f"{place}({now})")
        page.keyboard.press(key)
        after = page.evaluate(f"{place}({now})")
        assert sign * (after[axis] - before[axis]) > 0, key
    page.keyboard.press("End")
    assert chosen(page) == "word79"
    assert page.evaluate(f"{focused}.getAttribute('aria-selected')") == "true"
    assert page.evaluate(f"{focused}.getAttribute('aria-label')") == f"word79: {TEXTS[79]}"
    visit.assert_quiet()


def test_switching_moves_every_point_and_keeps_the_choice(show):
    visit = show()
    page = visit.page
    page.locator(".bk-sentence_map-live circle").nth(5).click()
    at = "(i) => document.querySelector('.bookkit-sentence_map').bookkit.at(i)"
    before = [page.evaluate(at, i) for i in range(80)]
    assert page.get_by_text("A note.").is_visible()
    page.get_by_role("radio", name="two").check()
    rest(page)
    after = [page.evaluate(at, i) for i in range(80)]
    assert chosen(page) == "word5" and sum(math.dist(*pair) > 3 for pair in zip(before, after, strict=True)) > 70
    assert not page.get_by_text("A note.").is_visible()
    frames = page.evaluate("document.querySelector('.bookkit-sentence_map').bookkit.frames")
    print(f"{len(frames)} frames, the slowest took {max(frames):.1f} ms")
    assert len(frames) > 2
    head = page.locator(".bk-sentence_map-near-head").text_content()
    ids = page.evaluate("document.querySelector('.bookkit-sentence_map').bookkit.now.at")
    dots = np.array(after)
    order = np.argsort(((dots - dots[ids]) ** 2).sum(1))[1:6]
    listed = page.locator(".bk-sentence_map-near-list button").all_text_contents()
    assert f"{len({TITLES[i] for i in order} & set(listed))} of these 5" in head
    visit.assert_quiet()


def test_reduced_motion_jumps(show):
    page = show(reduced_motion="reduce").page
    page.get_by_role("radio", name="two").check()
    assert page.evaluate("document.querySelector('.bookkit-sentence_map').bookkit.frames.length") == 1
