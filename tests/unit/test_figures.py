"""bookkit.figures: pictures that follow the theme and say what they show."""

import base64
import io
import re
import unittest.mock
import xml.etree.ElementTree as ElementTree

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest
from PIL import Image

from bookkit import figures

matplotlib.use("Agg")


@pytest.fixture
def figure():
    with matplotlib.rc_context():
        figures.use_style()
        figure, axes = plt.subplots()
        axes.plot([0, 1], [0, 1], color=figures.ORANGE)
        axes.text(0, 0, "ထမင်း", color=figures.BLUE)
        axes.set_title("A title")
        yield figure
        plt.close(figure)


def test_colours_follow_the_theme(figure):
    svg = figures.svg(figure, alt="A rising line with a word")
    assert "var(--book-orange, #e69f00)" in svg, "a mark"
    assert "var(--book-blue-text, #0072b2)" in svg, "letters have more contrast"
    assert "var(--book-ink, currentColor)" in svg
    left = re.sub(r"var\([^()]*\)", "", svg).lower()
    assert not any(colour in left for colour in (figures.INK, figures.ORANGE, figures.BLUE))


def test_the_picture_is_well_formed_scales_and_names_no_other_host(figure):
    svg = figures.svg(figure, alt='It says "a < b"')
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-label") == 'It says "a < b"'
    assert root.get("width") is None and "max-width" in root.get("style")
    assert "ထမင်း" in svg, "text stays text"
    assert not re.search(r"(href|src|url)[=(]\W*https?:", svg)


def test_coordinates_are_short_and_written_numbers_whole(figure):
    figure.axes[0].text(0.5, 0.5, "0.00281 in all")
    text = figures.svg(figure, "a line")
    assert "0.00281 in all" in text
    assert not re.search(r'd="[^"]*\.\d{3}', text)


def test_ids_differ_between_figures(figure):
    ids = [set(re.findall(r'id="(p[0-9a-f]+)"', figures.svg(figure, alt="A line"))) for _ in range(2)]
    assert ids[0] and not ids[0] & ids[1], "clip paths of two figures on a page must not meet"


def test_an_embedded_picture_keeps_its_pixels_and_weighs_less_than_a_png(figure):
    noise = np.random.default_rng(0).integers(0, 9, (64, 64, 1))
    pixels = (np.arange(64)[:, None, None] * (1, 2, 3) + noise).astype(np.uint8)
    figure.gca().imshow(pixels, interpolation="none", extent=(0, 1, 0, 1))
    [href] = re.findall(r'href="data:image/webp;base64,([^"]+)"', figures.svg(figure, alt="A grainy slope"))
    picture = base64.b64decode(href)
    shown = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    # matplotlib turns the picture over where the axis points up, as it does here.
    assert any(np.array_equal(shown, kept) for kept in (pixels, pixels[::-1]))
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "png")
    assert len(picture) < len(png.getvalue())


@pytest.mark.parametrize("alt", ["", "   "])
def test_no_figure_without_words(figure, alt):
    with pytest.raises(ValueError, match="alt"):
        figures.svg(figure, alt=alt)


def test_show_displays_once_and_closes(figure, monkeypatch):
    shown = []
    monkeypatch.setattr(figures, "display", shown.append)
    figures.show(figure, alt="A line")
    assert len(shown) == 1 and "<svg" in shown[0].data
    assert figure.number not in plt.get_fignums()


def test_show_replaces_the_output_of_a_handle(figure, monkeypatch):
    class Handle:
        shown = []

        def update(self, output):
            self.shown.append(output.data)

    monkeypatch.setattr(figures, "display", lambda output: pytest.fail("a second output"))
    figures.show(figure, "A rising line with a word", handle=Handle())
    assert "A rising line with a word" in Handle.shown[0]
    assert not plt.fignum_exists(figure.number)


def test_save_writes_the_words_too(figure, tmp_path):
    figures.save(figure, tmp_path / "line.svg", alt="A rising line")
    assert 'aria-label="A rising line"' in (tmp_path / "line.svg").read_text(encoding="utf-8")


def test_a_table_says_what_it_is_and_escapes_text():
    frame = pandas.DataFrame({"what": ["<b>one</b>", "two words"], "how much": [1.25, 2.0]}, index=["a", "b"])
    shown = []
    with unittest.mock.patch("bookkit.figures.display", lambda data, raw: shown.append(data)):
        figures.table(frame, "Things & their sizes", form="{:.1f}")
    (data,) = shown
    assert "&lt;b&gt;one&lt;/b&gt;" in data["text/html"] and "<b>" not in data["text/html"]
    assert 'aria-label="Table: Things &amp; their sizes"' in data["text/html"]
    assert data["text/html"].count('class="words"') == 3, "the head and two cells of the one column of words"
    assert ">1.2<" in data["text/html"] and "Things & their sizes" in data["text/plain"] and "1.2" in data["text/plain"]
