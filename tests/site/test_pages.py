"""Every built page, in a real browser: quiet, self-contained, readable by everybody, on desk and phone."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from harness import HTML, ROOT, THEMES, WIDTHS, assert_accessible, built_pages, pages_or_placeholder

from bookkit import address

PAGES = pages_or_placeholder()
REAL_PAGES = [page for page in PAGES if page != "index.html"] or PAGES  # index.html only leads to the cover
REQUIRED = ("book/index.html", "book/glossary.html", "book/references.html", "search.html")
PAGE_BUDGET = 2_000_000
SHARED_BUDGET = 1_500_000
FONT_BUDGET = 250_000


def wait_for_layout(visit):
    visit.page.evaluate("document.fonts.ready")
    visit.page.wait_for_timeout(50)


# ------------------------------------------------------------------ in the browser


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("page", REAL_PAGES)
def test_page_is_quiet_and_fits(open_page, page, theme, width):
    visit = open_page(page, theme=theme, width=width)
    wait_for_layout(visit)
    # Pictures that load late must load too.
    visit.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    visit.page.wait_for_load_state("networkidle")
    visit.assert_quiet()
    shown = visit.page.evaluate("document.documentElement.dataset.theme")
    assert shown == theme
    overflow = visit.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow <= 0, f"{page} is {overflow} px wider than a screen of {width} px"
    broken = visit.page.evaluate(
        """[...document.images].filter(i => i.getClientRects().length && i.complete && !i.naturalWidth)
           .map(i => i.src)"""
    )
    assert not broken, f"{page} has broken pictures: {broken}"


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
@pytest.mark.parametrize("page", REAL_PAGES)
def test_axe_finds_nothing_serious(open_page, page, theme, width):
    visit = open_page(page, theme=theme, width=width, reduced_motion="reduce")
    # Folded solutions must be readable as well.
    visit.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    wait_for_layout(visit)
    assert_accessible(visit.page)


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


def test_fonts_that_a_page_loads_stay_in_budget(open_page):
    for page in REAL_PAGES:
        visit = open_page(page)
        wait_for_layout(visit)
        paths = {urlsplit(url).path for url in visit.own if url.endswith(".woff2")}
        size = sum((HTML / path.lstrip("/")).stat().st_size for path in paths)
        assert size <= FONT_BUDGET, f"{page} loads {size:,} bytes of fonts: {sorted(paths)}"


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
    for alt in re.findall(r'alt="([^"]*)"', page):
        for language, figures in record.items():
            assert re.search(rf"\b{figures['tokens']}\b[^,.]* in {language}\b", alt), (language, alt)
