"""The beam-search viewer in a real browser: it unfolds, by mouse and by keyboard, and says what is true."""

import math

import numpy as np
import pytest
from viewer_samples import beams

from bookkit.viewers import branches

pytestmark = pytest.mark.site

HOST = "document.querySelector('.bookkit-branches')"


def one(token, log_prob, parent=None, **flags):
    return {"token": token, "log_prob": log_prob, "parent": parent, **flags}


# Greedy takes "a" and then "z"; two beams find "b y", which is likelier.
STEPS = [
    [one(" a", -0.6), one(" b", -0.9), one(" c", -3.0, kept=False)],
    [one(" y", -0.1, 1), one(" z", -1.4, 0), one(" x", -1.5, 0, kept=False)],
    [one(" s", -0.2, 0), one(" t", -0.3, 0), one(" u", -2.0, 1, kept=False)],
]


@pytest.fixture
def show(open_html):
    def show_(steps=STEPS, *, viewer=None, **options):
        return open_html(branches.viewer(steps, prompt="Go", **(viewer or {})).data, **options)

    return show_


def green(page) -> list[str]:
    return page.locator(".bk-branches-node.bk-branches-best .bkv-token").all_text_contents()


def test_unfolding_with_the_slider(show):
    visit = show()
    page = visit.page
    slider = page.get_by_role("slider", name="Steps unfolded")
    assert slider.get_attribute("aria-valuetext") == "step 3 of 3"
    assert green(page) == ["·b", "·y", "·s"]
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator(".bk-branches-node:visible").count() == 3 and green(page) == ["·a"]
    page.keyboard.press("ArrowRight")
    assert page.locator(".bk-branches-node:visible").count() == 6 and green(page) == ["·b", "·y"]
    said = page.locator(".bk-branches-said").inner_text()
    assert "Go·b·y" in said and "Log-probability −1.00 = −0.90 − 0.10" in said
    assert f"which is {math.exp(-1) * 100:.0f} %; 1 of 3 in step 2. It is kept." in said
    page.wait_for_timeout(450)
    assert page.locator(".bkv-sr").text_content().startswith("Step 2: Go·b·y")
    visit.assert_quiet()


def test_greedy_s_way_is_found_and_where_it_is_dropped(show):
    page = show().page
    assert page.evaluate(f"{HOST}.bookkit.greedy") == ["0,0", "1,1", "2,2"]
    page.get_by_role("option", name="u, total").click()
    said = page.locator(".bk-branches-said").inner_text()
    assert "Go·a·z·u" in said and "It is dropped. Greedy search would have gone on from here." in said


def test_keyboard_alone(show):
    visit = show()
    page = visit.page
    active = f"{HOST}.shadowRoot.activeElement"
    roles = []
    for _ in range(3):
        page.keyboard.press("Tab")
        roles.append(page.evaluate(f"{active}.getAttribute('role') ?? {active}.type"))
    assert roles == ["range", "button", "option"]
    label = f"{active}.ariaLabel"
    assert page.evaluate(label) == "step 3, s, total −1.20"
    for key, name in (
        ("ArrowDown", "step 3, t, total −1.30"),
        ("ArrowLeft", "step 2, y, total −1.00"),
        ("ArrowLeft", "step 1, b, total −0.90"),
        ("ArrowLeft", "step 1, b, total −0.90"),
        ("ArrowDown", "step 1, c, total −3.00, dropped"),
        ("ArrowRight", "step 1, c, total −3.00, dropped"),
        ("Home", "step 1, a, total −0.60"),
        ("ArrowRight", "step 2, z, total −2.00"),
        ("End", "step 3, s, total −1.20"),
    ):
        page.keyboard.press(key)
        assert page.evaluate(label) == name, key
    visit.assert_quiet()


def test_play_and_reduced_motion(show):
    page = show(viewer={"step": 1}).page
    page.get_by_role("button", name="Unfold").click()
    page.get_by_role("option", name="step 3, s").wait_for(timeout=8_000)
    page.get_by_role("button", name="Unfold").wait_for(timeout=8_000)
    still = show(viewer={"step": 1}, reduced_motion="reduce").page
    still.get_by_role("button", name="Unfold").click()
    assert still.evaluate(f"{HOST}.bookkit.now.step") == 1
    assert still.evaluate("document.getAnimations().length") == 0


def test_the_best_text_is_the_one_of_highest_total(show):
    steps = beams(8)
    page = show(steps).page
    for step in range(len(steps)):
        page.evaluate(f"{HOST}.bookkit.unfold({step})")
        assert page.locator('[aria-selected="true"] .bkv-token').text_content() == f"·t{step}0"
    times = page.evaluate(
        f"""() => Array.from({{length: 40}}, (_, i) => {{
          const began = performance.now();
          {HOST}.bookkit.unfold(i % 8);
          {HOST}.shadowRoot.querySelector('.bkv').getBoundingClientRect();
          return performance.now() - began;
        }})"""
    )
    print(f"unfolding a step, script and layout: {np.median(times):.1f} ms (at most {max(times):.1f})")
    assert np.median(times) < 500


def test_an_ended_text_may_stay_the_best(show):
    steps = [[one(" a", -0.5), one("<end>", -0.7, finished=True)], [one(" b", -1.0, 0), one(" c", -2.0, 0)]]
    page = show(steps).page
    assert green(page) == ["<end>"]
    assert "It has ended." in page.locator(".bk-branches-said").inner_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_newest_step_is_in_sight_without_scrolling(show, width):
    page = show(beams(12), width=width).page
    box = page.locator('[aria-selected="true"]').bounding_box()
    assert 0 <= box["x"] and box["x"] + box["width"] <= width
