"""The viewer of a trajectory in a real browser: slider, play, dials, keyboard, hostile text."""

import numpy as np
import pytest

from bookkit.viewers import trajectory
from bookkit.viewers.trajectory import Run

pytestmark = pytest.mark.site

STEPS, SIDE = 8, 32
COLOURS = {("1", "0"): (220, 30, 30), ("1", "1"): (30, 160, 60), ("5", "0"): (30, 60, 220), ("5", "1"): (240, 200, 40)}


def run(colour, names=("subject", "background")) -> Run:
    """Grey gives way to a colour; the network expects the colour from the middle on."""
    shares = np.linspace(0, 1, STEPS + 1)
    held = np.stack([np.full((SIDE, SIDE, 3), 128 + share * (np.array(colour) - 128)) for share in shares])
    expected = np.stack([np.full((SIDE, SIDE, 3), colour if share >= 0.5 else 128) for share in shares])
    scores = {name: shares ** (place + 1) for place, name in enumerate(names)}
    return Run(held.astype(np.uint8), expected.astype(np.uint8), scores)


RUNS = {key: run(colour) for key, colour in COLOURS.items()}
ALT = "Grey gives way to red."


@pytest.fixture
def show(open_html):
    def show(runs=RUNS, prompt="a pear", **options):
        visit = open_html(trajectory.viewer(runs, prompt=prompt, alt=ALT).data, **options)
        visit.page.wait_for_function(
            "() => document.querySelector('.bookkit-trajectory').bookkit.pixel(0, 4, 4)[3] === 255"
        )
        return visit

    return show


def colour(page, row: int) -> list[int]:
    return page.locator(".bookkit-trajectory").evaluate("(host, row) => host.bookkit.pixel(row, 9, 9)", row)[:3]


def close(found, wanted) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) < 14


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_scrubs_and_turns_the_dials(show, theme, width):
    visit = show(theme=theme, width=width)
    page = visit.page
    slider = page.get_by_role("slider", name="Step")
    assert slider.get_attribute("aria-valuetext") == "step 0 of 8"
    assert close(colour(page, 0), (128, 128, 128)) and close(colour(page, 1), (128, 128, 128))
    slider.focus()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "step 8 of 8"
    assert close(colour(page, 0), COLOURS["1", "0"]) and close(colour(page, 1), COLOURS["1", "0"])
    page.keyboard.press("Home")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "step 4 of 8"
    assert close(colour(page, 1), COLOURS["1", "0"]) and not close(colour(page, 0), COLOURS["1", "0"])
    assert page.locator("li.bk-trajectory-value").all_inner_texts() == ["subject: 50 %", "background: 25 %"]
    page.get_by_role("radiogroup", name="Guidance").get_by_role("radio", name="5").check()
    assert close(colour(page, 1), COLOURS["5", "0"])
    page.get_by_role("radiogroup", name="Seed").get_by_role("radio", name="1").check()
    assert close(colour(page, 1), COLOURS["5", "1"])
    assert slider.get_attribute("aria-valuetext") == "step 4 of 8"
    visit.assert_quiet()


def test_it_plays_to_the_end_and_can_be_paused(show):
    visit = show()
    page = visit.page
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => document.querySelector('.bookkit-trajectory').bookkit.now.step > 1")
    page.get_by_role("button", name="Pause").click()
    held = page.locator(".bookkit-trajectory").evaluate("host => host.bookkit.now.step")
    assert held == int(held) and 1 <= held < STEPS
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Play again").wait_for(timeout=15000)
    assert page.locator(".bookkit-trajectory").evaluate("host => host.bookkit.now.step") == STEPS
    visit.assert_quiet()
