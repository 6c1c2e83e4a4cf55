"""bookkit.diagrams: what a chapter draws its mechanisms with."""

import math

import matplotlib.pyplot as plt
import pytest

from bookkit import diagrams, figures


@pytest.fixture
def ax():
    figure, ax = diagrams.canvas(7, 2)
    yield ax
    plt.close(figure)


def test_each_line_of_a_box_is_centred_by_itself(ax):
    diagrams.box(ax, 2, 1, "query\nof reads")
    upper, lower = ax.texts
    assert (upper.get_text(), lower.get_text()) == ("query", "of reads")
    assert upper.get_ha() == lower.get_ha() == "center"
    assert math.isclose((upper.get_position()[1] + lower.get_position()[1]) / 2, 1)


def test_a_matrix_writes_its_numbers_and_leaves_out_what_is_missing(ax):
    diagrams.matrix(ax, 1, 2, [[1.0, math.nan], [0.5, -2.0]], rows=["a", "b"], title="M", form="{:.1f}")
    assert {text.get_text() for text in ax.texts} == {"1.0", "0.5", "-2.0", "a", "b", "M"}
    strengths = [patch.get_facecolor()[3] for patch in ax.patches]
    assert max(strengths) == strengths[3] == 0.5 and strengths[1] == 0


def test_an_arrow_says_what_it_does(ax):
    diagrams.arrow(ax, (1, 1), (3, 1), "softmax")
    assert [text.get_text() for text in ax.texts] == ["softmax"]


def test_a_diagram_becomes_a_figure_that_follows_the_theme(ax):
    diagrams.box(ax, 2, 1, "keys", color=figures.ORANGE)
    diagrams.label(ax, 4, 1, "a word")
    shown = figures.svg(ax.figure, alt="A box with the word keys")
    assert "--book-orange" in shown and ">keys</text>" in shown and ">a word</text>" in shown
