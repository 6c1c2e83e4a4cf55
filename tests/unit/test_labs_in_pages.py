"""book/_ext/labs.py: a lab stands behind a control that needs a kernel, and its page gets the lab's modules."""

from types import SimpleNamespace

import pytest
from docutils import nodes

from book._ext import labs


def placed(*tags: str, docname: str = "notebooks/07_gpt2_generation") -> str:
    """The HTML that a page gets for a code cell with these tags."""
    cell = nodes.container(classes=["cell", *(f"tag_{tag}" for tag in tags)])
    page = nodes.section("", cell, nodes.paragraph("", "what follows"))
    labs.stand_in(SimpleNamespace(env=SimpleNamespace(docname=docname)), page)
    assert isinstance(page.children[0], nodes.container) and isinstance(page.children[-1], nodes.paragraph)
    return "".join(child.astext() for child in page.children if isinstance(child, nodes.raw))


def test_a_lab_stands_behind_the_control():
    found = placed("remove-output", "lab-text")
    assert 'data-lab="text"' in found and "data-panel" not in found
    assert 'href="../book/lab/text.html"' in found
    assert 'data-panel="attention"' in placed("lab-text-attention")
    assert 'href="lab/search.html"' in placed("lab-search", docname="book/index")


@pytest.mark.parametrize("tag", ["remove-output", "lab-unknown", "labtext"])
def test_other_cells_stay_as_they_are(tag):
    assert placed(tag) == ""


def brought(body: str) -> tuple[list[str], list[str]]:
    styles, scripts = [], []
    app = SimpleNamespace(add_css_file=styles.append, add_js_file=lambda name, type: scripts.append((name, type)))
    labs.bring(app, "page", "page.html", {"body": body}, None)
    return styles, scripts


def test_a_page_without_a_lab_gets_nothing():
    assert brought("<p>No lab.</p>") == ([], [])


def test_a_page_gets_the_modules_of_its_labs_once():
    styles, scripts = brought(placed("lab-text") + placed("lab-search") + placed("lab-text-attention"))
    assert set(styles) == {"lab/shared.css"}
    assert scripts == [("lab/search/page.js", "module"), ("lab/text/page.js", "module")]
