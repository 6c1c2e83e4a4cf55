"""What every viewer shares: one HTML fragment that carries its own data, style and script.

How a viewer is made
--------------------
A viewer is a folder, `NAME/`, of `__init__.py`, `viewer.js` and `viewer.css`. The module turns its arguments
into plain data, draws a static picture of them (HTML, escaped by `text` and `attr`), and returns
`fragment("NAME", ...)`. The fragment then holds, in this order:

1. `<style>`: the colours of the book (`THEME`) and the CSS, what viewers share (`shared.css`) first;
2. the static picture, which is what stands there without JavaScript, before the script has run, if
   it fails, and in a notebook whose outputs are not trusted;
3. `<noscript>`: one sentence that says so;
4. `<script>`: the JS, what viewers share (`shared.js`) first, the data as an escaped literal, and a few lines
   that open a shadow root (so that the style sheets of Sphinx, JupyterLab or Colab do not reach in) and call
   `mount`.

A page may hold any viewers side by side, and the style of each reaches the static pictures of all. A viewer's own
classes therefore begin with its name: `viewer.js` and `viewer.css` write `bk-NAME`, the module `prefix("NAME")`, and
`source` puts the name in. Classes that begin with `bkv` are those of `shared.css`, the same in every viewer.

The JS file defines one function, `mount(root, data, host)`:

- `root` is the shadow root, which already holds a copy of the style; append to it, and set text only
  through `textContent`, never through `innerHTML`;
- `data` is what Python passed, JSON-decoded; `data.blob`, where given, is base64 text;
- `host` is the element that carries the shadow root. What has to be typed into belongs into `host` itself
  (`host.append(textarea)` and `<slot>` in the root), because JupyterLab and VS Code recognise a text
  field, and keep their keyboard shortcuts away from it, only outside a shadow root.

`host.bookkit = {...}` may hold what tests want to call. Unpacked data that a second viewer on the same page
can use is kept in `window.bookkitShared`. The CSS reaches for the variables of `THEME` alone:

- `--bk-ink`, `--bk-muted`, `--bk-rule`, `--bk-paper`, `--bk-raised` (the ground of a text field) and
  `--bk-accent` (what can be touched);
- `--bk-blue`, `--bk-orange`, `--bk-green`, `--bk-grey`, `--bk-vermilion` for surfaces and lines, and
  `--bk-blue-text` and so on for letters in these colours;
- `--bk-tint-1`, `--bk-tint-2` (pale blue grounds), `--bk-edge` (a hairline on them), `--bk-new` (pale green);
- the fonts `--bk-serif`, `--bk-sans`, `--bk-mono`; `--bk-pad` is the room left and right.

They follow the book's own variables where these exist, and the light or dark theme of the site, JupyterLab,
VS Code, Colab or the system.
"""

from __future__ import annotations

import hashlib
import html
import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bookkit.errors import BookError

if TYPE_CHECKING:
    from IPython.display import HTML

LIMIT = 300_000
"""No fragment is larger, in bytes."""

FOLDER = Path(__file__).parent
"""Where the viewers lie."""

_LIGHT = {
    "ink": "#23211d",
    "muted": "#655f53",
    "rule": "#e0d9ca",
    "paper": "#fbf8f1",
    "raised": "#fffdf8",
    "accent": "#8a2f62",
    "blue": "#0072b2",
    "orange": "#e69f00",
    "green": "#009e73",
    "grey": "#8a857a",
    "vermilion": "#d55e00",
    "blue-text": "#005f96",
    "orange-text": "#855400",
    "green-text": "#00694c",
    "vermilion-text": "#a84300",
    "tint-1": "rgba(0,114,178,.08)",
    "tint-2": "rgba(0,114,178,.17)",
    "edge": "rgba(0,84,138,.30)",
    "new": "rgba(0,158,115,.17)",
}
_DARK = {
    "ink": "#d9d5cb",
    "muted": "#a0a5a8",
    "rule": "#2f3843",
    "paper": "#181e26",
    "raised": "#1f2630",
    "accent": "#e39ac4",
    "blue": "#56a8dc",
    "orange": "#eeb23d",
    "green": "#3fbf96",
    "grey": "#8e949b",
    "vermilion": "#ef7f3d",
    "blue-text": "#7cbfea",
    "orange-text": "#eeb23d",
    "green-text": "#5ccfa9",
    "vermilion-text": "#f79a63",
    "tint-1": "rgba(86,180,233,.11)",
    "tint-2": "rgba(86,180,233,.22)",
    "edge": "rgba(120,195,240,.34)",
    "new": "rgba(63,199,156,.22)",
}
_OWN = {"tint-1", "tint-2", "edge", "new"}
"""What the viewers alone use; every other colour yields to the book's variable of the same name."""
_FONTS = {
    "serif": '"Source Serif 4","Source Serif Pro",Charter,Georgia,serif',
    "sans": '"Source Sans 3","Source Sans Pro","Segoe UI",system-ui,sans-serif',
    "mono": '"JetBrains Mono","Source Code Pro",Menlo,Consolas,"DejaVu Sans Mono",monospace',
}


def _declarations(colours: dict[str, str]) -> str:
    return "".join(
        f"--bk-{name}:{value};" if name in _OWN else f"--bk-{name}:var(--book-{name},{value});"
        for name, value in colours.items()
    )


_DARK_HOSTS = ",".join(
    f"{where} .bookkit-viewer"
    for where in (
        'html[data-theme="dark"]',
        'html[theme="dark"]',
        'body[data-jp-theme-light="false"]',
        "body.vscode-dark",
        "body.vscode-high-contrast:not(.vscode-high-contrast-light)",
    )
)
_UNDECIDED = 'html:not([data-theme]):not([theme]) body:not([data-jp-theme-light]):not([class*="vscode-"])'

THEME = (
    f".bookkit-viewer{{{_declarations(_LIGHT)}color-scheme:light;"
    + "".join(f"--bk-{name}:var(--book-{name},{stack});" for name, stack in _FONTS.items())
    + "display:block;margin:.6rem 0;background:var(--bk-paper);color:var(--bk-ink)}"
    # On the site the page has the same ground, so that the viewer may be flush with its text.
    + ".bd-content .bookkit-viewer{--bk-pad:.2rem}"
    # The theme of the site lays a pale sheet under every HTML output on dark pages.
    + "html[data-theme] .bd-content div.cell_output .text_html:has(.bookkit-viewer)"
    + "{background:none!important;padding:0!important;border-radius:0}"
    + f"{_DARK_HOSTS}{{{_declarations(_DARK)}color-scheme:dark}}"
    + "@media (prefers-color-scheme:dark){"
    + f"{_UNDECIDED} .bookkit-viewer{{{_declarations(_DARK)}color-scheme:dark}}}}"
)
"""The colours and fonts of the book, light and dark, for every place where a fragment is shown."""

_MOUNT = """
const data = @DATA@;
for (const host of document.querySelectorAll('[data-bookkit="@ID@"]')) {
  if (host.shadowRoot) continue;
  const root = host.attachShadow({mode: "open"});
  root.append(host.querySelector("style").cloneNode(true));
  try { mount(root, data, host); } catch (error) {
    root.append(document.createElement("slot"));
    console.error(error);
  }
}
"""

_counter = itertools.count(1)


def well_formed(string: str) -> str:
    """The string with lone surrogates replaced by U+FFFD, as a browser's TextEncoder does."""
    return string.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def text(string: str) -> str:
    """The string as HTML text: escaped, and without characters that no HTML document may hold."""
    allowed = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]", "\ufffd", well_formed(string))
    return html.escape(allowed)


def attr(string: str) -> str:
    """The string as the value of an HTML attribute, quotes included; white space becomes single spaces."""
    return f'"{text(" ".join(string.split()))}"'


def literal(data: Any) -> str:
    """The data as a JavaScript literal that nothing in it can leave: plain ASCII without `<`, `>` and `&`."""
    dumped = json.dumps(data, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return dumped.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def prefix(name: str) -> str:
    """What the classes of the viewer `name` begin with; no other viewer's do, since names hold no hyphen."""
    return f"bk-{name}"


def source(name: str, kind: str) -> str:
    """The "css" or "js" of the viewer `name`: what viewers share, then its own, with its prefix put in.

    Comment lines and indentation are left out. Raises BookError where the source would end its own element.
    """
    written = "\n".join(
        (FOLDER / path).read_text(encoding="utf-8") for path in (f"shared.{kind}", f"{name}/viewer.{kind}")
    )
    # The sources are ours; the check keeps a later edit from closing its own element.
    for end in ("</style", "</script", "<!--"):
        if end in written.lower():
            raise BookError(f"The {kind} of the viewer {name!r} holds {end!r}, which ends its element: reword it.")
    lines = (line.strip() for line in re.sub(r"\bbk-NAME\b", prefix(name), written).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/* ")))


def html_object(markup: str, what: str) -> HTML:
    """The markup as an IPython object, after a look at its size."""
    from IPython.display import HTML

    size = len(markup.encode("utf-8"))
    if size >= LIMIT:
        raise BookError(
            f"The viewer {what!r} has {size:,} bytes and {LIMIT:,} is the limit: "
            "give it less data, or a smaller example."
        )
    return HTML(markup)


def fragment(
    name: str,
    *,
    data: dict[str, Any],
    alt: str,
    static: str,
    noscript: str,
) -> HTML:
    """One self-contained viewer.

    name: that of the viewer's folder, which becomes part of its id and classes. data: anything JSON can hold.
    alt: what the picture shows, for those who do not see it. static: the picture as HTML, already escaped.
    noscript: a sentence for readers without JavaScript. Raises BookError where alt is missing or the whole is
    300,000 bytes or more.
    """
    if not alt.strip():
        raise BookError(f"The viewer {name!r} needs alt=…: a sentence that says what its picture shows.")
    alt, written = well_formed(alt), literal(data)
    digest = hashlib.sha256(f"{name}\0{written}\0{alt}".encode()).hexdigest()[:8]
    identifier = f"bookkit-{name}-{digest}-{next(_counter)}"
    mounting = _MOUNT.replace("@ID@", identifier).replace("@DATA@", written)
    markup = (
        f'<div class="bookkit-viewer bookkit-{name} mathjax_ignore tex2jax_ignore" id="{identifier}"'
        f' data-bookkit="{identifier}" data-lm-suppress-shortcuts="true"'
        f' role="figure" aria-label={attr(alt)}>'
        f"<style>{THEME}\n{source(name, 'css')}</style>"
        f'<div class="bookkit-static">{static}</div>'
        f'<noscript><p class="bookkit-noscript">{text(noscript)}</p></noscript>'
        f'<script>(() => {{\n"use strict";\n{source(name, "js")}{mounting}}})();</script>'
        "</div>"
    )
    return html_object(markup, name)
