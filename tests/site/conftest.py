"""The harness of the built site: a loopback server, one real browser, and pages that may ask no other host.

Fixtures for every test below ``tests/site``:

``site``       address and folder of the built pages (``site.url("book/index.html")``, ``site.root``)
``browser``    one headless Chromium for the whole session (Playwright, synchronous)
``firefox``    one headless Firefox for the tests of a file (see firefox.py)
``open_page``  opens a built page in a context of its own and returns a `Visit`
``open_html``  the same for an HTML fragment that is on no page (a viewer by itself)
``open_without_javascript``  a page that holds only a fragment, in a browser that runs no script

A `Visit` carries the Playwright ``page`` and what went wrong while it was open: ``console`` (errors),
``crashes`` (uncaught exceptions), ``foreign`` (requests to another host, which are blocked) and
``failed`` (requests to our own host that failed). ``visit.assert_quiet()`` asserts that all four are empty.

Where the site is not built or no Chromium is installed, the tests skip and say so;
with ``BOOK_REQUIRE_SITE=1`` they fail instead. ``BOOK_SITE`` names another folder of built pages.
"""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from firefox import Firefox
from harness import BROWSERS, HTML, Site, Visit, unavailable


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.site)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def end_headers(self):
        # As hosts of static pages do: without it a page inside a sandboxed frame gets no fonts.
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site():
    if not (HTML / "index.html").is_file():
        unavailable(f"the site is not built ({HTML} has no index.html): run make book first")
    handler = functools.partial(QuietHandler, directory=str(HTML))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(HTML, f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None:
        unavailable(f"no Chromium found (looked for {', '.join(BROWSERS)}): install one for the site tests")
    try:
        from playwright import sync_api
    except ImportError:
        unavailable("Playwright for Python is not installed: run make book, which sets everything up")
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    running = Firefox(tmp_path_factory.mktemp("firefox"))
    yield running
    running.close()


def new_visit(browser, own_host: str | None, theme: str, width: int, height: int, **options) -> Visit:
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB", **options
    )
    # The theme's own switch keeps its choice here; an explicit choice wins over the system's setting.
    context.add_init_script(
        f"try {{ localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}'); }}"
        " catch (error) {}"
    )
    page = context.new_page()
    visit = Visit(page)

    def guard(route):
        url = route.request.url
        if own_host is not None and urlsplit(url).netloc == own_host:
            visit.own.append(url)
            route.continue_()
        else:
            visit.foreign.append(url)
            route.abort()

    context.route(lambda url: not url.startswith(("data:", "blob:", "about:")), guard)
    page.on("console", lambda said: visit.console.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: visit.crashes.append(str(error)))
    page.on(
        "requestfailed",
        lambda request: (
            visit.failed.append(f"{request.url} ({request.failure})")
            if own_host is not None and urlsplit(request.url).netloc == own_host
            else None
        ),
    )
    page.on(
        "response",
        lambda response: visit.failed.append(f"{response.url} ({response.status})") if response.status >= 400 else None,
    )
    return visit


@pytest.fixture
def open_page(site, browser):
    """``open_page("notebooks/02_tokenization.html", theme="dark", width=390) -> Visit``"""
    visits = []

    def open_(path="index.html", theme="light", width=1280, height=900, **options) -> Visit:
        visit = new_visit(browser, site.host, theme, width, height, **options)
        visits.append(visit)
        visit.page.goto(site.url(path), wait_until="load")
        return visit

    yield open_
    for visit in visits:
        visit.page.context.close()


@pytest.fixture
def open_html(browser):
    """``open_html(fragment, theme="dark") -> Visit`` of a page that holds only this; own_host: one it may ask."""
    visits = []

    def open_(fragment: str, theme="light", width=1280, height=900, own_host=None, **options) -> Visit:
        visit = new_visit(browser, own_host, theme, width, height, **options)
        visits.append(visit)
        visit.page.set_content(
            f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>One'
            f" fragment</title></head><body><main>{fragment}</main></body></html>",
            wait_until="load",
        )
        return visit

    yield open_
    for visit in visits:
        visit.page.context.close()


@pytest.fixture
def open_without_javascript(browser, tmp_path):
    """``open_without_javascript(fragment, width=390) -> page`` of a browser that runs no script."""
    contexts = []

    def open_(fragment: str, width=1280, height=800):
        path = tmp_path / f"page{len(contexts)}.html"
        path.write_text(f"<!doctype html><meta charset=utf-8>{fragment}", encoding="utf-8")
        contexts.append(browser.new_context(java_script_enabled=False, viewport={"width": width, "height": height}))
        page = contexts[-1].new_page()
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
