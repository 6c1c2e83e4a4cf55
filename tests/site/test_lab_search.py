"""The search lab in a real browser: its vectors are the library's, and whatever goes wrong is told in a sentence."""

import json
import re
import struct

import numpy as np
import pytest
from harness import COMBINATIONS, assert_accessible, assert_no_wider

import bookkit

pytestmark = pytest.mark.site

PAGE = "book/lab/search.html"
HOST = ".bookkit-lab"
READY = "async () => { await document.querySelector('.bookkit-lab').bookkit.ready; }"
SHOWN = "(host) => host.bookkit.list.shown()"
SETTLED = """() => {
  const {sentences} = document.querySelector('.bookkit-lab').bookkit.list.shown();
  return sentences.every((sentence) => document.querySelector('.bookkit-lab').bookkit.vector(sentence));
}"""
LOAD = re.compile(r"^(Load|Start)")
READ = """async (texts) => {
  const {list, vector} = document.querySelector('.bookkit-lab').bookkit;
  list.set(texts);
  await list.read();
  return {vectors: texts.map((text) => Array.from(vector(text))), ...list.last()};
}"""
LOAD_IN_FIREFOX = """async () => {
  const {shadowRoot, bookkit} = document.querySelector('.bookkit-lab');
  [...shadowRoot.querySelectorAll('button')].find((button) => button.textContent.startsWith('Load')).click();
  while (bookkit.state() !== 'ready') await new Promise((done) => setTimeout(done, 100));
}"""


def weights_asked(visit) -> list[str]:
    return [url for url in visit.own if "/lab/files/" in url]


def listing(site) -> dict:
    return json.loads((site.root / "_static" / "lab" / "labs.json").read_text(encoding="utf-8"))["labs"]["search"]


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
    visit.page.locator(".bk-lab-load[data-ready]").wait_for()
    return visit


def add(page, *sentences: str) -> dict:
    """Sentences are typed, and have their vectors; what is then shown."""
    page.get_by_label("A sentence of your own").fill("\n".join(sentences))
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_function(SETTLED)
    return page.locator(HOST).evaluate(SHOWN)


def ask(page, question: str) -> list[dict]:
    """What is found by meaning."""
    page.get_by_label("A question to this book").fill(question)
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_text(re.compile(r"^The nearest of [\d,]+ passages")).wait_for()
    return page.locator(HOST).evaluate("(host) => host.bookkit.book.found()")


@pytest.fixture(scope="module")
def library():
    """The library's vectors of texts."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(bookkit.model("embedder"), device="cpu")
    return lambda texts: model.encode(texts, normalize_embeddings=True)


def assert_near(found: dict, theirs: np.ndarray) -> None:
    """What `READ` found is near the library's vectors."""
    cosines = (np.array(found["vectors"]) * theirs).sum(axis=1)
    print(f"cosine with the library's: {cosines.round(5)}; {1000 * found['seconds'] / found['count']:.0f} ms a text")
    assert cosines.min() > 0.998


TEXTS = [
    "The bank raised its interest rates again.",
    "cat",
    "Voilà: naïve café, İstanbul, ΣΑΣ; $5 + 50%!",
    "🍕🦊 مرحبا 日本語",
    "<b>bold</b> [MASK] & co",
    "A much longer text about nothing at all, which goes on and on. " * 30 + "The end.",
]


def test_nothing_is_loaded_before_the_reader_asks_and_the_vectors_are_the_librarys(lab, library):
    visit = lab()
    page, host = visit.page, visit.page.locator(HOST)
    assert host.evaluate(SHOWN)["rows"][0]["near"] > 0.3  # from vectors made beforehand
    assert weights_asked(visit) == [], "something of the model was loaded before the button was pressed"
    page.evaluate("""() => { window.long = []; new PerformanceObserver((list) =>
      window.long.push(...list.getEntries().map((entry) => entry.duration))).observe({type: 'longtask'}); }""")
    loaded(visit)
    assert_near(page.evaluate(READ, TEXTS), library(TEXTS))
    many = [f"Sentence {number} says that the weather on day {number} was fine for a walk." for number in range(30)]
    add(page, *many)
    last, long = host.evaluate("(host) => host.bookkit.list.last()"), page.evaluate("window.long")
    print(f"{1000 * last['seconds'] / last['count']:.0f} ms a sentence; longest tasks: {sorted(long)[-3:]} ms")
    # Other programs on the machine make single tasks longer.
    assert last["count"] == 30 and np.median([0, *long]) < 100
    visit.assert_quiet()


def test_in_firefox_the_vectors_are_the_same(site, firefox, library):
    firefox.goto(site.url(PAGE))
    firefox.evaluate(READY)
    firefox.evaluate(LOAD_IN_FIREFOX)
    assert_near(firefox.evaluate(READ, TEXTS), library(TEXTS))
    assert firefox.problems == []


def test_a_second_visit_needs_no_network_for_the_model(lab):
    visit = loaded(lab())
    assert len(weights_asked(visit)) == len(visit.own and set(weights_asked(visit))) >= 7
    again = visit.page.context.new_page()
    asked = []
    again.on("request", lambda request: asked.append(request.url))
    again.goto(visit.page.url)
    again.evaluate(READY)
    add(again, "A sentence that starts the kept model by itself.")
    assert not [url for url in asked if "/lab/files/" in url]
    again.get_by_role("button", name="Free the space").click()
    again.get_by_text("Freed.").first.wait_for()
    again.reload()
    again.evaluate(READY)
    assert again.get_by_role("button", name=re.compile(r"^Load \(\d+ MB\)")).count() == 1


@pytest.mark.parametrize(("theme", "width"), COMBINATIONS)
def test_a_reader_compares_chooses_and_searches(lab, theme, width):
    visit = loaded(lab(theme=theme, width=width))
    page, host = visit.page, visit.page.locator(HOST)
    field = page.get_by_label("A sentence of your own")
    field.fill("My savings now earn more at the bank.")
    field.press("Enter")
    page.wait_for_function(SETTLED)
    shown = host.evaluate(SHOWN)
    assert shown["chosen"] == "My savings now earn more at the bank." and len(shown["sentences"]) == 13
    assert shown["rows"][0]["sentence"] == "The bank raised its interest rates again."
    rows = page.locator(".bk-search-row")
    assert rows.count() == 12
    values = [float(text.replace("−", "-")) for text in page.locator(".bk-search-pick b").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    rows.first.locator(".bk-search-pick").press("Enter")
    assert host.evaluate(SHOWN)["chosen"] == "The bank raised its interest rates again."
    assert "of the variance" in page.locator(".bk-search-caption").inner_text()
    assert abs(sum(host.evaluate(SHOWN)["map"]["shares"]) - 0.4) < 0.3
    page.get_by_role("button", name=re.compile("^Remove: My savings")).click()
    assert len(host.evaluate(SHOWN)["sentences"]) == 12
    hits = ask(page, "Why does the model make things up?")
    assert len(hits) == 5 and hits[0]["near"] >= hits[-1]["near"]
    assert_no_wider(page)
    page.emulate_media(reduced_motion="reduce", color_scheme=theme)
    assert_accessible(page)
    visit.forget()  # axe looks for imported style sheets beside the page
    with page.expect_navigation():
        page.locator(".bk-search-hit a").first.click()
    place = hits[0]["place"]
    assert page.url.endswith(place) and page.locator(f"[id='{place.partition('#')[2]}']").count() == 1
    visit.assert_quiet()


@pytest.mark.parametrize(
    "query", ["cosine similarity", "hallucination", "splitting words into smaller parts", "LoRA", "-x"]
)
def test_the_half_by_words_is_the_sites_own_search(lab, open_page, query):
    page = lab().page
    page.get_by_label("A question to this book").fill(query)
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_text("The site's search box finds").wait_for()
    links = page.get_by_role("list", name="By words").locator("a")
    ours = [link.get_attribute("href") for link in links.all()]
    site = open_page(f"search.html?q={query.replace(' ', '+')}").page
    site.wait_for_function("/found|did not match/.test(document.querySelector('.search-summary')?.textContent)")
    theirs = site.locator("#search-results li a").evaluate_all("(links) => links.map((link) => link.href)")
    theirs = [url for url in theirs if PAGE not in url]
    assert [url.split("?")[0] for url in ours] == [url.split("?")[0] for url in theirs][:5]


def test_every_passage_leads_to_a_heading_of_the_site(site):
    """Passages are cut while the site is built, so they are never older than its pages."""
    files = listing(site)["files"]
    made = json.loads((site.root / "_static" / "lab" / files["passages.json"]["url"]).read_text(encoding="utf-8"))
    ids = {
        url: set(re.findall(r'\bid="([^"]+)"', (site.root / url).read_text(encoding="utf-8")))
        for _, url in made["pages"]
    }
    lost = {(made["pages"][page][1], anchor) for page, anchor, *_ in made["passages"]}
    lost = sorted((url, anchor) for url, anchor in lost if anchor not in ids[url])
    print(f"{len(made['passages'])} passages on {len(ids)} pages, {files['passages.json']['bytes']:,} bytes of text")
    assert not lost and len(made["passages"]) > 500
    packed = (site.root / "_static" / "lab" / files["passages.bin"]["url"]).read_bytes()
    count = len(made["passages"])
    scales = struct.unpack(f"<{count}f", packed[: 4 * count])
    whole = np.frombuffer(packed[4 * count :], np.int8).reshape(count, -1)
    assert np.abs(np.linalg.norm(whole * np.array(scales)[:, None], axis=1) - 1).max() < 0.02


HOSTILE = [
    ("<img src=x onerror=alert(1)> <b>cat</b>", "Press Enter"),
    ("a cat on a mat " * 60, "too long for the model: its last"),
    ("🍕🦊 👩‍🍳", "unknown to the model"),
    ("مرحبا بالعالم", ""),
    ("word" * 400, "unknown to the model"),
]


def test_hostile_texts(lab):
    visit = loaded(lab())
    page = visit.page
    wrong, hint = page.locator(".bk-lab-said"), page.locator("#bk-search-hint")
    for text, said in HOSTILE:
        assert add(page, text)["chosen"] == text.strip()
        assert said in hint.inner_text()
        hits = ask(page, text)
        assert len(hits) == 5 and all(-1 <= one["near"] <= 1 for one in hits)
    assert page.locator(".bk-search img, .bk-search-sentence *, .bk-search-chosen *").count() == 0
    for empty in ("", "  \n \t"):
        page.get_by_label("A sentence of your own").fill(empty)
        page.get_by_role("button", name="Add", exact=True).click()
        assert "There is no sentence" in wrong.first.inner_text()
    page.get_by_label("A sentence of your own").fill("\n".join(f"sentence {n}" for n in range(100)))
    page.get_by_role("button", name="Add", exact=True).click()
    assert "at most 60 sentences" in wrong.first.inner_text()
    page.get_by_label("A question to this book").fill("   ")
    page.get_by_role("button", name="Find", exact=True).click()
    assert "There is no question" in wrong.nth(1).inner_text()
    assert len(add(page, "The next one works.", "The next one works.")["sentences"]) == 12 + len(HOSTILE) + 1
    assert wrong.first.inner_text() == ""
    page.get_by_role("button", name="Remove all but this one").click()
    assert "at least two" in page.locator(".bk-search-caption").inner_text()
    page.get_by_role("button", name="Back to the examples").click()
    assert page.locator(".bk-search-row").count() == 11
    visit.assert_quiet()


def test_a_link_fills_the_list_and_loads_nothing(lab):
    visit = lab(PAGE + "#sentences=one+fish%0Atwo+%3Cb%3Efish&chosen=1&question=what+is+a+token")
    page, host = visit.page, visit.page.locator(HOST)
    shown = host.evaluate(SHOWN)
    assert (shown["sentences"], shown["chosen"]) == (["one fish", "two <b>fish"], "two <b>fish")
    assert page.get_by_label("A question to this book").input_value() == "what is a token"
    assert "still wait for the model" in page.locator("#bk-search-hint").inner_text()
    page.get_by_role("button", name="Copy a link to this").click()
    page.wait_for_function("location.hash.includes('chosen=1')")
    assert weights_asked(visit) == []
    loaded(visit)
    page.wait_for_function(SETTLED)
    page.get_by_text(re.compile("^The nearest of")).wait_for()
    visit.assert_quiet()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("cut", "arrived damaged, or of another version"),
        ("other", "arrived damaged, or of another version"),
        ("gone", "has no"),
        ("offline", "could not be reached"),
    ],
)
def test_a_file_that_fails_is_told_and_the_next_try_works(lab, site, what, said):
    visit = lab()
    page, url = visit.page, listing(site)["files"]["encoder.safetensors"]["url"]

    def change(route):
        body = (site.root / "_static" / "lab" / url).read_bytes()
        if what == "cut":
            route.fulfill(body=body[:-1000], content_type="application/octet-stream")
        elif what == "other":
            route.fulfill(body=body[:-4] + b"else", content_type="application/octet-stream")
        elif what == "gone":
            route.fulfill(status=404, body="")
        else:
            route.abort()

    page.context.route(f"**/{url}", change, times=1)
    page.get_by_role("button", name=LOAD).click()
    page.get_by_text(said).first.wait_for()
    assert page.locator(".bk-search-row").count() == 11  # what was computed beforehand stays
    visit.forget()
    loaded(visit)
    assert len(add(page, "It works now.")["sentences"]) == 13
    visit.assert_quiet()


def test_a_browser_without_room_compares_all_the_same(lab):
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
    assert len(add(visit.page, "Still here.")["sentences"]) == 13


def test_a_page_closed_while_it_loads_and_two_labs_at_once(lab, site):
    first = lab()
    context = first.page.context
    first.page.get_by_role("button", name=LOAD).click()
    first.page.wait_for_function(
        "document.querySelector('.bookkit-lab').shadowRoot.querySelector('progress').value > 0.1"
    )
    url, pictures = first.page.url, site.url("book/lab/pictures.html")
    page, other = context.new_page(), context.new_page()
    first.page.close()
    page.goto(url)
    other.goto(pictures)
    for one in (page, other):
        one.set_default_timeout(120_000)
        one.evaluate(READY)
        one.get_by_role("button", name=LOAD).click()
    other.get_by_role("button", name="Draw", exact=True).wait_for()
    page.locator(".bk-lab-load[data-ready]").wait_for()
    assert len(add(page, "Both labs run.")["sentences"]) == 13


def test_a_site_built_without_the_model_says_so(open_page):
    visit = open_page("book/index.html")
    visit.page.wait_for_load_state("networkidle")
    visit.page.context.route("**/lab/labs.json", lambda route: route.fulfill(json={"labs": {}}))
    visit.page.goto(visit.page.url.replace("index.html", "lab/search.html"))
    visit.page.evaluate(READY)
    assert "built without the model" in visit.page.locator(".bk-lab-note").inner_text()
    assert visit.page.locator(".bk-search-static").is_visible()
    visit.assert_quiet()


def test_from_a_disk_the_static_bars_and_a_sentence_stay(site, browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto((site.root / PAGE).as_uri())
    assert "make serve" in page.locator(".bk-lab-note").inner_text()
    assert page.locator(".bk-search-static li").count() == 11
    context.close()
