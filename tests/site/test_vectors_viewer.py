"""The viewer of two vectors in a real browser: dragging, keyboard, length 1, the edge of the plane."""

import pytest

from bookkit.viewers import vectors

pytestmark = pytest.mark.site

ALT = "Two vectors in the plane, at an angle of 16 degrees."
HOST = "document.querySelector('.bookkit-vectors')"


def made(a=(3, 4), b=(4, 3), **options):
    return vectors.viewer(a, b, **{"alt": ALT, **options}).data


@pytest.fixture
def show(open_html):
    return lambda markup=None, **options: open_html(markup or made(), **options)


def numbers(page) -> dict[str, str]:
    return page.evaluate(
        f"Object.fromEntries([...{HOST}.shadowRoot.querySelectorAll('dd[data-name]')]"
        ".map((cell) => [cell.dataset.name, cell.textContent]))"
    )


def tips(page):
    return page.get_by_role("slider", name="Tip of a"), page.get_by_role("slider", name="Tip of b")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_tip_is_dragged(show, theme, width):
    visit = show(theme=theme, width=width)
    page = visit.page
    assert numbers(page) == {
        "angle": "16°",
        "cosine": "0.96",
        "dot product": "24.00",
        "distance": "1.41",
        "lengths": "5.00 and 5.00",
    }
    plane = page.locator(".bk-vectors-plane").last.bounding_box()

    def spot(x, y):
        return plane["x"] + plane["width"] * (x / 5 + 1) / 2, plane["y"] + plane["height"] * (1 - y / 5) / 2

    page.mouse.move(*spot(3, 4))
    page.mouse.down()
    page.mouse.move(*spot(0, 0), steps=4)
    page.mouse.move(*spot(-3, 4), steps=4)
    page.mouse.up()
    page.mouse.move(*spot(-1, -1))  # let go: nothing moves any more
    x, y = page.evaluate(f"{HOST}.bookkit.now.tips[0]")
    assert abs(x + 3) < 0.06 and abs(y - 4) < 0.06
    assert numbers(page)["angle"] == "90°" and numbers(page)["cosine"].lstrip("−") in ("0.00", "0.01")
    visit.assert_quiet()


def test_arrow_keys_move_a_tip(show):
    visit = show()
    page = visit.page
    first, second = tips(page)
    first.focus()
    page.keyboard.press("ArrowRight")
    assert first.get_attribute("aria-valuetext") == "3.10, 4.00"
    page.keyboard.press("Shift+ArrowDown")
    assert first.get_attribute("aria-valuetext") == "3.10, 3.50"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert second.get_attribute("aria-valuetext") == "3.90, 3.00"
    page.wait_for_function(f"{HOST}.shadowRoot.querySelector('[aria-live]').textContent.includes('dot product')")
    visit.assert_quiet()


def test_at_length_one_the_dot_product_is_the_cosine(show):
    visit = show()
    page = visit.page
    page.get_by_role("radio", name="Both of length 1").check()
    found = numbers(page)
    assert found["cosine"] == found["dot product"] == "0.96" and found["lengths"] == "1.00 and 1.00"
    first, _ = tips(page)
    first.focus()
    for _ in range(40):
        page.keyboard.press("Shift+ArrowUp")
        found = numbers(page)
        assert found["cosine"] == found["dot product"] and found["lengths"] == "1.00 and 1.00"
        cosine, distance = (float(found[name].replace("−", "-")) for name in ("cosine", "distance"))
        assert abs(distance**2 - (2 - 2 * cosine)) < 0.04
    visit.assert_quiet()


def test_the_plane_has_an_edge_and_zero_has_no_direction(show):
    visit = show(made(a=(0.1, 0), b=(4.4, 0)))
    page = visit.page
    first, second = tips(page)
    first.press("ArrowLeft")
    assert first.get_attribute("aria-valuetext") == "0.00, 0.00"
    assert numbers(page)["cosine"] == numbers(page)["angle"] == "undefined"
    second.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    assert second.get_attribute("aria-valuetext") == "4.70, 0.00"
    page.get_by_role("radio", name="Both of length 1").check()
    assert numbers(page)["cosine"] == "1.00"
    visit.assert_quiet()
