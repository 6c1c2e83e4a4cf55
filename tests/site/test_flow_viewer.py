"""The viewer of a flow in a real browser: slider, playing, following, keyboard, hostile text, accessibility."""

import numpy as np
import pytest

from bookkit.viewers import flow
from bookkit.viewers.flow import Run

pytestmark = pytest.mark.site

ALT = "Twelve points flow from a wide ring to a narrow one."
STEPS = 6
ANGLE = np.linspace(0, 2 * np.pi, 12, endpoint=False)
RING = np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1)
WAY = np.stack([RING * (2 - step / (STEPS - 1)) for step in range(STEPS)])
GUESSES = np.stack([RING * step / (STEPS - 1) for step in range(STEPS)])
NOISE = np.linspace(1, 0, STEPS)
HOST = "document.querySelector('.bookkit-flow')"


def made(runs=None, **options):
    runs = runs or {"DDIM": Run(WAY, GUESSES, "No dice."), "DDPM": Run(WAY[:, ::-1], GUESSES, "Dice.")}
    given = {"data": RING, "noise": NOISE, "alt": ALT, "grid": RING, "arrows": np.stack([-0.2 * RING] * STEPS)}
    return flow.viewer(runs, **{**given, **options}).data


@pytest.fixture
def show(open_html):
    return lambda markup=None, **options: open_html(markup or made(), **options)


def sliders(page):
    return page.get_by_role("slider", name="Step"), page.get_by_role("slider", name="Point")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_the_slider_moves_the_points(show, theme, width):
    visit = show(theme=theme, width=width)
    page = visit.page
    step, _ = sliders(page)
    assert step.get_attribute("aria-valuetext") == "step 0 of 5, noise 100 %"
    assert page.locator(".bk-flow-near-value").inner_text() == "the points: 1.00"
    before = page.evaluate(f"{HOST}.bookkit.at(0)")
    step.focus()
    page.keyboard.press("End")
    assert step.get_attribute("aria-valuetext") == "step 5 of 5, noise 0 %"
    assert page.locator(".bk-flow-near-value").inner_text() == "the points: 0.00"
    after = page.evaluate(f"{HOST}.bookkit.at(0)")
    assert after[0] < before[0] - 50 and abs(after[1] - before[1]) < 1
    page.keyboard.press("ArrowLeft")
    assert step.get_attribute("aria-valuetext").startswith("step 4 of 5")
    visit.assert_quiet()


def test_a_point_is_followed_by_click_and_by_keyboard(show):
    visit = show()
    page = visit.page
    _, point = sliders(page)
    said = page.locator(".bk-flow-said")
    assert said.inner_text().startswith("Point 1 stands at (2.00, 0.00).")
    page.locator(".bk-flow-live circle.bk-flow-dot").nth(2).click()  # the fourth: the first is the followed one
    assert said.inner_text().startswith("Point 4 stands at (0.00, 2.00)")
    point.focus()
    page.keyboard.press("ArrowRight")
    assert point.get_attribute("aria-valuetext") == "point 5 of 12"
    assert said.inner_text().startswith("Point 5 ")
    assert page.locator(".bk-flow-live .bk-flow-now").count() == 1
    visit.assert_quiet()


def test_switching_runs_keeps_step_and_point(show):
    visit = show()
    page = visit.page
    step, _ = sliders(page)
    step.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("radio", name="DDPM").check()
    assert page.get_by_text("Dice.", exact=True).is_visible()
    assert step.get_attribute("aria-valuetext").startswith("step 1 of 5")
    assert page.locator(".bk-flow-said").inner_text().startswith("Point 1 stands at (1.56, −0.90)")
    visit.assert_quiet()


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_playing_ends_at_the_end(show, motion):
    visit = show(reduced_motion=motion)
    page = visit.page
    step, _ = sliders(page)
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()
    assert page.evaluate(f"Number.isInteger({HOST}.bookkit.now.step)")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(f"{HOST}.bookkit.now.step === {STEPS - 1}", timeout=15_000)
    again = page.get_by_role("button", name="Play again")
    again.wait_for()
    assert step.get_attribute("aria-valuetext") == "step 5 of 5, noise 0 %"
    again.click()
    page.wait_for_function(f"{HOST}.bookkit.now.step < {STEPS - 1}")
    visit.assert_quiet()


def test_the_slider_stops_the_play(show):
    page = show().page
    page.get_by_role("button", name="Play").click()
    step, _ = sliders(page)
    step.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    assert page.get_by_role("button", name="Play", exact=True).is_visible()
    assert page.evaluate(f"{HOST}.bookkit.now.step") == STEPS - 2


def test_one_point_one_step_and_no_arrows(show):
    one = Run(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)))
    visit = show(made({"only": one}, noise=[0.0], grid=None, arrows=None))
    page = visit.page
    page.get_by_role("button", name="Play again").click()
    assert page.locator(".bkv-where").inner_text() == "step 0 of 0, noise 0 %"
    assert page.get_by_role("radio").count() == 0
    visit.assert_quiet()
