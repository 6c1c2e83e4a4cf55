"""The viewer of two vectors: what it takes, what it draws, what it refuses."""

import json
import math
import re

import pytest

from bookkit.errors import BookError
from bookkit.viewers import vectors

ALT = "Two vectors in the plane, at an angle of 45 degrees."


def data_of(html) -> dict:
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def static_of(html) -> str:
    return html.data[html.data.index('<div class="bookkit-static">') : html.data.index("<noscript>")]


def test_the_page_gets_both_tips():
    data = data_of(vectors.viewer((3, 4), (-0.126, 1), names=("query", "text"), reach=6, alt=ALT))
    assert data["tips"] == [[3.0, 4.0], [-0.13, 1.0]]
    assert (data["names"], data["short"], data["reach"]) == (["query", "text"], ["query", "text"], 6)


def test_the_four_numbers():
    found = vectors.measures((3, 4), (4, 3))
    assert found["dot product"] == 24 and found["cosine"] == pytest.approx(0.96)
    assert found["angle"] == pytest.approx(16.26, abs=0.01) and found["distance"] == pytest.approx(math.sqrt(2))
    one, other = (0.6, 0.8), (0.8, 0.6)
    found = vectors.measures(one, other)
    assert found["distance"] ** 2 == pytest.approx(2 - 2 * found["dot product"])


def test_a_vector_of_length_zero_has_no_direction():
    found = vectors.measures((0, 0), (4, 3))
    assert math.isnan(found["cosine"]) and math.isnan(found["angle"])
    assert (found["dot product"], found["distance"]) == (0, 5)
    assert "cosine undefined" in static_of(vectors.viewer((0, 0), (4, 3), alt=ALT))


def test_the_static_picture_holds_both_vectors_and_their_numbers():
    static = static_of(vectors.viewer((2, 0), (-2, 2), reach=4, alt=ALT))
    assert static.count("<circle") == 2
    assert 'd="M220 220L330.0 220.0"' in static and 'd="M220 220L110.0 110.0"' in static
    assert "Angle 135°, cosine −0.71, dot product −4.00, distance 4.47." in static


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a": (1, 2, 3)}, "'a' needs two finite numbers"),
        ({"b": (1, float("nan"))}, "'b' needs two finite numbers"),
        ({"b": ("x", "y")}, "'b' needs two finite numbers"),
        ({"a": (6, 0)}, "from -5 to 5"),
        ({"names": ("only one",)}, "'names' needs two texts"),
        ({"names": (1, 2)}, "'names' needs two texts"),
        ({"reach": 0}, "'reach' says"),
        ({"reach": float("inf")}, "'reach' says"),
        ({"alt": " "}, "needs alt="),
    ],
)
def test_refusals(options, message):
    with pytest.raises(BookError, match=re.escape(message)):
        vectors.viewer(**{"a": (1, 2), "b": (2, 1), "alt": ALT, **options})
