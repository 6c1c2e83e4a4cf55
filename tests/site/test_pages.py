"""Every built page, in a real browser: quiet, self-contained, readable by everybody, on desk and phone."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from harness import (
    ALIVE,
    COMBINATIONS,
    HTML,
    ROOT,
    THEMES,
    assert_accessible,
    assert_no_wider,
    built_pages,
    pages_or_placeholder,
)
from readers import READERS

from bookkit import address

PAGES = pages_or_placeholder()
REAL_PAGES = [page for page in PAGES if page != "index.html"] or PAGES  # index.html only leads to the cover
REQUIRED = ("book/index.html", "book/glossary.html", "book/references.html", "search.html")
PAGE_BUDGET = 2_000_000
SHARED_BUDGET = 1_500_000
FONT_BUDGET = 250_000


# Letters in their own fonts, and pictures that load late loaded, too: what is not decoded is broken.
LAID_OUT = """async () => {
  scrollTo(0, document.body.scrollHeight);
  await document.fonts.ready;
  const shown = [...document.images].filter((image) => image.getClientRects().length);
  const broken = await Promise.all(shown.map((image) => image.decode().then(() => null, () => image.src)));
  scrollTo(0, 0);
  return broken.filter(Boolean);
}"""


# ------------------------------------------------------------------ in the browser


@pytest.mark.parametrize("page", REAL_PAGES)
@pytest.mark.parametrize(("theme", "width"), COMBINATIONS)
def test_a_visit(open_page, page, theme, width):
    """Quiet, whole, in its theme, no wider than the screen, accessible, and alive."""
    visit = open_page(page, theme=theme, width=width)
    assert visit.page.evaluate(LAID_OUT) == [], "broken pictures"
    visit.page.evaluate(ALIVE)
    assert visit.page.evaluate("document.documentElement.dataset.theme") == theme
    assert_no_wider(visit.page)
    fonts = {urlsplit(url).path for url in visit.own if url.endswith(".woff2")}
    size = sum((HTML / path.lstrip("/")).stat().st_size for path in fonts)
    assert size <= FONT_BUDGET, f"{size:,} bytes of fonts: {sorted(fonts)}"
    visit.assert_quiet()
    visit.page.emulate_media(reduced_motion="reduce", color_scheme=theme)
    # Folded solutions must be readable as well.
    visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert_accessible(visit.page)
    visit.forget()  # axe looks for imported style sheets beside the page
    visit.page.emulate_media(reduced_motion="no-preference", color_scheme=theme)
    if page in READERS:
        READERS[page](visit)
    visit.assert_quiet()


def test_every_page_with_a_viewer_has_a_reader(site):
    with_viewer = {page for page in built_pages() if "data-bookkit=" in (site.root / page).read_text(encoding="utf-8")}
    assert with_viewer <= set(READERS)


def test_first_page_leads_to_the_cover(open_page):
    visit = open_page("index.html")
    visit.page.wait_for_url("**/book/index.html")
    visit.assert_quiet()
    assert visit.page.locator("article h1").inner_text().startswith("Generative AI")


def test_theme_switch_works_and_is_remembered(site, browser):
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto(site.url("book/index.html"))

    def colour():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    seen, modes = set(), []
    for _ in range(3):
        page.locator("button.theme-switch-button:visible").first.click()
        modes.append(page.evaluate("document.documentElement.dataset.mode"))
        seen.add(colour())
    assert set(modes) == {"auto", "light", "dark"}
    assert len(seen) == 2, "light and dark must look different"
    while page.evaluate("document.documentElement.dataset.mode") != "dark":
        page.locator("button.theme-switch-button:visible").first.click()
    dark = colour()
    page.goto(site.url("book/glossary.html"))
    assert colour() == dark, "the choice must hold on the next page"
    context.close()


def test_search_finds_a_word_without_a_server(open_page):
    visit = open_page("search.html?q=tokenizer")
    visit.page.wait_for_selector("#search-results li", timeout=15_000)
    assert visit.page.locator("#search-results li").count() >= 3
    visit.assert_quiet()


def test_pages_read_without_javascript(open_page):
    visit = open_page("book/index.html", java_script_enabled=False)
    assert visit.page.locator("article h1").is_visible()
    assert visit.page.locator("picture.only-light img").is_visible()
    assert visit.page.locator(".cover figcaption").is_visible()


def test_every_interactive_thing_shows_its_focus(open_page):
    visit = open_page("book/how_to_read.html")
    seen = 0
    for _ in range(25):
        visit.page.keyboard.press("Tab")
        outline = visit.page.evaluate(
            """(() => { const e = document.activeElement; if (!e || e === document.body) return null;
               const s = getComputedStyle(e);
               return [e.outerHTML.slice(0, 80), s.outlineStyle, s.outlineWidth]; })()"""
        )
        if outline and not outline[0].startswith("<main"):
            seen += 1
            assert outline[1] != "none" and outline[2] != "0px", f"no visible focus: {outline}"
    assert seen > 10


@pytest.mark.parametrize("page", ["book/glossary.html", "notebooks/02_tokenization.html"])
def test_a_page_works_inside_a_sandboxed_frame(site, open_html, page):
    """As a learning platform embeds it: scripts run, and the browser refuses storage."""
    visit = open_html(
        f'<iframe title="Book" sandbox="allow-scripts" width="1200" height="800" src="{site.url(page)}"></iframe>',
        own_host=site.host,
    )
    frame = visit.page.frame(url=site.url(page))
    frame.wait_for_load_state("load")
    frame.evaluate(ALIVE)
    modes = set()
    for _ in range(3):
        frame.locator("button.theme-switch-button:visible").first.click()
        modes.add(frame.evaluate("document.documentElement.dataset.mode"))
    assert modes == {"auto", "light", "dark"}
    frame.locator("button.search-button__button:visible").first.click()
    frame.locator("#pst-search-dialog input[type=search]").fill("token")
    frame.locator("#pst-search-dialog").wait_for()
    assert frame.evaluate("sessionStorage.getItem('nothing')") is None
    visit.assert_quiet()


@pytest.mark.parametrize("page", ["book/glossary.html", "notebooks/02_tokenization.html"])
def test_a_page_works_from_a_disk(site, browser, page):
    context = browser.new_context(color_scheme="light")
    tab = context.new_page()
    said = []
    tab.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto((site.root / page).as_uri())
    assert tab.evaluate(LAID_OUT) == []
    tab.evaluate(ALIVE)
    assert tab.evaluate("document.fonts.check('16px \"Cell Serif\"')")
    tab.locator("button.theme-switch-button:visible").first.click()
    assert said == []
    context.close()


# ------------------------------------------------------------------ read from the files


class Reader(HTMLParser):
    """Ids, links, pictures and everything a page would request."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.ids, self.links, self.images, self.requests = set(), [], [], []
        self.lang, self.title, self.in_title = None, "", False

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if a.get("id"):
            self.ids.add(a["id"])
        if tag == "a" and a.get("name"):
            self.ids.add(a["name"])
        if tag == "html":
            self.lang = a.get("lang")
        if tag == "title" and not self.title:
            self.in_title = True
        if tag == "a" and a.get("href"):
            self.links.append(a["href"])
        if tag == "img":
            self.images.append(a)
        if tag == "link" and a.get("href") and a.get("rel") not in ("canonical", "next", "prev", "author"):
            self.requests.append(a["href"])
        if tag in ("script", "img", "iframe", "video", "audio", "source", "embed", "track") and a.get("src"):
            self.requests.append(a["src"])
        if a.get("srcset"):
            self.requests += [part.split()[0] for part in a["srcset"].split(",")]

    def handle_endtag(self, tag):
        if tag == "title":
            self.in_title = False

    def handle_data(self, data):
        if self.in_title:
            self.title += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed((HTML / page).read_text(encoding="utf-8"))
    return reader


@pytest.fixture(scope="module")
def readers(site):
    return {page: read(page) for page in built_pages()}


def test_required_pages_exist(readers):
    assert not [page for page in REQUIRED if page not in readers]


def test_no_file_names_a_foreign_host_that_would_be_asked(readers):
    for page, reader in readers.items():
        foreign = [url for url in reader.requests if re.match(r"(?i)(https?:)?//", url)]
        assert not foreign, f"{page} would ask {foreign}"
    for path in (HTML / "_static").rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
        foreign = re.findall(r"(?:url\(|@import)\s*[\"']?\s*((?:https?:)?//[^\"')]+)", text)
        assert not foreign, f"{path.name} would ask {foreign}"
    names = ("unpkg.com", "jsdelivr", "cdnjs", "googleapis", "gstatic", "plausible.io", "google-analytics")
    for path in [*HTML.rglob("*.html"), *(HTML / "_static").rglob("*.js")]:
        text = path.read_text(encoding="utf-8", errors="replace")
        tags = re.findall(r"<script.*?</script>|<link[^>]*>", text, re.S)
        code = "".join(tags) if path.suffix == ".html" else text
        assert not [name for name in names if name in code], f"{path.relative_to(HTML)} names a foreign host"


def test_what_a_page_requests_is_there(readers):
    missing = []
    for page, reader in readers.items():
        for url in reader.requests:
            target = urlsplit(urljoin(f"/{page}", url))
            if not url.startswith("data:") and not (HTML / unquote(target.path).lstrip("/")).is_file():
                missing.append((page, url))
    assert not missing


def test_internal_links_and_anchors_lead_somewhere(readers):
    broken = []
    for page, reader in readers.items():
        for href in reader.links:
            parts = urlsplit(href)
            if parts.scheme or parts.netloc:
                continue
            target = unquote(urlsplit(urljoin(f"/{page}", href)).path).lstrip("/") or page
            if target not in readers:
                if not (HTML / target).is_file():
                    broken.append((page, href))
            elif parts.fragment and unquote(parts.fragment) not in readers[target].ids:
                broken.append((page, href))
    assert not broken


def test_nothing_leads_to_an_address_that_is_not_known_yet(readers):
    for page, reader in readers.items():
        assert not [url for url in reader.links if address.PLACEHOLDER in url], page
    launched = [page for page, reader in readers.items() if any("mybinder.org" in url for url in reader.links)]
    chapters = [page for page in readers if page.startswith("notebooks/")]
    assert launched == ([] if address.unpublished(ROOT) else chapters)


def test_pictures_say_what_they_show(readers):
    useless = []
    for page, reader in readers.items():
        for image in reader.images:
            alt = image.get("alt")
            decorative = alt == "" and image.get("role") == "presentation"
            hashed = alt is not None and re.match(r"(?i)(\.\./)*(_images/|_static/|[0-9a-f]{16,})", alt)
            if alt is None or hashed or (not alt.strip() and not decorative):
                useless.append((page, image.get("src")))
    assert not useless


def test_title_and_language(readers):
    for page, reader in readers.items():
        assert reader.lang == "en", page
        assert reader.title.strip(), page
        assert "<no title>" not in reader.title, page


def test_a_formula_that_cannot_be_set_is_refused():
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    try:
        import katex_math
    finally:
        sys.path.pop(0)
    markup, error = katex_math.render(r"\frac{a}{b} \le \mathbb{E}[x]", False)
    assert not error and "<math" in markup and not katex_math.foreign_signs(markup)
    assert "expected" in katex_math.render(r"\frac{a}{", True)[1]
    assert "Undefined control sequence" in katex_math.render(r"\nosuchmacro", False)[1]
    assert katex_math.foreign_signs(katex_math.render(r"\text{ど}", False)[0]) == ["ど"]
    assert katex_math.prepare("a \\\\ b", False) == r"\begin{aligned}a \\ b\end{aligned}"


def test_formulas_need_no_script(readers):
    for page in readers:
        text = (HTML / page).read_text(encoding="utf-8")
        assert "MathJax" not in text, page
        body = re.sub(r"<(script|style|pre|code|annotation)\b.*?</\1>", "", text, flags=re.S)
        assert not re.search(r"\\\(|\\\[|\$\$", body), f"{page} shows a raw formula"
        assert 'class="math-error"' not in text, page


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_of_code_have_contrast(site):
    css = (HTML / "_static" / "pygments.css").read_text(encoding="utf-8")
    for theme in THEMES:
        rules = re.findall(rf'html\[data-theme="{theme}"\] \.highlight[^{{]*\{{([^}}]*)\}}', css)
        paper = next(m.group(1) for rule in rules if (m := re.search(r"background: (#\w{6})", rule)))
        colours = {m.group(1) for rule in rules if (m := re.search(r"(?<!-)color: (#\w{6})", rule))}
        assert len(colours) > 5
        weak = {c: round(contrast(c, paper), 2) for c in colours if contrast(c, paper) < 4.5}
        assert not weak, f"{theme}: {weak} on {paper}"


def test_solutions_are_folded_under_their_name(readers):
    for page in readers:
        text = (HTML / page).read_text(encoding="utf-8")
        for cell in re.findall(r'<div class="cell tag_[^"]*exercise-solution.*?</summary>', text, re.S):
            assert "<details" in cell and "Show the solution" in cell, page


def weights(readers) -> dict[str, tuple[int, int]]:
    """Bytes of each page with what only it requests, and bytes of everything in _static that it loads."""
    table = {}
    for page, reader in readers.items():
        own, shared = (HTML / page).stat().st_size, 0
        asked = [url for url in reader.requests if not url.startswith("data:")]  # these lie in the page itself
        queue = [urlsplit(urljoin(f"/{page}", url)).path.lstrip("/") for url in asked]
        seen = set()
        while queue:
            name = unquote(queue.pop())
            path = HTML / name
            if name in seen or not path.is_file():
                continue
            seen.add(name)
            is_shared = name.startswith("_static/") and "cover-" not in name or name == "searchindex.js"
            shared += path.stat().st_size if is_shared else 0
            own += 0 if is_shared else path.stat().st_size
            if path.suffix == ".css":
                css = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
                found = re.findall(r"(?:url\(\s*[\"']?|@import\s+[\"'])([^\"')]+)", css)
                local = [url for url in found if not url.startswith(("data:", "#", "url("))]
                queue += [urljoin(f"/{name}", url).lstrip("/") for url in local]
        table[page] = (own, shared)
    return table


def test_weight_of_pages_and_shared_assets(readers):
    table = weights(readers)
    print(f"\n{'page':42} {'page':>12} {'shared':>12}  (bytes, all fonts that the style sheets name counted)")
    for page, (own, shared) in table.items():
        print(f"{page:42} {own:12,} {shared:12,}")
    assert not {page: own for page, (own, _) in table.items() if own > PAGE_BUDGET}
    assert max(shared for _, shared in table.values()) <= SHARED_BUDGET


# ------------------------------------------------------------------ sources that pages are made from


@pytest.mark.parametrize("tool", ["references.py", "make_cover.py"])
def test_generated_sources_are_current(tool):
    result = subprocess.run(
        [sys.executable, str(Path(ROOT) / "tools" / tool), "--check"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_cover_text_says_what_the_cover_shows():
    record = json.loads((ROOT / "book" / "_static" / "cover.json").read_text(encoding="utf-8"))
    page = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    covers = re.findall(r'<img src="[^"]*cover-[^"]*"[^>]*alt="([^"]*)"', page)
    assert len(covers) == 2
    for alt in covers:
        for language, figures in record.items():
            assert re.search(rf"\b{figures['tokens']}\b[^,.]* in {language}\b", alt), (language, alt)
