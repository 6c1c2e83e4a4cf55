"""The book's matplotlib style, and figures that follow the page's theme.

A figure becomes inline SVG whose colours are CSS variables, so that one picture is legible on light
and on dark paper, stays sharp on a phone, and carries its alternative text with it. A table becomes one that
scrolls within its own box.
"""

import base64
import html
import io
import itertools
import re
import warnings
from typing import TYPE_CHECKING

import matplotlib
import matplotlib.pyplot as plt
from IPython.display import HTML, DisplayHandle, display
from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:
    import pandas

# Okabe and Ito's colour-blind-safe colours; each means the same in every figure of the book.
BLUE = "#0072b2"  # data and tokens
ORANGE = "#e69f00"  # weights and attention
GREEN = "#009e73"  # learned, after
GREY = "#8a8a8a"  # noise, before
VERMILION = "#d55e00"  # wrong
INK = "#23211d"  # text and axes
RULE = "#d9d2c5"  # grid lines

_VARIABLES = {
    BLUE: "var(--book-blue, #0072b2)",
    ORANGE: "var(--book-orange, #e69f00)",
    GREEN: "var(--book-green, #009e73)",
    GREY: "var(--book-grey, #8a8a8a)",
    VERMILION: "var(--book-vermilion, #d55e00)",
    INK: "var(--book-ink, currentColor)",
    RULE: "var(--book-rule, rgba(128, 128, 128, 0.35))",
}
# Letters need more contrast than marks do.
_TEXT_VARIABLES = {
    BLUE: "var(--book-blue-text, #0072b2)",
    ORANGE: "var(--book-orange-text, #b87d00)",
    GREEN: "var(--book-green-text, #008562)",
    GREY: "var(--book-muted, #767676)",
    VERMILION: "var(--book-vermilion-text, #d55e00)",
}
NARROW = 4.6
"""A figure so many inches wide, or less, fits a phone and is shown there whole; a wider one scrolls."""
_STYLE = {
    "figure.figsize": (7.2, 4.0),
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",  # text stays text: selectable, and in the page's own fonts
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "lines.linewidth": 2,
    "axes.prop_cycle": matplotlib.cycler(color=[BLUE, ORANGE, GREEN, VERMILION, GREY]),
    "legend.frameon": False,
}
_numbers = itertools.count(1)


def use_style() -> None:
    """Set the book's matplotlib style for every later figure of this session."""
    plt.rcParams.update(_STYLE)


def svg(figure: Figure, alt: str) -> str:
    """Return a figure as an ``<svg>`` element with theme-following colours.

    Args:
        figure: a matplotlib figure, drawn with this module's colours.
        alt: what the figure shows, in a sentence; read aloud in place of the picture.

    Raises:
        ValueError: the alternative text is missing.
    """
    if not alt.strip():
        raise ValueError("a figure needs alt text that says what it shows")
    buffer = io.StringIO()
    # Ids inside the SVG are hashed with the salt: different in every figure, equal in every run.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": f"figure-{next(_numbers)}"}), warnings.catch_warnings():
        # Letters that matplotlib's own font lacks are no loss: the reader's fonts draw them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, variable in _TEXT_VARIABLES.items():
        text = re.sub(f"(<text[^>]*fill: ){colour}", rf"\1{variable}", text, flags=re.IGNORECASE)
    for colour, variable in _VARIABLES.items():
        text = re.sub(f"(fill|stroke|stop-color): {colour}", rf"\1: {variable}", text, flags=re.IGNORECASE)
    text = re.sub(r"data:image/png;base64,([\w+/=\s]+)", _as_webp, text)
    # A hundredth of a point is finer than any screen; matplotlib writes a millionth. What is written stays as it is.
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), text)
    # Text names matplotlib's list of fonts; the page's sans serves better.
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--book-sans, sans-serif)", text)
    text = re.sub(r"font: ([^;\"]*?\d[\d.]*px) [^;\"]*", r"font: \1 var(--book-sans, sans-serif)", text)
    width = float(re.search(r'width="([\d.]+)pt"', text).group(1))
    text = re.sub(r'(<svg[^>]*?) width="[\d.]+pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r"\1", text, count=1)
    style = f"width: 100%; max-width: {width * 4 / 3:.0f}px; height: auto"
    narrow = ' class="narrow"' if width <= NARROW * 72 else ""
    opening = f'<svg role="img" aria-label="{html.escape(alt)}"{narrow} style="{style}"'
    return text.replace("<svg", opening, 1)


def _as_webp(match: re.Match) -> str:
    """Return the data URL of an embedded PNG picture with the same pixels as WebP, a quarter smaller."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(match[1]))) as picture:
        # Quality is effort where nothing is lost; `exact` also keeps the colours under full transparency.
        picture.save(file, "webp", lossless=True, quality=100, method=6, exact=True)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def show(figure: Figure, alt: str, handle: DisplayHandle | None = None) -> None:
    """Display a figure in the notebook or page, with its alternative text, and close it.

    Args:
        figure: a matplotlib figure.
        alt: what the figure shows, in a sentence.
        handle: of an output to replace, as ``display(…, display_id=True)`` returns it, for a picture that
            changes while its cell runs; None shows a new one.
    """
    # On a phone the page lets a wide figure scroll inside this box (book/_static/book.css).
    box = '<div class="figure-scroll" tabindex="0" role="group" aria-label="Figure">'
    shown = HTML(f'<figure class="book-figure" style="margin: 1em 0">{box}{svg(figure, alt)}</div></figure>')
    if handle is None:
        display(shown)
    else:
        handle.update(shown)
    plt.close(figure)


def table(frame: "pandas.DataFrame", caption: str, form: str = "{:.2f}", index: bool = True) -> None:
    """Display a table with its caption; text in it is escaped, and on a phone it scrolls within its own box.

    Args:
        frame: the rows and columns.
        caption: what they are, in a sentence; plain text.
        form: how a number that is not whole is written.
        index: whether the rows' names are shown.
    """
    body = frame.to_html(border=0, classes="book-table", float_format=form.format, index=index)
    body = _with_words_at_the_left(body, [_holds_words(column) for _, column in frame.items()])
    name = html.escape(caption)
    box = f'<div class="table-scroll" tabindex="0" role="group" aria-label="Table: {name}">'
    shown = f'<figure class="book-table-figure">{box}{body}</div><figcaption>{name}</figcaption></figure>'
    plain = f"{caption}\n{frame.to_string(float_format=form.format, index=index)}"
    display({"text/html": shown, "text/plain": plain}, raw=True)


def _holds_words(column: "pandas.Series") -> bool:
    """Whether a column is to be read as text, not compared as numbers."""
    return any(isinstance(value, str) and re.search(r"[^\W\d_]{4}", value) for value in column)


def _with_words_at_the_left(body: str, words: list[bool]) -> str:
    """The HTML of a table whose columns of words, and their heads, have the class ``words``."""

    def row(match: re.Match) -> str:
        cells = re.findall(r"<t[hd]", match[0])
        offset = len(cells) - len(words)  # the rows' own names come first
        places = itertools.count(-offset)

        def cell(found: re.Match) -> str:
            place = next(places)
            return f'{found[0]} class="words"' if place >= 0 and words[place] else found[0]

        return re.sub(r"<t[hd]", cell, match[0]) if offset >= 0 else match[0]

    return re.sub(r"<tr.*?</tr>", row, body, flags=re.DOTALL)


def save(figure: Figure, path, alt: str) -> None:
    """Write a figure as an SVG file with its alternative text inside."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(svg(figure, alt))
