"""What a reader does with the interactive figures of the chapters; tests/site/test_pages.py does it on each visit."""

from test_sentence_map import chosen, rest
from test_token_viewer import FEED, READY, seen


def a_reader_turns_up_the_temperature_and_opens_the_timeline_of_chapter_01(visit):
    bars = visit.page.locator(".bookkit-next_token")
    own = {"temperature": 1, "topK": 0, "topP": 1, "minP": 0}
    entropy = [
        bars.evaluate("(host, s) => host.bookkit.at(s)", own | {"temperature": t})["entropy"] for t in (0.3, 1, 3)
    ]
    print(f"entropy at the temperatures 0.3, 1 and 3: {entropy}")
    assert entropy[0] < entropy[1] < entropy[2]
    timeline = visit.page.get_by_role("group", name="Timeline of models")
    timeline.locator("details").evaluate_all("(all) => all.forEach((one) => { one.open = false; })")
    said = {}
    for name in ("GPT-2", "Mixtral 8x7B"):
        entry = timeline.locator("details").filter(has=visit.page.locator("summary", has_text=name))
        entry.locator("summary").focus()
        visit.page.keyboard.press("Enter")
        said[name] = entry.locator("p").inner_text()
        assert entry.locator("p").is_visible() and entry.locator("a").get_attribute("href").startswith("https://")
    assert "OpenAI" in said["GPT-2"] and "Apache 2.0" in said["Mixtral 8x7B"]
    assert timeline.locator("details[open]").count() == 1, "one entry at a time"


def a_reader_types_into_chapter_02(visit):
    visit.page.evaluate(READY)
    visit.page.evaluate(FEED, "This is some text")
    assert seen(visit.page) == [("This", 1212), ("·is", 318), ("·some", 617), ("·text", 2420)]
    took = visit.page.evaluate(FEED, "The quick brown fox. " * 476)
    print(f"9,996 characters: {took}")
    assert took["pieces"] > 2000


def a_reader_turns_a_vector_and_searches_the_map_of_chapter_03(visit):
    page = visit.page
    measured = "document.querySelector('.bookkit-vectors').bookkit.measures()"
    assert round(page.evaluate(measured)["cosine"], 2) == 0.96
    tip = page.get_by_role("slider", name="Tip of a")
    tip.focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert tip.get_attribute("aria-valuetext") == "2.50, 4.00"
    assert page.evaluate(measured)["dot"] == 22
    rest(page)
    assert chosen(page) == "vulture" and page.locator(".bk-sentence_map-live circle").count() == 400
    field = page.get_by_label("Search the definitions")
    field.fill("queen")
    field.press("Enter")
    assert "queen" in page.locator(".bk-sentence_map-live .bk-sentence_map-side").inner_text()
    page.get_by_role("radio", name="PCA").check()
    rest(page)
    frames = page.evaluate("document.querySelector('.bookkit-sentence_map').bookkit.frames")
    print(f"{len(frames)} frames, the slowest took {max(frames):.1f} ms")
    assert "of these 5" in page.locator(".bk-sentence_map-near-head").text_content()


def a_reader_moves_a_query_and_follows_an_induction_head_in_chapter_04(visit):
    paper = visit.page.locator(".bookkit-query")
    first = paper.evaluate("(host) => host.bookkit.weights()")
    for axis in ("doer", "object"):
        paper.get_by_role("slider", name=f"Query, {axis}").press("Home")
    moved = paper.evaluate("(host) => host.bookkit.weights()")
    print(f"weights of Mary, reads and letters at first {first['softmax']}, at the far corner {moved['softmax']}")
    assert first["softmax"][0] > 0.7 and moved["softmax"][1] > 0.9 and abs(sum(moved["softmax"]) - 1) < 1e-9
    decoder, encoder = visit.page.locator(".bookkit-attention").all()
    sentence = "The ·rain ·fell ·on ·the ·garden , ·and ·Mary ·read .".split()
    queries = decoder.get_by_role("listbox", name="Queries").get_by_role("option")
    assert queries.count() == 2 * len(sentence)
    found = decoder.evaluate("(host) => [5, 6, 7].map((k) => host.bookkit.weight(16, k, 18, 6))")
    print(f"from the second garden to garden, the comma and 'and': {found}")
    assert found[1] > 0.7 > sum(found[::2])
    ahead = encoder.evaluate("(host) => host.bookkit.weight(3, 4, 1, 8)")
    assert ahead > 0.3


def a_reader_moves_through_the_training_of_chapter_05(visit):
    viewer = visit.page.locator(".bookkit-learning")
    means = viewer.evaluate("(host) => [0, 1, 2, 3, 4, 5].map((k) => host.bookkit.mean(k))")
    print(f"nats a token at the five moments, and of pocket-gpt2: {means}")
    assert 8.5 < means[0] < 9 and means[0] - 2 > means[4] > means[5]
    slider = viewer.get_by_role("slider", name="Stage of the training")
    assert slider.get_attribute("aria-valuetext").startswith("after 0 steps, ")
    slider.press("End")
    assert slider.get_attribute("aria-valuetext").startswith("pocket-gpt2, ")


def a_reader_bends_a_distribution_and_unfolds_beams_in_chapter_07(visit):
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


def a_reader_selects_tokens_in_chapter_08(visit):
    viewer = visit.page.locator(".bookkit-prompt")
    tokens, told = viewer.locator("button.bk-prompt-token"), viewer.locator(".bk-prompt-one > p")
    assert tokens.count() > 20 and "put there by the model" in told.text_content()  # the reply's first token
    tokens.first.click()
    assert "Nothing stands before it" in told.text_content()
    for kind in ("template", "system", "user", "assistant"):
        some = viewer.locator(f"button.bk-prompt-{kind}").last
        some.click()
        assert viewer.locator(".bk-prompt-bars li").count() >= 5
    print(f"{tokens.count()} tokens; the last: {told.text_content()}")


def a_reader_lets_points_flow_in_chapter_09(visit):
    viewer = visit.page.locator(".bookkit-flow")
    step = viewer.get_by_role("slider", name="Step")
    assert step.get_attribute("aria-valuetext") == "step 0 of 40, noise 100 %"
    for run in ("DDIM", "DDPM", "flow"):
        viewer.get_by_role("radio", name=run).check(force=True)
        step.focus()
        visit.page.keyboard.press("End")
        assert step.get_attribute("aria-valuetext") == "step 40 of 40, noise 0 %"
    near = viewer.evaluate("(host) => [0, 1, 2].map((run) => [0, 40].map((step) => host.bookkit.near(run, step)))")
    print(f"mean distance to the data at start and end, three runs: {near}")
    assert all(end < 0.2 < start for start, end in near)
    film = visit.page.locator(".bookkit-trajectory")
    visit.page.wait_for_function(
        "() => document.querySelector('.bookkit-trajectory').bookkit.pixel(0, 4, 4)[3] === 255"
    )
    moving = film.get_by_role("slider", name="Step")
    for picture in ("A", "E"):
        film.get_by_role("radiogroup", name="Picture").get_by_role("radio", name=picture).check(force=True)
        moving.focus()
        visit.page.keyboard.press("End")
        assert moving.get_attribute("aria-valuetext") == "step 20 of 20"


def a_reader_plays_a_trajectory_in_chapter_10(visit):
    viewer = visit.page.locator(".bookkit-trajectory")
    visit.page.wait_for_function(
        "() => document.querySelector('.bookkit-trajectory').bookkit.pixel(0, 4, 4)[3] === 255"
    )
    step, pixel = viewer.get_by_role("slider", name="Step"), "(host, row) => host.bookkit.pixel(row, 4, 4)"
    sentence = viewer.get_by_role("radiogroup", name="Sentence")
    ends = []
    for setting in ("mushroom", "fox"):
        sentence.get_by_role("radio", name=setting, exact=True).check(force=True)
        step.focus()
        visit.page.keyboard.press("Home")
        assert step.get_attribute("aria-valuetext") == "step 0 of 40"
        visit.page.keyboard.press("End")
        assert step.get_attribute("aria-valuetext") == "step 40 of 40"
        ends.append([viewer.evaluate(pixel, row)[:3] for row in (0, 1)])
    print(f"a pixel near the corner in the end, held and expected, of two sentences: {ends}")
    # what is held in the end is what was expected; both pictures are compressed
    assert all(abs(a - b) < 24 for held, expected in ends for a, b in zip(held, expected, strict=True))


def a_reader_moves_through_the_training_in_chapter_12(visit):
    viewer = visit.page.locator(".bookkit-learning")
    slider = viewer.get_by_role("slider", name="Stage of the training")
    surprise = []
    for key, stage in (("Home", "before"), ("End", "after 8 steps")):
        slider.focus()
        visit.page.keyboard.press(key)
        label, nats = slider.get_attribute("aria-valuetext").split(", ")
        assert label == stage
        surprise.append(float(nats.split()[0]))
    print(f"nats a token of the right reply before and after: {surprise}")
    assert surprise[1] < surprise[0] / 2


def a_reader_compares_searches_in_chapter_14(visit):
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
    link = viewer.locator(".bk-retrieval-open a").first  # a passage of the snapshot leads to today's page
    page = link.get_attribute("href").rpartition("/")[2]
    with visit.page.expect_navigation():
        link.click()
    assert visit.page.url.endswith(page) and "14_rag" not in page
    assert visit.page.locator("article h1").count() == 1


def a_reader_looks_into_the_prepared_picture_of_the_lab(visit):
    """Before a model is loaded; tests/site/test_lab_pictures.py loads it."""
    page, host = visit.page, visit.page.locator(".bookkit-lab")
    slider = page.get_by_role("slider", name="Step", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext").startswith("step 0 of ")
    words = host.evaluate("(host) => host.bookkit.shown().chips().map((chip) => chip.text)")
    page.get_by_role("button", name=words[2], exact=True).click()
    assert host.evaluate("(host) => host.bookkit.views()[0].looking()")
    print(page.locator(".bk-pictures-looks").inner_text())
    assert not [url for url in visit.own if "/lab/files/" in url]


def a_reader_looks_into_the_picture_on_the_cover(visit):
    host = visit.page.locator(".bookkit-lab")
    host.scroll_into_view_if_needed()
    host.evaluate("""async (host) => {
      while (!host.bookkit.ready) await new Promise(requestAnimationFrame);
      await host.bookkit.ready;
    }""")
    a_reader_looks_into_the_prepared_picture_of_the_lab(visit)


def a_reader_turns_to_another_sentence_of_the_search_lab(visit):
    """Before a model is loaded; tests/site/test_lab_search.py loads it."""
    page, host = visit.page, visit.page.locator(".bookkit-lab")
    shown = "(host) => { const {chosen, rows} = host.bookkit.list.shown(); return [chosen, rows[0].sentence]; }"
    before, nearest = host.evaluate(shown)
    pick = page.locator(".bk-search-pick").first
    pick.focus()
    page.keyboard.press("Enter")
    chosen, back = host.evaluate(shown)
    print(f"{before!r} → {chosen!r}")
    assert (chosen, back) == (nearest, before)
    assert "of the variance" in page.locator(".bk-search-caption").inner_text()
    assert not [url for url in visit.own if "/lab/files/" in url]


def a_reader_sets_the_sliders_of_the_text_lab(visit):
    """Before a model is loaded; tests/site/test_lab_text.py loads it."""
    page = visit.page
    if page.locator(".bk-lab-summary").is_visible():
        page.locator(".bk-lab-summary").click()  # a phone folds the settings
    page.get_by_role("slider", name="Top-k").fill("3")
    page.get_by_text("3 of 6,144 tokens").wait_for()
    rows = page.locator(".bk-text-bars button")
    print([rows.nth(i).get_attribute("aria-label") for i in range(5)])
    assert [rows.nth(i).get_attribute("data-cut") for i in range(5)] == ["false"] * 3 + ["true"] * 2
    rows.first.click()  # without the model nothing is written
    assert page.get_by_label("Your text").input_value() == "Once upon a time there was a little"
    assert not [url for url in visit.own if "/lab/files/" in url]


READERS = {
    "book/index.html": a_reader_looks_into_the_picture_on_the_cover,
    "book/lab/text.html": a_reader_sets_the_sliders_of_the_text_lab,
    "book/lab/pictures.html": a_reader_looks_into_the_prepared_picture_of_the_lab,
    "book/lab/search.html": a_reader_turns_to_another_sentence_of_the_search_lab,
    "notebooks/01_what_generative_ai_is.html": a_reader_turns_up_the_temperature_and_opens_the_timeline_of_chapter_01,
    "notebooks/02_tokenization.html": a_reader_types_into_chapter_02,
    "notebooks/03_embeddings.html": a_reader_turns_a_vector_and_searches_the_map_of_chapter_03,
    "notebooks/04_attention.html": a_reader_moves_a_query_and_follows_an_induction_head_in_chapter_04,
    "notebooks/05_gpt_from_scratch.html": a_reader_moves_through_the_training_of_chapter_05,
    "notebooks/07_gpt2_generation.html": a_reader_bends_a_distribution_and_unfolds_beams_in_chapter_07,
    "notebooks/08_prompting.html": a_reader_selects_tokens_in_chapter_08,
    "notebooks/09_diffusion_from_scratch.html": a_reader_lets_points_flow_in_chapter_09,
    "notebooks/10_stable_diffusion.html": a_reader_plays_a_trajectory_in_chapter_10,
    "notebooks/12_qlora.html": a_reader_moves_through_the_training_in_chapter_12,
    "notebooks/14_rag.html": a_reader_compares_searches_in_chapter_14,
}
"""Page → what a reader does there, as a function of the visit; a chapter with a viewer has its own."""
