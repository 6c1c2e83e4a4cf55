"""Set formulas while the book is built, so that a page needs neither MathJax nor any other script.

A Sphinx math renderer: every math node (``$…$``, ``$$…$$``, amsmath, ``{math}``, LaTeX outputs of cells)
goes through KaTeX, which runs in V8 inside this process (package ``mini-racer``). The page receives MathML
for readers who listen and HTML for readers who look; the style sheet is linked only where a formula stands.
A formula that KaTeX refuses is a Sphinx warning that quotes it, and warnings stop the build.

Dollar signs inside raw HTML outputs stay what they are: prices, mostly.
"""

import html
import json
import re
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
VENDOR = Path(__file__).with_name("vendor")
KATEX = VENDOR / "katex.min.js"

# Shorthands that chapters may use; keep the list short, since JupyterLab and Colab do not know them.
MACROS: dict[str, str] = {}


@cache
def engine():
    from py_mini_racer import MiniRacer

    context = MiniRacer()
    context.eval(KATEX.read_text(encoding="utf-8"))
    context.eval(
        """
        function setFormula(tex, display, macros) {
          try {
            const options = {displayMode: display, output: "htmlAndMathml", strict: "ignore",
                             throwOnError: true, trust: false, macros: macros};
            return JSON.stringify({html: katex.renderToString(tex, options)});
          } catch (error) {
            return JSON.stringify({error: String(error.message || error)});
          }
        }
        """
    )
    return context


@cache
def render(tex: str, display: bool) -> tuple[str, str]:
    """(HTML, error message); the message is empty where all is well."""
    call = f"setFormula({json.dumps(tex)}, {json.dumps(display)}, {json.dumps(MACROS)})"
    answer = json.loads(engine().eval(call))
    return answer.get("html", ""), answer.get("error", "")


@cache
def signs() -> frozenset[str]:
    """The signs that the shipped fonts hold."""
    return frozenset(map(chr, json.loads((VENDOR / "signs.json").read_text(encoding="utf-8"))))


def foreign_signs(markup: str) -> list[str]:
    """Signs of a formula that no shipped font of KaTeX can show; plain words fall back to the page's font."""
    visible = markup.partition('aria-hidden="true">')[2]
    text = html.unescape(re.sub(r"<svg.*?</svg>|<[^>]*>", "", visible, flags=re.S))
    return sorted({sign for sign in text if sign not in signs() and ord(sign) > 0x17F and sign != "\u200b"})


def rendered(tex: str, display: bool, node: nodes.Node) -> str:
    markup, error = render(tex, display)
    if error:
        logger.warning("KaTeX cannot set the formula %r: %s", tex, error, location=node, type="katex")
        return f'<code class="math-error">{html.escape(tex)}</code>'
    missing = foreign_signs(markup)
    if missing:
        names = " ".join(missing)
        logger.warning(
            "the fonts in book/_static/katex lack %s of the formula %r: see tools/katex.py", names, tex,
            location=node, type="katex",
        )  # fmt: skip
    return markup


def visit_inline(self, node: nodes.math) -> None:
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    self.body.append(rendered(node.astext(), False, node) + "</span>")
    raise nodes.SkipNode


def visit_block(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node.get("number"):
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span>")
    self.body.append(rendered(prepare(node.astext(), bool(node.get("nowrap"))), True, node) + "</div>\n")
    raise nodes.SkipNode


def prepare(tex: str, complete: bool) -> str:
    r"""Line breaks as Sphinx understands them: a paragraph is a line, and a bare ``\\`` starts a new one."""
    if complete or r"\begin" in tex:
        return tex
    parts = [part.strip() for part in tex.split("\n\n") if part.strip()]
    joined = r" \\ ".join(parts)
    return rf"\begin{{aligned}}{joined}\end{{aligned}}" if r"\\" in joined else joined


def link_stylesheet(app, pagename, templatename, context, doctree) -> None:
    if doctree is not None and any(doctree.findall(lambda n: isinstance(n, nodes.math | nodes.math_block))):
        app.add_css_file("katex/katex.min.css", priority=300)


def setup(app):
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    app.connect("html-page-context", link_stylesheet)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
