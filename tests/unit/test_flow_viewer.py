"""The viewer of a flow: what it takes, what it draws, what it refuses."""

import base64
import json
import re

import numpy as np
import pytest

from bookkit.errors import BookError
from bookkit.viewers import flow, fragment
from bookkit.viewers.flow import Run

DATA = [(1.0, 0.0), (-1.0, 0.0)]
POINTS = np.array([[(2.0, 0.0), (0.0, 2.0)], [(1.5, 0.0), (-0.5, 1.0)], [(1.0, 0.0), (-1.0, 0.0)]])
GUESSES = np.array([[(0.0, 0.0), (0.0, 0.0)], [(1.0, 0.0), (-1.0, 0.0)], [(1.0, 0.0), (-1.0, 0.0)]])
RUN = Run(POINTS, GUESSES, "A note.")
NOISE = [1.0, 0.5, 0.0]
GOOD = {"runs": {"one": RUN}, "data": DATA, "noise": NOISE, "alt": "Two points flow to two places."}


def data_of(html) -> dict:
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def unpacked(text: str, reach: float) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<u2") / flow.SCALE * 2 * reach - reach


def test_the_page_gets_every_place():
    data = data_of(flow.viewer(**GOOD))
    assert (data["steps"], data["many"], data["rows"], data["names"]) == (3, 2, 2, ["one"])
    found = unpacked(data["blob"], data["reach"])
    assert np.allclose(found, np.concatenate([POINTS.ravel(), GUESSES.ravel()]), atol=0.001)
    assert np.allclose(unpacked(data["places"], data["reach"]), np.ravel(DATA), atol=0.001)
    assert data["noise"] == NOISE and data["notes"] == ["A note."]


def test_distances_to_the_data():
    data = data_of(flow.viewer(**GOOD))
    assert data["near"] == [[pytest.approx((1 + 5**0.5) / 2, abs=0.001), pytest.approx(0.809, abs=0.001), 0.0]]
    assert data["far"] == [[1.0, 0.0, 0.0]]


def test_arrows_stand_on_a_grid():
    arrows = np.full((3, 1, 2), 0.25)
    data = data_of(flow.viewer(**GOOD, grid=[(0.0, 1.0)], arrows=arrows))
    assert np.allclose(unpacked(data["places"], data["reach"])[-2:], (0, 1), atol=0.001)
    assert np.allclose(unpacked(data["arrows"], data["reach"]), 0.25, atol=0.001)


def test_the_static_picture_shows_start_and_end():
    html = flow.viewer(**GOOD).data
    static = html[html.index('<div class="bookkit-static">') : html.index("<noscript>")]
    assert [static.count(f'class="bk-flow-{name}"') for name in ("data", "start", "end")] == [2, 2, 2]
    assert "1.62 at the start, 0.00 at the end" in static


def test_size():
    many = np.random.default_rng(0).normal(size=(41, 120, 2))
    grid, arrows = np.zeros((169, 2)), np.zeros((41, 169, 2))
    runs = {"DDIM": Run(many, many), "DDPM": Run(many, many)}
    html = flow.viewer(runs, data=many[0], noise=np.linspace(1, 0, 41), alt="x", grid=grid, arrows=arrows)
    assert len(html.data) < fragment.LIMIT * 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runs": {}}, "at least one run"),
        ({"runs": {"one": Run(np.zeros((3, 0, 2)), np.zeros((3, 0, 2)))}}, "has no points"),
        ({"runs": {"one": Run(POINTS, GUESSES[:2])}}, "guesses of one"),
        ({"runs": {"one": RUN, "two": Run(POINTS[:2], GUESSES[:2])}}, "points of two"),
        ({"runs": {"one": Run("ab", GUESSES)}}, "points of one"),
        ({"data": [(1.0, float("nan"))]}, "'data' needs finite numbers"),
        ({"noise": [1.0, 0.0]}, "'noise' needs finite numbers of the shape 3"),
        ({"chosen": 2}, "no point 2 to follow"),
        ({"grid": [(0.0, 0.0)]}, "belong together"),
        ({"alt": " "}, "needs alt"),
    ],
)
def test_what_cannot_be_shown_is_refused(change, words):
    with pytest.raises(BookError, match=words):
        flow.viewer(**{**GOOD, **change})
