"""What the site tests share: where the built pages are, what is noted while one is open, and common checks."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
HTML = Path(os.environ.get("BOOK_SITE", ROOT / "_build" / "html")).resolve()
THEMES = ("light", "dark")
COMBINATIONS = (("light", 1280), ("dark", 390))
"""Theme and width of the two visits that a page or viewer gets: every theme and every width once."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def unavailable(reason: str):
    """Skip by name, or fail where the site tests are required."""
    if os.environ.get("BOOK_REQUIRE_SITE") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def built_pages() -> list[str]:
    """Paths of all built pages below the site's root, redirects and generated indices included."""
    if not HTML.is_dir():
        return []
    return sorted(path.relative_to(HTML).as_posix() for path in HTML.rglob("*.html") if "_static" not in path.parts)


def pages_or_placeholder() -> list[str]:
    """For ``parametrize``: never empty, so that a missing build is a visible skip or failure."""
    return built_pages() or ["(not built)"]


ALIVE = """async () => {
  for (const host of document.querySelectorAll('[data-bookkit]')) {
    if (!host.bookkit) throw new Error(host.id + ' has not come to life');
    await host.bookkit.ready;
    while (host.bookkit.moving) await new Promise(requestAnimationFrame);
  }
}"""
"""Waits until every viewer of the page has unpacked what it holds and stands still."""


AXE = """async () => {
  // A token of code is one of a dozen colours on one paper: test_colours_of_code_have_contrast has them from the style
  // sheet, in both themes. Here thousands of tokens would take three quarters of the time of a page.
  axe.configure({ rules: [{ id: 'color-contrast', selector: '*:not(.highlight pre *)' }] });
  // What passes is not listed: on a long page the list takes a third of the time.
  return (await axe.run(document, { resultTypes: ['violations'] })).violations;
}"""


def assert_accessible(page):
    """axe finds nothing serious or critical; a failure names each rule, its elements and what is wrong with them."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(Axe().axe_script)
    found = page.evaluate(AXE)
    serious = [
        {
            "rule": one["id"],
            "help": one["help"],
            "where": [[node["html"][:160], str(node.get("failureSummary"))[:300]] for node in one["nodes"]][:4],
        }
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert not serious, f"{page.url}: {json.dumps(serious, indent=1)}"


def assert_no_wider(page):
    """Nothing sticks out of the screen sideways."""
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, f"{page.url} is {over} px wider than its screen"


def insert_as_notebook(page, markup: str):
    """Insert an output as JupyterLab does: it sets innerHTML, then puts each script in again."""
    page.evaluate(
        """(markup) => {
          const cell = document.createElement('div');
          cell.innerHTML = markup;
          document.body.append(cell);
          for (const old of cell.querySelectorAll('script')) {
            const script = document.createElement('script');
            script.textContent = old.textContent;
            old.replaceWith(script);
          }
        }""",
        markup,
    )


@dataclass
class Site:
    """Where the built pages are."""

    root: Path
    address: str

    def url(self, path: str = "index.html") -> str:
        return f"{self.address}/{path.lstrip('/')}"

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc


@dataclass
class Visit:
    """One page, opened once, and everything that went wrong meanwhile."""

    page: object
    console: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)

    def trouble(self) -> dict[str, list[str]]:
        kinds = ("console", "crashes", "foreign", "failed")
        return {kind: getattr(self, kind) for kind in kinds if getattr(self, kind)}

    def forget(self):
        """What went wrong until now is not counted."""
        for kind in (self.console, self.crashes, self.foreign, self.failed):
            kind.clear()

    def assert_quiet(self):
        assert not self.trouble(), f"{self.page.url}: {self.trouble()}"
