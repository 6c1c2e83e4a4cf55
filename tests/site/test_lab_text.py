"""The text lab in a real browser: its logits are the library's, and whatever goes wrong is told in a sentence."""

import base64
import json
import re

import numpy as np
import pytest
from harness import COMBINATIONS, ROOT, assert_accessible, assert_no_wider

pytestmark = pytest.mark.site

PAGE = "book/lab/text.html"
HOST = ".bookkit-lab"
MODEL = ROOT / "data" / "models" / "pocket-gpt2"
LOAD = re.compile(r"^(Load \(|Start)")
READY = "async () => { await document.querySelector('.bookkit-lab').bookkit.ready; }"
READ = """async ({typed, written}) => {
  const lab = document.querySelector('.bookkit-lab').bookkit;
  await lab.fill({typed, written});
  const bytes = new Uint8Array(lab.answer.logits.buffer);
  let text = '';
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return {ids: lab.answer.ids, lost: lab.answer.lost, logits: btoa(text)};
}"""
WRITE = """async ({count, setting}) => {
  const lab = document.querySelector('.bookkit-lab').bookkit;
  lab.set(setting);
  await lab.go(count);
  const {fresh, seconds, ended, ids} = lab.last;
  return {fresh, seconds, ended, ids};
}"""
OWN = {"temperature": 1, "topK": 0, "topP": 1, "minP": 0, "penalty": 1}
SPOKEN = """(text) => {
  const {shadowRoot} = document.querySelector('.bookkit-lab');
  return shadowRoot.querySelector('.bkv-sr').textContent.includes(text);
}"""
LONG_TASKS = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.longTasks.push(one.duration); })
    .observe({type: 'longtask'});
}"""
LOAD_IN_FIREFOX = """async () => {
  const buttons = () => [...document.querySelector('.bookkit-lab').shadowRoot.querySelectorAll('button')];
  buttons().find((button) => button.textContent.startsWith('Load')).click();
  while (!buttons().some((button) => button.textContent === 'Write' && button.checkVisibility()))
    await new Promise((done) => setTimeout(done, 100));
}"""


def weights_asked(visit) -> list[str]:
    return [url for url in visit.own if "/lab/files/" in url]


@pytest.fixture
def lab(open_page):
    def open_lab(path=PAGE, **options):
        visit = open_page(path, **options)
        visit.page.set_default_timeout(120_000)
        visit.page.evaluate(READY)
        return visit

    return open_lab


def loaded(visit):
    visit.page.get_by_role("button", name=LOAD).click()
    visit.page.get_by_role("button", name="Write", exact=True).wait_for()
    visit.page.wait_for_function("document.querySelector('.bookkit-lab').bookkit.answer")
    return visit


@pytest.fixture(scope="module")
def library():
    """Ids and the logits behind them, as a notebook computes them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(MODEL).eval(), AutoTokenizer.from_pretrained(MODEL)

    def read(text: str) -> tuple[list[int], np.ndarray]:
        ids = [tokenizer.bos_token_id, *tokenizer(text).input_ids]
        with torch.no_grad():
            return ids, model(torch.tensor([ids])).logits[0, -1].numpy()

    return read


TEXTS = ["Once upon a time there was a little", "", "<b>🦊</b> sagte “ÄÖ”\n\nثعلب", "The frog and the raven. " * 20]


def assert_same(found: dict, library, text: str) -> float:
    """What `READ` found is what the library computes."""
    ids, logits = library(text)
    assert found["ids"] == ids and found["lost"] == 0
    apart = float(np.abs(np.frombuffer(base64.b64decode(found["logits"]), np.float32) - logits).max())
    print(f"{text[:30]!r}, {len(ids)} tokens: logits at most {apart:.1e} apart")
    assert apart < 1e-4
    return apart


def test_nothing_is_loaded_before_the_reader_asks_and_the_logits_are_the_librarys(lab, library):
    visit = lab()
    page = visit.page
    rows = page.locator(".bk-text-bars button")
    assert rows.count() == 12 and "raccoon" in rows.first.get_attribute("aria-label")
    page.get_by_role("slider", name="Temperature").fill("0.5")
    assert "before:" in page.locator(".bk-text-said").inner_text()  # the sliders work on what was made beforehand
    rows.first.click()
    page.get_by_label("Your text").fill("Something else")
    page.get_by_text("Load the model to see what it makes of this text.").wait_for()
    assert weights_asked(visit) == [], "something of the model was loaded before the button was pressed"
    page.evaluate(LONG_TASKS)
    loaded(visit)
    for text in TEXTS:
        assert_same(page.evaluate(READ, {"typed": text, "written": []}), library, text)
    page.evaluate(READ, {"typed": "Once upon a time", "written": []})
    for _ in range(2):
        found = page.evaluate(WRITE, {"count": 100, "setting": OWN})
        print(f"{found['fresh']} tokens, {found['fresh'] / found['seconds']:.0f} a second")
    handled = page.locator(HOST).evaluate("(host) => host.bookkit.handled")
    long = page.evaluate("window.longTasks")
    print(f"the page's own work: {np.median(handled):.0f} ms in the middle, {max(handled):.0f} ms at most; tasks of the"
          f" main thread above 50 ms: {[round(one) for one in long]}")  # fmt: skip
    assert np.median(handled) < 100
    visit.assert_quiet()


def test_in_firefox_the_logits_are_the_same(site, firefox, library):
    firefox.goto(site.url(PAGE))
    firefox.evaluate(READY)
    firefox.evaluate(LOAD_IN_FIREFOX)
    for text in TEXTS:
        assert_same(firefox.evaluate(READ, {"typed": text, "written": []}), library, text)
    found = firefox.evaluate(WRITE, {"count": 50, "setting": OWN})
    print(f"Firefox: {found['fresh']} tokens, {found['fresh'] / found['seconds']:.0f} a second")
    assert firefox.problems == []


def test_a_second_visit_needs_no_network_for_the_model(lab):
    visit = loaded(lab())
    assert len(weights_asked(visit)) == 3
    again = visit.page.context.new_page()
    asked = []
    again.on("request", lambda request: asked.append(request.url))
    again.goto(visit.page.url)
    again.evaluate(READY)
    again.get_by_role("button", name="Start").click()
    again.get_by_role("button", name="Write", exact=True).wait_for()
    assert not [url for url in asked if "/lab/files/" in url]
    again.get_by_role("button", name="Free the space").click()
    again.get_by_text("Freed.").first.wait_for()
    again.reload()
    again.evaluate(READY)
    assert again.get_by_role("button", name=re.compile(r"^Load \(20 MB\)")).count() == 1


@pytest.mark.parametrize(("theme", "width"), COMBINATIONS)
def test_a_reader_types_picks_writes_and_looks(lab, theme, width):
    visit = loaded(lab(theme=theme, width=width))
    page, host = visit.page, visit.page.locator(HOST)
    text = page.get_by_label("Your text")
    ids = "(host) => host.bookkit.answer.ids"
    text.fill("The old king")
    page.wait_for_function("document.querySelector('.bookkit-lab').bookkit.answer.ids.length === 4")
    rows = page.locator(".bk-text-bars button")
    likeliest = rows.nth(1).get_attribute("aria-label").split(",")[0]
    rows.nth(1).focus()
    page.keyboard.press("Enter")  # a token by hand, by the keyboard
    page.wait_for_function("document.querySelector('.bookkit-lab').bookkit.answer.ids.length === 5")
    assert text.input_value() == f"The old king {likeliest}"
    page.get_by_role("button", name="Step back").click()
    page.wait_for_function("document.querySelector('.bookkit-lab').bookkit.answer.ids.length === 4")
    assert text.input_value() == "The old king"
    assert page.get_by_role("button", name="Step back").is_disabled()

    if width < 600:
        page.locator(".bk-lab-summary").click()  # a phone folds the settings
    top_k = page.get_by_role("slider", name="Top-k")
    top_k.fill("1")
    assert top_k.get_attribute("aria-valuetext") == "1"
    page.get_by_text("1 of 6,144 tokens").wait_for()
    page.get_by_role("slider", name="Tokens to write").fill("12")
    text.press("Control+Enter")
    page.get_by_text(re.compile("^12 tokens in")).wait_for()
    page.wait_for_function("document.querySelector('.bookkit-lab').bookkit.answer.ids.length === 16")
    greedy, written = host.evaluate(ids), text.input_value()
    assert written.startswith("The old king")
    assert page.locator(".bk-text-tokens [data-written]").count() == 12
    page.wait_for_function(SPOKEN, arg=f"Written: {written.removeprefix('The old king')[:12]}")

    page.get_by_role("button", name="Back to your text").click()
    page.wait_for_function("document.querySelector('.bookkit-lab').bookkit.answer.ids.length === 4")
    assert text.input_value() == "The old king"
    text.press("Control+Enter")
    page.wait_for_function("document.querySelector('.bookkit-lab').bookkit.answer.ids.length === 16")
    assert host.evaluate(ids) == greedy

    page.get_by_role("button", name="Back to the model’s own distribution").click()
    page.get_by_role("radio", name="Tree").check(force=True)
    twigs = page.locator(".bk-text-twig")
    page.wait_for_function(
        "document.querySelector('.bookkit-lab').shadowRoot.querySelectorAll('.bk-text-twig').length === 15"
    )
    twigs.last.click()
    page.wait_for_function(
        "document.querySelector('.bookkit-lab').shadowRoot.querySelectorAll('.bk-text-twig').length === 18"
    )
    path = page.locator(".bk-text-path").text_content().removeprefix("… ")
    page.get_by_text(re.compile(r"^These \d tokens together: ")).wait_for()
    assert_no_wider(page)
    page.emulate_media(reduced_motion="reduce", color_scheme=theme)
    assert_accessible(page)
    page.get_by_role("button", name="Write this into the text").click()
    page.wait_for_function("(text) => document.querySelector('.bookkit-lab').bookkit.state.written.length > 12", arg="")
    assert text.input_value() == written + path

    page.get_by_role("radio", name="Attention").check(force=True)
    page.get_by_role("combobox", name="Layer").select_option("2")
    page.get_by_role("combobox", name="Head").select_option("5")
    shares = host.evaluate(
        "(host) => { const {weight} = host.bookkit.viewer(); return [0, 1, 2, 3].map((key) => weight(3, key, 2, 5)); }"
    )
    assert abs(sum(shares) - 1) < 0.02
    assert_no_wider(page)
    assert_accessible(page)
    page.get_by_role("button", name="Step back").click()
    page.get_by_role("button", name="The text has changed").click()
    page.get_by_role("button", name="The text has changed").wait_for(state="hidden")
    visit.forget()  # axe looks for imported style sheets beside the page

    # A link holds the text, what was written, and the settings; the other page needs the model for the tokens.
    page.get_by_role("slider", name="Temperature").fill("0.7")
    page.get_by_role("button", name="Copy a link to this").click()
    page.wait_for_function("location.hash.includes('temperature=0.7')")
    state = host.evaluate("(host) => host.bookkit.state")
    visit.own.clear()
    page.reload()
    page.evaluate(READY)
    assert text.input_value() == state["typed"] == "The old king" and weights_asked(visit) == []
    loaded(visit)
    page.wait_for_function(
        "(count) => document.querySelector('.bookkit-lab').bookkit.answer.ids.length > count", arg=len(greedy) - 1
    )
    assert host.evaluate(ids)[: len(greedy)] == greedy and text.input_value().startswith(written)
    visit.assert_quiet()


HOSTILE = [
    ("<img src=x onerror=alert(1)> <b>cat</b> {{7*7}} &amp;", "of at most 256 tokens"),
    ("The cat sat on the mat. " * 50, "the model reads the last"),
    ("🍕🦊 👩‍🍳", "of at most 256 tokens"),
    ("\u0378\U0001fadf\uffff\u200b", "of at most 256 tokens"),
    ("شجرة على خلفية زرقاء", "of at most 256 tokens"),
    ("<|endoftext|>Once", "of at most 256 tokens"),
    ("", "No text"),
]


def test_hostile_texts(lab):
    visit = loaded(lab())
    page = visit.page
    for text, said in HOSTILE:
        found = page.evaluate(READ, {"typed": text, "written": []})
        assert 1 <= len(found["ids"]) <= 256
        assert said in page.locator(".bk-text-hint").inner_text()
        assert page.get_by_label("Your text").input_value() == text
        assert page.locator(".bk-text img, .bk-text-tokens b").count() == 0
        assert page.evaluate(WRITE, {"count": 3, "setting": OWN})["fresh"] >= 1
    page.get_by_label("Your text").fill("x" * 20_000)  # a browser's maxlength does not stop a script
    page.get_by_text("the model reads the last").wait_for()
    page.get_by_label("Your text").fill("A fox")
    page.get_by_text("of at most 256 tokens").wait_for()
    visit.assert_quiet()


def test_writing_can_be_stopped_and_the_next_one_goes(lab):
    visit = loaded(lab())
    page = visit.page
    page.get_by_role("slider", name="Tokens to write").fill("100")
    page.get_by_role("button", name="Write", exact=True).click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Write", exact=True).wait_for()
    assert page.evaluate(WRITE, {"count": 4, "setting": {**OWN, "topK": 5}})["seconds"] > 0
    # Typing while the model writes stops it, too, and what was typed counts.
    page.get_by_role("button", name="Write", exact=True).click()
    page.get_by_label("Your text").fill("A fox")
    page.wait_for_function("document.querySelector('.bookkit-lab').bookkit.answer.ids.length === 3")
    assert page.get_by_label("Your text").input_value() == "A fox"
    visit.assert_quiet()


def broken(visit, site, change):
    """The weights arrive changed, once."""
    static = site.root / "_static" / "lab"
    listing = json.loads((static / "labs.json").read_text(encoding="utf-8"))
    url = listing["labs"]["text"]["files"]["model.safetensors"]["url"]
    visit.page.context.route(f"**/{url}", lambda route: change(route, (static / url).read_bytes()), times=1)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("cut", "arrived damaged, or of another version"),
        ("other", "arrived damaged, or of another version"),
        ("gone", "has no"),
        ("offline", "could not be reached"),
    ],
)
def test_weights_that_fail_are_told_and_the_next_try_works(lab, site, what, said):
    visit = lab()

    def change(route, body):
        if what == "cut":
            route.fulfill(body=body[:-1000], content_type="application/octet-stream")
        elif what == "other":
            route.fulfill(body=body[:-4] + b"else", content_type="application/octet-stream")
        elif what == "gone":
            route.fulfill(status=404, body="")
        else:
            route.abort()

    broken(visit, site, change)
    page = visit.page
    page.get_by_role("button", name=LOAD).click()
    page.get_by_text(said).first.wait_for()
    assert page.locator(".bk-text-bars button").count() == 12  # what was made beforehand stays
    visit.forget()
    visit.own.clear()
    loaded(visit)
    assert len(weights_asked(visit)) == 1  # what had arrived was kept
    assert page.evaluate(WRITE, {"count": 2, "setting": OWN})["fresh"] >= 1
    visit.assert_quiet()


def test_a_browser_without_room_writes_all_the_same(lab):
    visit = lab()
    full = "Cache.prototype.put = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));\n"

    def answer(route):
        response = route.fetch()
        route.fulfill(response=response, body=full + response.text())

    visit.page.context.route("**/lab/store.js*", answer)
    visit.page.reload()
    visit.page.evaluate(READY)
    loaded(visit)
    visit.page.get_by_text("no room to keep the model").wait_for()
    assert visit.page.evaluate(WRITE, {"count": 2, "setting": OWN})["fresh"] >= 1


def test_a_page_closed_while_it_loads_and_two_labs_at_once(lab, site):
    first = lab()
    context = first.page.context
    first.page.get_by_role("button", name=LOAD).click()
    first.page.wait_for_function(
        "document.querySelector('.bookkit-lab').shadowRoot.querySelector('progress').value > 0.1"
    )
    url = first.page.url
    others = [context.new_page(), context.new_page()]
    first.page.close()
    for page in others:
        page.goto(url)
        page.evaluate(READY)
    for page in others:
        page.get_by_role("button", name=LOAD).click()
    for page in others:
        page.get_by_role("button", name="Write", exact=True).wait_for(timeout=120_000)
    found = [page.evaluate(WRITE, {"count": 8, "setting": {**OWN, "topK": 1}})["ids"] for page in others]
    assert found[0] == found[1]
    # The picture lab in a third tab finds its own files missing, and the text lab's kept.
    third = context.new_page()
    third.goto(site.url("book/lab/pictures.html"))
    third.evaluate(READY)
    assert third.get_by_role("button", name=re.compile(r"^Load \(\d+ MB\)")).count() == 1


def test_from_a_disk_the_static_bars_and_a_sentence_stay(site, browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto((site.root / PAGE).as_uri())
    assert "make serve" in page.locator(".bk-lab-note").inner_text()
    assert page.locator(f"{HOST} svg rect").count() == 8
    context.close()
