"""Diagrams of mechanisms: boxes, arrows and small matrices on an empty matplotlib canvas.

A chapter says what stands where; how it looks is the same in every chapter. Positions are inches from the lower
left corner, so that a canvas 7 wide fills the measure of the page and its letters keep their size.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from bookkit.figures import BLUE, INK, ORANGE


def canvas(width: float = 7.0, height: float = 3.0) -> tuple[Figure, Axes]:
    """An empty drawing of so many inches, without axes."""
    figure, ax = plt.subplots(figsize=(width, height))
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")
    return figure, ax


def box(ax: Axes, x: float, y: float, text: str, width: float = 1.2, height: float = 0.5, color: str = BLUE) -> None:
    """A rounded box around a text, with its middle at (x, y); data and tokens are blue, weights orange."""
    corner = (x - width / 2, y - height / 2)
    style = {"facecolor": to_rgba(color, 0.12), "edgecolor": color, "linewidth": 1.4}
    ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=0.08", **style))
    lines = text.split("\n")
    for number, line in enumerate(lines):
        # One text a line: the page's letters are not as wide as those that matplotlib centres a block by.
        ax.text(x, y + 0.18 * ((len(lines) - 1) / 2 - number), line, ha="center", va="center", fontsize=10)


def arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "", color: str = INK, bend: float = 0.0
) -> None:
    """An arrow, with a text beside its middle; `bend` is its curvature, positive to the right of its way."""
    look = {"arrowstyle": "-|>", "mutation_scale": 12, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0, "color": color}
    ax.add_patch(FancyArrowPatch(start, end, connectionstyle=f"arc3,rad={bend}", **look))
    if text:
        (x, y), level = np.add(start, end) / 2, abs(end[0] - start[0]) > abs(end[1] - start[1])
        beside = {"ha": "center", "va": "bottom"} if level else {"ha": "left", "va": "center"}
        ax.text(x + (0 if level else 0.08), y + (0.05 if level else 0), text, fontsize=9, **beside)


def label(ax: Axes, x: float, y: float, text: str, color: str = INK, size: float = 10, **options) -> None:
    """Words with their middle at (x, y); `options` go to matplotlib's ``text``."""
    ax.text(x, y, text, color=color, fontsize=size, **{"ha": "center", "va": "center", **options})


def matrix(
    ax: Axes,
    x: float,
    y: float,
    values,
    rows: list[str] | None = None,
    columns: list[str] | None = None,
    title: str = "",
    cell: float = 0.45,
    color: str = ORANGE,
    form: str = "{:.2f}",
) -> None:
    """A matrix of numbers, the larger the darker, its upper left corner at (x, y).

    Args:
        ax: the canvas.
        x: of the corner, in inches.
        y: of the corner, in inches.
        values: numbers, rows × columns; NaN leaves a cell empty.
        rows: a name at the left of each row.
        columns: a name above each column.
        title: above everything.
        cell: the side of a cell in inches.
        color: of the largest value.
        form: how a number is written; "" writes none.
    """
    values = np.atleast_2d(np.asarray(values, dtype=float))
    largest = np.nanmax(np.abs(values)) or 1.0
    for (row, column), value in np.ndenumerate(values):
        left, bottom = x + column * cell, y - (row + 1) * cell
        strength = 0.0 if np.isnan(value) else 0.5 * abs(value) / largest  # darker, and dark paper hides the number
        ax.add_patch(Rectangle((left, bottom), cell, cell, facecolor=to_rgba(color, strength), edgecolor=INK, lw=0.6))
        if form and not np.isnan(value):
            ax.text(left + cell / 2, bottom + cell / 2, form.format(value), ha="center", va="center", fontsize=8.5)
    for row, name in enumerate(rows or []):
        ax.text(x - 0.08, y - (row + 0.5) * cell, name, ha="right", va="center", fontsize=9)
    for column, name in enumerate(columns or []):
        ax.text(x + (column + 0.5) * cell, y + 0.06, name, ha="center", va="bottom", fontsize=9)
    if title:
        above = y + (0.3 if columns else 0.08)
        ax.text(x + values.shape[1] * cell / 2, above, title, ha="center", va="bottom", fontsize=10, weight="bold")
