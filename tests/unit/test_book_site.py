"""book/_ext/book_site.py: what it leaves in a built site."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes

from book._ext import book_site


def finished(out: Path, error=None, kind="html") -> set[str]:
    """The names in a site that holds one page, after the end of a build."""
    (out / "_static" / "styles").mkdir(parents=True)
    (out / "page.html").write_text("<p>A page.</p>")
    config = SimpleNamespace(root_doc="book/index", html_title="The book")
    book_site.finish(SimpleNamespace(builder=SimpleNamespace(format=kind), outdir=out, config=config), error)
    return {path.name for path in out.iterdir()}


def test_a_plain_file_server_and_github_pages_serve_the_whole_site(tmp_path):
    assert finished(tmp_path) == {".nojekyll", "index.html", "page.html", "_static"}
    assert (tmp_path / ".nojekyll").read_bytes() == b""
    assert 'href="book/index.html"' in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("how", [{"error": RuntimeError()}, {"kind": "latex"}])
def test_no_site_nothing_added(tmp_path, how):
    assert finished(tmp_path, **how) == {"page.html", "_static"}


OUTPUTS = {
    "figure": nodes.raw("", '<figure><svg viewBox="0 0 9 9"></svg></figure>', format="html"),
    "table": nodes.raw("", "<figure><table><tr><td>1</td></tr></table></figure>", format="html"),
    "viewer": nodes.raw("", '<div data-bookkit="tokens"><table></table></div>', format="html"),
    "check": nodes.literal_block("", "equal to the library's"),
}


@pytest.mark.parametrize("made", [*OUTPUTS, "cell", "picture"])
def test_a_folded_cell_says_what_its_code_made(made):
    source = "seen = 3" if made == "cell" else "seen = 3\nassert seen == 3"
    code = nodes.container("", nodes.literal_block(source, source, language="python"))
    cell = nodes.container("", code, nb_element="cell_code", hide_mode="input", prompt_show="Show code cell {type}")
    if made == "picture":
        cell += nodes.container("", nodes.image(uri="a.png"))
    elif made in OUTPUTS:
        cell += nodes.container("", OUTPUTS[made].deepcopy())
    book_site.mend_code_cells(None, nodes.section("", cell))
    assert cell["prompt_show"] == f"Show the code of this {'figure' if made == 'picture' else made}"


@pytest.mark.parametrize(
    ("source", "section", "classes", "folds"),
    [
        ("n = 3", "set-up", [], "set-up"),
        ('"google.colab" in sys.modules', "set-up", [], "set-up for Colab"),
        ("n = 3", "x", ["tag_exercise-solution"], "solution"),
    ],
)
def test_set_up_and_solution_fold_under_their_names(source, section, classes, folds):
    code = nodes.container("", nodes.literal_block(source, source, language="python"))
    folded = {"nb_element": "cell_code", "hide_mode": "input", "prompt_show": "Show code cell {type}"}
    cell = nodes.container("", code, classes=classes, **folded)
    book_site.mend_code_cells(None, nodes.section("", cell, ids=[section]))
    assert cell["prompt_show"] == f"Show the {folds}"
