"""What the stock theme does not do: folded solutions by name, colours for code, small assets, a first page.

- A code cell tagged ``exercise-solution`` folds under "Show the solution", one of the set-up under "Show the
  set-up"; every other folded one says what its code made: "Show the code of this figure", table, viewer or check.
- ``pygments.css`` is written from the two palettes below, all of them at a contrast of 4.5:1 or more
  (``tests/site`` measures it).
- The theme's icon fonts, their style rules and all source maps are left out of the site: the icons that the
  book shows are drawn in ``book/_static/book.css``.
- A picture with a twin (``opening.svg``, ``opening-dark.svg``) is shown in the one that fits the theme.
- While the book has no public address, launch buttons and links to the repository, which would lead nowhere,
  are left out.
- ``index.html`` leads to the cover, which is ``book/index.html``.
- ``.nojekyll`` keeps GitHub Pages from leaving out ``_static`` and every other folder that starts with an underscore.
"""

import re
import zlib
from pathlib import Path

from docutils import nodes
from pygments.formatters import HtmlFormatter
from pygments.style import Style
from pygments.token import (
    Comment,
    Error,
    Generic,
    Keyword,
    Literal,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Token,
)

from bookkit import address, files


def palette(ink, muted, keyword, string, number, function, builtin, wrong, changed):
    return {
        Token: ink,
        Comment: muted,
        Comment.Preproc: keyword,
        Keyword: keyword,
        Keyword.Constant: number,
        Literal: number,
        Number: number,
        String: string,
        String.Doc: muted,
        String.Escape: number,
        String.Interpol: number,
        Name.Function: function,
        Name.Class: function,
        Name.Namespace: ink,
        Name.Builtin: builtin,
        Name.Builtin.Pseudo: builtin,
        Name.Exception: builtin,
        Name.Decorator: builtin,
        Name.Attribute: function,
        Name.Tag: keyword,
        Operator: muted,
        Operator.Word: keyword,
        Punctuation: muted,
        Generic.Heading: f"bold {ink}",
        Generic.Prompt: muted,
        Generic.Output: ink,
        Generic.Deleted: wrong,
        Generic.Inserted: changed,
        Generic.Error: wrong,
        Generic.Traceback: wrong,
        Generic.Emph: "italic",
        Generic.Strong: "bold",
        Error: wrong,
    }


class Light(Style):
    background_color = "#f4efe4"
    styles = palette("#2b2823", "#655f53", "#8f3a14", "#3f6226", "#7a5200", "#1c5788", "#5f4a8c", "#a8340a", "#1f6a4c")


class Dark(Style):
    background_color = "#11161d"
    styles = palette("#d9d5cb", "#98a1a8", "#e2a07c", "#a6c78c", "#e2bf7e", "#8fbfe8", "#bdb0ea", "#ff9a76", "#7fd0b0")


def pygments_css() -> str:
    lines = []
    for theme, style in (("light", Light), ("dark", Dark)):
        prefix = f'html[data-theme="{theme}"] .highlight'
        for line in HtmlFormatter(style=style).get_token_style_defs(prefix):
            if "{" in line and "{  }" not in line:
                lines.append(re.sub(r"\s*/\*.*?\*/", "", line))
        lines.append(f"{prefix} {{ color: {style.styles[Token]}; background: {style.background_color} }}")
    return "\n".join(lines) + "\n"


def what_it_makes(cell) -> str:
    """What the code of a folded cell is for, as its output and then its source tell: a reader decides by it."""
    source, *rest = cell.children
    shown = "".join(node.astext() for part in rest for node in part.findall(nodes.raw))
    marks = {"viewer": "data-bookkit=", "table": "<table", "figure": "<svg"}
    for made, mark in marks.items():
        if mark in shown:
            return made
    if any(part.next_node(nodes.image) for part in rest):
        return "figure"
    return "check" if re.search(r"(?m)^\s*assert ", source.astext()) else "cell"


def mend_code_cells(app, doctree) -> None:
    """`Show the solution`, `Show the code of this figure`; `%pip` and `!git` are code of IPython."""
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code":
            continue
        for block in cell.findall(nodes.literal_block):
            if block.get("language") == "python":
                block["language"] = "ipython3"
        if "tag_exercise-solution" in cell["classes"]:
            folds = "the solution"
        elif cell.get("hide_mode") != "input" or "{type}" not in str(cell.get("prompt_show", "")):
            continue
        elif "set-up" in cell.parent["ids"]:
            folds = "the set-up for Colab" if "google.colab" in cell.astext() else "the set-up"
        else:
            folds = f"the code of this {what_it_makes(cell)}"
        cell["prompt_show"] = f"Show {folds}"
        cell["prompt_hide"] = f"Hide {folds}"


def pair_the_pictures(app, doctree) -> None:
    """With ``picture-dark.svg`` beside ``picture.svg``, the page shows each in its theme."""
    folder = Path(app.env.doc2path(app.env.docname)).parent
    for image in list(doctree.findall(nodes.image)):
        uri = Path(image["uri"])
        twin = uri.with_name(f"{uri.stem}-dark{uri.suffix}")
        if uri.is_absolute() or "only-light" in image["classes"] or not (folder / twin).is_file():
            continue
        dark = image.deepcopy()
        dark["uri"] = twin.as_posix()
        dark["classes"] += ["only-dark", "pst-js-only"]
        image["classes"].append("only-light")
        image.parent.insert(image.parent.index(image) + 1, dark)


def leave_out_launch_buttons(app, config) -> None:
    """Buttons and links would lead to github.com/OWNER until ``python -m bookkit address`` has been run."""
    if address.PLACEHOLDER in config.html_theme_options.get("repository_url", ""):
        config.html_theme_options = {**config.html_theme_options, "launch_buttons": {}}
        app.connect("doctree-read", leave_out_repository_links)


def leave_out_repository_links(app, doctree) -> None:
    """Keep a link's words and drop where it leads."""
    repository = app.config.html_theme_options["repository_url"]
    for link in list(doctree.findall(nodes.reference)):
        if link.get("refuri", "").startswith(repository):
            link.replace_self(link.children)


def when_static_files_change(app, env, added, changed, removed) -> list[str]:
    """Sphinx copies style sheets only while it writes a page: name one when a static file has changed."""
    for folder in app.config.html_static_path:
        source = Path(app.confdir) / folder
        for path in source.rglob("*"):
            copy = Path(app.outdir) / "_static" / path.relative_to(source)
            if path.is_file() and (not copy.is_file() or copy.read_bytes() != path.read_bytes()):
                return [app.config.root_doc]
    return []


def quiet_theme_files(static: Path) -> None:
    """Take the icon fonts, their rules and the source maps out of the built site."""
    for path in static.rglob("*.map"):
        path.unlink()
    for name in ("fontawesome.js", "fontawesome.js.LICENSE.txt"):
        (static / "scripts" / name).unlink(missing_ok=True)
    for path in sorted((static / "vendor").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if (static / "vendor").is_dir():
        (static / "vendor").rmdir()
    unused = ("webpack-macros.html", "sbt-webpack-macros.html", "file.png", "minus.png", "plus.png")
    for name in unused:
        (static / name).unlink(missing_ok=True)
    sheet = static / "styles" / "pydata-sphinx-theme.css"
    if sheet.is_file():
        css = sheet.read_text(encoding="utf-8")
        css = re.sub(r"@font-face\{[^}]*Font Awesome[^}]*\}", "", css)
        css = re.sub(r"(?<=[}/])(?:\.fa-[\w-]+(?:,\.fa-[\w-]+)*)\{--fa:[^}]*\}", "", css)
        css = re.sub(r"/\*# sourceMappingURL=.*?\*/", "", css)
        files.write_text(sheet, css)
    for path in [*static.rglob("*.css"), *static.rglob("*.js")]:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        slim = re.sub(r"(?m)^(?://[#@] sourceMappingURL=.*|/\*[#@] sourceMappingURL=.*?\*/)\s*$", "", text)
        if slim != text:
            files.write_bytes(path, slim.encode(errors="surrogateescape"))


def name_the_toggles(out: Path) -> None:
    """The arrows that unfold a part of the table of contents say so to those who cannot see them."""
    bare = '<summary><span class="toctree-toggle"'
    for path in out.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if bare in text:
            named = bare.replace("<summary>", '<summary aria-label="Pages of this section">')
            files.write_text(path, text.replace(bare, named))


FIRST_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta http-equiv="refresh" content="0; url={target}">
<link rel="canonical" href="{target}">
</head>
<body><main><h1>{title}</h1><p><a href="{target}">Open the book</a></p></main></body>
</html>
"""


def finish(app, error) -> None:
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    (out / ".nojekyll").touch()
    files.write_text(out / "_static" / "pygments.css", pygments_css())
    quiet_theme_files(out / "_static")
    name_the_toggles(out)
    root = app.config.root_doc
    if root != "index":
        page = FIRST_PAGE.format(title=app.config.html_title, target=f"{root}.html")
        files.write_text(out / "index.html", page)


def setup(app):
    # Jupyter Book sets this value for sphinx_comments, which the book does not load.
    app.add_config_value("comments_config", {}, "")
    app.connect("config-inited", leave_out_launch_buttons)
    app.connect("env-get-outdated", when_static_files_change)
    app.connect("doctree-read", mend_code_cells)
    # Before Sphinx collects the pictures of a page.
    app.connect("doctree-read", pair_the_pictures, priority=100)
    app.connect("build-finished", finish, priority=900)
    # Pages that were read under other rules than those of this file are read again.
    rules = zlib.crc32(Path(__file__).read_bytes())
    return {"version": "1", "env_version": rules, "parallel_read_safe": True, "parallel_write_safe": True}
