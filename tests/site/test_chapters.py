"""The interactive figures in the built chapters, where the reader meets them."""

import pytest
from test_sentence_map import chosen, rest
from test_token_viewer import FEED, READY, seen

pytestmark = pytest.mark.site


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_types_into_chapter_02(open_page, theme, width):
    visit = open_page("notebooks/02_tokenization.html", theme=theme, width=width)
    visit.page.evaluate(READY)
    visit.page.evaluate(FEED, "This is some text")
    assert seen(visit.page) == [("This", 1212), ("·is", 318), ("·some", 617), ("·text", 2420)]
    took = visit.page.evaluate(FEED, "The quick brown fox. " * 476)
    print(f"9,996 characters, {width} px: {took}")
    assert took["pieces"] > 2000
    visit.assert_quiet()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_searches_the_map_of_chapter_03(open_page, theme, width):
    visit = open_page("notebooks/03_embeddings.html", theme=theme, width=width)
    page = visit.page
    rest(page)
    assert chosen(page) == "vulture" and page.locator(".bk-sentence_map-live circle").count() == 400
    field = page.get_by_label("Search the definitions")
    field.fill("queen")
    field.press("Enter")
    assert "queen" in page.locator(".bk-sentence_map-live .bk-sentence_map-side").inner_text()
    page.get_by_role("radio", name="PCA").check()
    rest(page)
    frames = page.evaluate("document.querySelector('.bookkit-sentence_map').bookkit.frames")
    print(f"{width} px: {len(frames)} frames, the slowest took {max(frames):.1f} ms")
    assert "of these 5" in page.locator(".bk-sentence_map-near-head").text_content()
    visit.assert_quiet()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_follows_an_induction_head_in_chapter_04(open_page, theme, width):
    visit = open_page("notebooks/04_attention.html", theme=theme, width=width)
    decoder, encoder = visit.page.locator(".bookkit-attention").all()
    sentence = "The ·rain ·fell ·on ·the ·garden , ·and ·Mary ·read .".split()
    queries = decoder.get_by_role("listbox", name="Queries").get_by_role("option")
    assert queries.count() == 2 * len(sentence)
    found = decoder.evaluate("(host) => [5, 6, 7].map((k) => host.bookkit.weight(16, k, 18, 6))")
    print(f"from the second garden to garden, the comma and 'and': {found}")
    assert found[1] > 0.7 > sum(found[::2])
    ahead = encoder.evaluate("(host) => host.bookkit.weight(3, 4, 1, 8)")
    assert ahead > 0.3
    visit.assert_quiet()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_moves_through_the_training_of_chapter_05(open_page, theme, width):
    visit = open_page("notebooks/05_gpt_from_scratch.html", theme=theme, width=width)
    viewer = visit.page.locator(".bookkit-learning")
    means = viewer.evaluate("(host) => [0, 1, 2, 3, 4].map((k) => host.bookkit.mean(k))")
    print(f"nats a token at the five stages: {means}")
    assert 8.5 < means[0] < 9 and means[-1] < means[0] - 3
    slider = viewer.get_by_role("slider", name="Stage of the training")
    slider.focus()
    visit.page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext").startswith("after 0 steps, ")
    visit.assert_quiet()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_bends_a_distribution_and_unfolds_beams_in_chapter_07(open_page, theme, width):
    visit = open_page("notebooks/07_gpt2_generation.html", theme=theme, width=width)
    bars, tree = visit.page.locator(".bookkit-next_token"), visit.page.locator(".bookkit-branches")
    at = "(host, setting) => host.bookkit.at(setting)"
    own = {"temperature": 1, "topK": 0, "topP": 1, "minP": 0}
    assert bars.evaluate(at, own)["count"] == 6144
    bars.get_by_role("slider", name="min-p").focus()
    visit.page.keyboard.press("End")
    few = bars.evaluate(at, {})
    print(f"the strictest min-p leaves {few['count']} tokens")
    assert few["count"] < 10 and few["entropy"] < bars.evaluate(at, own)["entropy"]
    tree.evaluate("(host) => host.bookkit.unfold(1)")
    assert tree.evaluate("(host) => host.bookkit.now.step") == 1
    greedy = tree.evaluate("(host) => host.bookkit.greedy")
    assert greedy[0] == "0,0" and greedy[-1] != "5,0", "greedy search leads at first; in the end it lost or is dropped"
    visit.assert_quiet()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_lets_points_flow_in_chapter_09(open_page, theme, width):
    visit = open_page("notebooks/09_diffusion_from_scratch.html", theme=theme, width=width)
    viewer = visit.page.locator(".bookkit-flow")
    step = viewer.get_by_role("slider", name="Step")
    assert step.get_attribute("aria-valuetext") == "step 0 of 40, noise 100 %"
    for run in ("DDIM", "DDPM"):
        viewer.get_by_role("radio", name=run).check(force=True)
        step.focus()
        visit.page.keyboard.press("End")
        assert step.get_attribute("aria-valuetext") == "step 40 of 40, noise 0 %"
    near = viewer.evaluate("(host) => [0, 1].map((run) => [0, 40].map((step) => host.bookkit.near(run, step)))")
    print(f"mean distance to the data at start and end, both runs: {near}")
    assert all(end < 0.1 < start for start, end in near)
    visit.assert_quiet()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_plays_a_trajectory_in_chapter_10(open_page, theme, width):
    visit = open_page("notebooks/10_stable_diffusion.html", theme=theme, width=width)
    viewer = visit.page.locator(".bookkit-trajectory")
    visit.page.wait_for_function(
        "() => document.querySelector('.bookkit-trajectory').bookkit.pixel(0, 4, 4)[3] === 255"
    )
    step, pixel = viewer.get_by_role("slider", name="Step"), "(host, row) => host.bookkit.pixel(row, 4, 4)"
    guidance = viewer.get_by_role("radiogroup", name="Guidance")
    ends = []
    for setting in ("5", "1"):
        guidance.get_by_role("radio", name=setting, exact=True).check(force=True)
        step.focus()
        visit.page.keyboard.press("Home")
        assert step.get_attribute("aria-valuetext") == "step 0 of 40"
        visit.page.keyboard.press("End")
        assert step.get_attribute("aria-valuetext") == "step 40 of 40"
        ends.append([viewer.evaluate(pixel, row)[:3] for row in (0, 1)])
    print(f"a pixel near the corner in the end, held and expected, at guidance 5 and 1: {ends}")
    # what is held in the end is what was expected; both pictures are compressed
    assert all(abs(a - b) < 24 for held, expected in ends for a, b in zip(held, expected, strict=True))
    visit.assert_quiet()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_moves_through_the_training_in_chapter_12(open_page, theme, width):
    visit = open_page("notebooks/12_qlora.html", theme=theme, width=width)
    viewer = visit.page.locator(".bookkit-learning")
    slider = viewer.get_by_role("slider", name="Stage of the training")
    surprise = []
    for key, stage in (("Home", "before"), ("End", "the full run's adapter")):
        slider.focus()
        visit.page.keyboard.press(key)
        label, nats = slider.get_attribute("aria-valuetext").split(", ")
        assert label == stage
        surprise.append(float(nats.split()[0]))
    print(f"nats a token of the right reply before and after: {surprise}")
    assert surprise[1] < surprise[0] / 2
    visit.assert_quiet()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_reader_compares_searches_in_chapter_14(open_page, theme, width):
    visit = open_page("notebooks/14_rag.html", theme=theme, width=width)
    viewer = visit.page.locator(".bookkit-retrieval")
    choice = viewer.get_by_role("combobox", name="Question")
    count = choice.locator("option").count()
    notes = []
    for number in range(count):
        choice.select_option(index=number)
        notes.append(viewer.locator(".bk-retrieval > .bkv-note").text_content())
        assert viewer.locator(".bk-retrieval-hit:visible").count() >= 4
    print(f"{count} questions; first: {notes[0]}")
    assert count == 30 and len(set(notes)) > 5
    with visit.page.expect_navigation():
        viewer.locator(".bk-retrieval-open a").first.click()  # a passage leads to its section of the book
    assert visit.page.locator(":target").count() == 1
    visit.assert_quiet()
