"""The next-token viewer in a real browser: its probabilities are the library's, at every setting."""

import numpy as np
import pytest

from bookkit.viewers import next_token

pytestmark = pytest.mark.site

HOST = "document.querySelector('.bookkit-next_token')"
SIZE = 20_000
SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0.4},
    {"temperature": 1.7},
    {"topK": 1},
    {"topK": 40},
    {"topP": 0.9},
    {"topP": 0.05},
    {"topP": 0.99},
    {"minP": 0.1},
    {"temperature": 0.7, "topK": 50, "topP": 0.8},
    {"temperature": 1.5, "topK": 200, "topP": 0.95, "minP": 0.05},
    {"temperature": 2.0, "topP": 0.9, "minP": 0.02},
    {"temperature": 0.1, "topK": 3, "topP": 0.5, "minP": 0.5},
]


def logits(seed, spread):
    return np.random.default_rng(seed).normal(size=SIZE) * spread


def reference(row, temperature=1.0, topK=0, topP=1.0, minP=0.0):
    """(probability of each token, how many each rule cuts), by the library's own processors in generate's order."""
    torch = pytest.importorskip("torch")
    process = pytest.importorskip("transformers.generation.logits_process")
    scores, cut = torch.tensor(row, dtype=torch.float64)[None], {"top-k": 0, "top-p": 0, "min-p": 0}
    for rule, on, warper in (
        ("", temperature != 1, lambda: process.TemperatureLogitsWarper(temperature)),
        ("top-k", topK > 0, lambda: process.TopKLogitsWarper(topK)),
        ("top-p", topP < 1, lambda: process.TopPLogitsWarper(topP)),
        ("min-p", minP > 0, lambda: process.MinPLogitsWarper(minP)),
    ):
        if on:
            before = int(scores.isfinite().sum())
            scores = warper()(None, scores)
            if rule:
                cut[rule] = before - int(scores.isfinite().sum())
    return scores.softmax(-1)[0].numpy(), cut


@pytest.fixture
def show(open_html):
    def show_(rows=None, names=None, *, viewer=None, **options):
        rows = [logits(0, 2.5)] if rows is None else rows
        html = next_token.viewer(
            [(f"Text number {i} goes", row) for i, row in enumerate(rows)],
            names or (lambda ids: [f" t{i}" for i in ids]),
            **(viewer or {}),
        )
        return open_html(html.data, **options)

    return show_


def test_the_order_of_the_library_is_the_one_taught():
    """generate applies temperature, top-k, top-p and min-p in this order; if that changes, the page must too."""
    generation = pytest.importorskip("transformers.generation")
    torch = pytest.importorskip("torch")
    config = generation.GenerationConfig(do_sample=True, temperature=0.5, top_k=5, top_p=0.5, min_p=0.1)
    config._eos_token_tensor = torch.tensor([0])
    mixin = generation.GenerationMixin()
    mixin.config = type("Config", (), {"is_encoder_decoder": False, "get_text_config": lambda self, **_: self})()
    names = [
        type(one).__name__ for one in mixin._get_logits_processor(config, input_ids_seq_length=1, logits_processor=[])
    ]
    assert names[-4:] == [
        "TemperatureLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "MinPLogitsWarper",
    ]


@pytest.mark.parametrize("spread", [1.0, 2.5, 6.0], ids=["unsure", "usual", "sure"])
def test_the_page_s_probabilities_are_the_library_s(show, spread):
    row = logits(int(spread * 10), spread)
    visit = show([row])
    order, worst = np.argsort(-row), 0.0
    for setting in SETTINGS:
        shares, cut = reference(row, **setting)
        own = {"temperature": 1, "topK": 0, "topP": 1, "minP": 0}
        got = visit.page.evaluate(f"(setting) => {HOST}.bookkit.at(setting)", own | setting)
        differ = np.abs(np.array(got["shares"][: next_token.NAMED]) - shares[order[: next_token.NAMED]]).max()
        worst = max(worst, differ)
        assert differ < 3e-4, setting
        kept = int((shares > 0).sum())
        # Tokens beyond those known by name come in bins, so that their number may be off by a bin's share.
        slack = 0 if kept <= next_token.NAMED else max(2, 0.03 * kept)
        assert abs(got["count"] - kept) <= slack, (setting, got["count"], kept)
        for rule in cut:
            assert abs(got["cut"][rule] - cut[rule]) <= slack, (setting, rule, got["cut"], cut)
        entropy = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum()
        assert abs(got["entropy"] - entropy) < 5e-3, setting
    print(f"{len(SETTINGS)} settings: largest difference from the library {worst:.1e}")
    visit.assert_quiet()


def test_ties_are_cut_as_the_library_cuts_them(show):
    row = np.array([2.0, 1.0, 1.0, 1.0, 0.0, -1.0])
    page = show([row], [" a", " b", " c", " d", " e", " f"]).page
    for k in (1, 2, 3, 5):
        shares, _ = reference(row, topK=k)
        got = page.evaluate(f"(topK) => {HOST}.bookkit.at({{topK}})", k)
        assert np.allclose(got["shares"], np.sort(shares)[::-1], atol=1e-4), k


def test_draws_follow_the_probabilities(show):
    page = show([np.log([0.5, 0.3, 0.15, 0.05])], [" a", " b", " c", " d"]).page
    page.evaluate(f"{HOST}.bookkit.at({{topK: 3}})")
    drawn = page.evaluate(f"Array.from({{length: 1000}}, (_, i) => {HOST}.bookkit.sample((i + .5) / 1000))")
    assert np.bincount(drawn, minlength=4).tolist() == [526, 316, 158, 0]
    page.get_by_role("button", name="Draw a token").click()
    assert page.locator(".bk-next_token-blank").text_content().strip("·") in {"a", "b", "c"}
    assert (
        page.locator(".bk-next_token-draws .bkv-token").count() == 1
        and page.locator(".bk-next_token-drawn").count() == 1
    )


def test_sliders_by_keyboard(show):
    visit = show(viewer={"top_k": 50})
    page = visit.page
    top_k = page.get_by_role("slider", name="top-k")
    assert top_k.get_attribute("aria-valuetext") == "50"
    top_k.focus()
    page.keyboard.press("Home")
    assert page.locator(".bk-next_token-said").inner_text().startswith("1 of 20,000 tokens stays; the model gave it ")
    assert "19,999 by top-k" in page.locator(".bk-next_token-said").inner_text()
    assert "Entropy: 0.00 bits" in page.locator(".bk-next_token-said").inner_text()
    assert page.get_by_text("cut by top-k").count() == 19
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    page.get_by_role("button", name="Back to the model's own").press("Enter")
    assert top_k.get_attribute("aria-valuetext") == "off"
    assert page.locator(".bk-next_token-said").inner_text().startswith("All 20,000 tokens stay.")
    page.wait_for_timeout(450)
    assert page.locator(".bkv-sr").text_content().startswith("All 20,000 tokens stay.")
    visit.assert_quiet()


def test_the_border_between_kept_and_cut_is_in_sight(show):
    page = show(viewer={"top_k": 100}).page
    rows = page.locator(".bk-next_token-bars .bk-next_token-row").all_text_contents()
    assert any("80 more in between" in row or "more in between" in row for row in rows)
    assert [("cut by top-k" in row) for row in rows][-7:] == [False, False, False, True, True, True, False]
    assert rows[-1].startswith("all others83 kept")
    page.get_by_role("button", name="Show more tokens").click()
    page.get_by_role("button", name="Show more tokens").click()
    assert page.locator(".bk-next_token-row").count() == 141


def test_other_positions(show):
    page = show([logits(0, 2.5), logits(1, 1.0)]).page
    first = page.locator(".bk-next_token-row").first.text_content()
    page.get_by_role("combobox", name="Text so far").select_option("1")
    assert page.locator(".bk-next_token-text[dir]").text_content() == "Text number 1 goes?"
    assert page.locator(".bk-next_token-row").first.text_content() != first


def test_speed_of_moving_a_slider(show):
    page = show([logits(3, 2.5)]).page
    times, script = page.evaluate(
        f"""async () => {{
          const times = [], script = [];
          for (let i = 0; i < 40; i++) {{
            await new Promise(requestAnimationFrame);
            const began = performance.now();
            {HOST}.bookkit.at({{temperature: .1 + i * .04, topP: 1 - i * .02}});
            script.push(performance.now() - began);
            await new Promise((done) => requestAnimationFrame(() => {{
              const channel = new MessageChannel();
              channel.port1.onmessage = done;
              channel.port2.postMessage(0);
            }}));
            times.push(performance.now() - began);
          }}
          return [times, script];
        }}"""
    )
    print(
        f"a slider's step: script {np.median(script):.1f} ms, "
        f"to the end of the frame {np.median(times):.1f} ms (at most {max(times):.1f})"
    )
    assert np.median(times) < 500
