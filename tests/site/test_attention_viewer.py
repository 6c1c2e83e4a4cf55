"""The attention viewer in a real browser, on a page of its own: what it shows is what the weights say."""

import re

import numpy as np
import pytest

from bookkit.viewers import attention

pytestmark = pytest.mark.site

ALT = "Attention of a small model over a sentence."
HOST = "document.querySelector('.bookkit-attention')"
SENTENCE = "The animal didn 't cross the street because it was too tired , but the dog did .".split()


def softmax_weights(layers=3, heads=4, n=18, causal=True, seed=0):
    scores = np.random.default_rng(seed).normal(size=(layers, heads, n, n)) * 3
    if causal:
        scores[..., *np.triu_indices(n, 1)] = -np.inf
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


@pytest.fixture
def show(open_html):
    """show(tokens, weights, theme=…, width=…) opens a page that holds one viewer."""

    def show_(tokens=SENTENCE, weights=None, *, viewer=None, more="", **options):
        weights = softmax_weights(n=len(tokens)) if weights is None else weights
        return open_html(attention.viewer(tokens, weights, alt=ALT, **(viewer or {})).data + more, **options)

    return show_


def rows(page, side: str) -> list[str]:
    """The percentages that stand in a column."""
    column = page.get_by_role("listbox", name="Keys" if side == "key" else "Queries")
    return column.locator("small").all_text_contents()


def written(share: float) -> str:
    """A share as the viewer writes it, once it has gone through a byte."""
    kept = np.rint(share * 255) / 255
    return "" if kept == 0 else "<1 %" if kept < 0.005 else f"{int(kept * 100 + 0.5)} %"


def settle(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
def test_every_weight_of_the_page_is_the_model_s(show, causal):
    weights = softmax_weights(causal=causal)
    visit = show(weights=weights)
    got = visit.page.evaluate(
        f"""([layers, heads, n]) => {{
          const {{weight}} = {HOST}.bookkit, each = (count, make) => Array.from({{length: count}}, (_, i) => make(i));
          return each(layers, (l) => each(heads, (h) => each(n, (q) => each(n, (k) => weight(q, k, l, h)))));
        }}""",
        list(weights.shape[:3]),
    )
    error = np.abs(np.array(got) - weights).max()
    said = float(re.search(r"off by at most ([\d.]+)", visit.page.locator(".bk-attention-note").inner_text()).group(1))
    print(f"largest error in the page {error:.5f}; it says {said} percentage points")
    assert error <= said / 100 <= 0.002
    visit.assert_quiet()


def test_a_token_s_row_and_column(show):
    weights = softmax_weights()
    page = show(weights=weights, viewer={"layer": 2, "head": 1}).page
    queries, keys = (page.get_by_role("listbox", name=name) for name in ("Queries", "Keys"))
    queries.get_by_role("option").nth(7).click()
    assert rows(page, "key") == [written(share) for share in weights[2, 1, 7]]
    assert set(rows(page, "query")) == {""}
    best = int(weights[2, 1, 7].argmax())
    said = page.locator(".bk-attention-said").inner_text()
    assert said.startswith(f"because looks at {SENTENCE[best]} {written(weights[2, 1, 7, best])}")
    keys.get_by_role("option").nth(0).click()
    assert rows(page, "query") == [written(share) for share in weights[2, 1, :, 0]]
    assert page.locator(".bk-attention-said").inner_text().startswith("The gets ")
    # A row's name tells the same to those who do not see it.
    assert re.match(r"The is looked at by \S+ \d+ %", keys.get_by_role("option").nth(0).get_attribute("aria-label"))


def test_hover_shows_and_leaving_restores(show):
    page = show(viewer={"token": 3}).page
    before = rows(page, "key")
    page.get_by_role("listbox", name="Queries").get_by_role("option").nth(9).hover()
    assert rows(page, "key") != before
    page.locator(".bk-attention-said").hover()
    assert rows(page, "key") == before


def test_keyboard_alone(show):
    weights = softmax_weights()
    visit = show(weights=weights, viewer={"token": 5})
    page = visit.page
    active = f"{HOST}.shadowRoot.activeElement"
    order = []
    for _ in range(6):
        page.keyboard.press("Tab")
        order.append(page.evaluate(f"{active}?.getAttribute('role') ?? {active}?.type ?? ''"))
    assert order == ["select-one", "select-one", "radio", "option", "option", "application"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(f"(({{layer, head}}) => [layer, head])({HOST}.bookkit.now)") == [1, 1]
    assert page.evaluate(f"{active}.ariaLabel").endswith("layer 1, head 1")
    page.wait_for_timeout(450)
    assert page.locator('[aria-live="polite"]').text_content().startswith("Layer 1, head 1: ")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    assert page.evaluate(f"(({{layer, head}}) => [layer, head])({HOST}.bookkit.now)") == [2, 3]
    # Tabbing back reaches the keys first, then the queries.
    page.keyboard.press("Shift+Tab")
    assert page.locator(".bk-attention-said").inner_text().startswith("the gets ")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(f"{active}.ariaLabel").startswith("street looks at ")
    assert rows(page, "key") == [written(share) for share in weights[2, 3, 6]]
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(f"{HOST}.bookkit.now.token") == len(SENTENCE) - 1
    page.keyboard.press("Home")
    assert page.evaluate(f"{active}.ariaLabel") == "The looks at The 100 %"
    visit.assert_quiet()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_click_on_a_small_map_chooses_that_head(show, width):
    page = show(weights=softmax_weights(8, 3), width=width, reduced_motion="reduce").page
    canvas = page.locator("canvas").last
    box = canvas.bounding_box()
    down = "layers ↓" in page.locator("figcaption").inner_text()
    assert down is (width == 1280)
    columns, lines = (3, 8) if down else (8, 3)
    cell = box["height"] / lines
    left = box["width"] - columns * cell
    for layer, head in ((0, 0), (7, 2), (3, 1), (5, 0)):
        x, y = (head, layer) if down else (layer, head)
        canvas.click(position={"x": left + (x + 0.5) * cell, "y": (y + 0.5) * cell})
        values = [page.get_by_role("combobox", name=name).input_value() for name in ("Layer", "Head")]
        assert values == [str(layer), str(head)]
        ring = page.locator(".bk-attention-mark").first.bounding_box()
        assert abs(ring["x"] + ring["width"] / 2 - (box["x"] + left + (x + 0.5) * cell)) < 3
        assert abs(ring["y"] + ring["height"] / 2 - (box["y"] + (y + 0.5) * cell)) < 3
    page.get_by_role("combobox", name="Layer").select_option("6")
    assert page.evaluate(f"{HOST}.bookkit.now.layer") == 6


def test_small_maps_and_matrix_are_drawn_from_the_weights(show):
    weights = np.tile(np.eye(6), (2, 2, 1, 1))
    weights[1, 1] = 0
    weights[1, 1, :, 0] = 1
    page = show(list("abcdef"), weights, viewer={"layer": 1, "head": 1}).page
    page.get_by_role("radio", name="Matrix").check()
    alphas = page.evaluate(
        f"""() => {{
          const canvas = {HOST}.shadowRoot.querySelector('.bk-attention-matrix canvas');
          return Array.from(canvas.getContext('2d').getImageData(0, 0, 6, 6).data).filter((_, i) => i % 4 === 3);
        }}"""
    )
    assert np.array_equal(np.array(alphas).reshape(6, 6) / 255, weights[1, 1])
    box = page.locator(".bk-attention-matrix canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5 / 6, box["y"] + box["height"] * 3.5 / 6)
    assert page.locator(".bk-attention-said").inner_text() == "d looks at a 100 %"
    page.mouse.move(box["x"] + box["width"] * 5.5 / 6, box["y"] + box["height"] * 3.5 / 6)
    assert page.locator(".bk-attention-said").inner_text() == "d cannot look ahead to f"
    page.mouse.down()
    page.mouse.up()
    assert page.evaluate(f"{HOST}.bookkit.now.token") == 3
    page.locator(".bk-attention-said").hover()
    assert page.locator(".bk-attention-said").inner_text() == "d looks at a 100 %."


def test_views(show):
    page = show().page
    lines = page.locator("svg.bk-attention-lines")
    assert lines.is_visible() and not page.locator(".bk-attention-matrix").is_visible()
    page.get_by_role("radio", name="All tokens").check()
    opacity = f"getComputedStyle({HOST}.shadowRoot.querySelector('.bk-attention-rest')).opacity"
    assert page.evaluate(opacity) == "1"
    means = softmax_weights()[0, 0].mean(0)
    shown = [float(part.strip("<% ") or 0) for part in rows(page, "key")]
    assert np.abs(np.array(shown) / 100 - means).max() < 0.012
    assert page.locator(".bk-attention-said").inner_text().startswith("Every token looks, on average, at ")
    page.get_by_role("listbox", name="Queries").get_by_role("option").nth(2).click()
    assert page.get_by_role("radio", name="One token").is_checked() and float(page.evaluate(opacity)) < 0.3
    page.get_by_role("radio", name="Matrix").check()
    assert page.locator(".bk-attention-matrix").is_visible() and not lines.is_visible()
    assert not page.get_by_role("listbox", name="Keys").is_visible()


def test_speed_of_moving(show):
    """Reported for 24 tokens of 30 layers of 9 heads; the bound is generous, because a slow machine is no defect."""
    n = 24
    visit = show([f"token{i}" for i in range(n)], softmax_weights(30, 9, n))
    for view in ("one", "all", "matrix"):
        for name, move in (
            ("token to token", "kit.hover({side: 'query', token: i % 24})"),
            ("head to head", "kit.choose({layer: i % 30, head: i % 9})"),
        ):
            script, frame = visit.page.evaluate(
                f"""async (view) => {{
                  const kit = {HOST}.bookkit, script = [], frame = [];
                  {HOST}.shadowRoot.querySelector(`[value=${{view}}]`).click();
                  for (let i = 0; i < 40; i++) {{
                    await new Promise(requestAnimationFrame);
                    const began = performance.now();
                    {move};
                    script.push(performance.now() - began);
                    {HOST}.shadowRoot.querySelector('.bkv').getBoundingClientRect();
                    // The frame is over when the message that follows it arrives.
                    await new Promise((done) => requestAnimationFrame(() => {{
                      const channel = new MessageChannel();
                      channel.port1.onmessage = done;
                      channel.port2.postMessage(0);
                    }}));
                    frame.push(performance.now() - began);
                  }}
                  return [script, frame];
                }}""",
                view,
            )
            print(
                f"{view}, {name}: script {np.median(script):.1f} ms (at most {max(script):.1f}), "
                f"to the end of the frame {np.median(frame):.1f} ms (at most {max(frame):.1f})"
            )
            assert np.median(frame) < 500
    visit.assert_quiet()


def test_bytes_and_right_to_left(show):
    page = show(["A", "Ġhug", "ĠðŁ", "¤", "Ĺ", "ĠÙħ", "Ø±"]).page
    drawn = page.get_by_role("listbox", name="Keys").locator(".bkv-token").all_text_contents()
    assert drawn == ["A", "·hug", "·F0 9F🤗", "A4🤗", "97🤗", "·م", "ر"]


def test_a_long_sentence_is_cut_and_says_so(show):
    page = show([f"w{i}" for i in range(50)]).page
    assert page.get_by_text("The first 32 of 50 tokens are shown.").is_visible()
    assert page.get_by_role("listbox", name="Queries").get_by_role("option").count() == 32


def test_colours_follow_the_theme(show):
    page = show().page
    pixel = f"""() => {{
      const canvas = {HOST}.shadowRoot.querySelector('.bk-attention-matrix canvas');
      const [red, green, blue] = canvas.getContext('2d').getImageData(0, 0, 1, 1).data;
      return [red, green, blue].map((part) => part.toString(16).padStart(2, '0')).join('');
    }}"""
    assert page.evaluate(pixel) == "e69f00"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    settle(page)
    assert page.evaluate(pixel) == "eeb23d"


def test_reduced_motion(show):
    page = show(reduced_motion="reduce").page
    page.get_by_role("application").press("ArrowDown")
    assert page.evaluate("document.getAnimations().length") == 0
