"""The viewer of one query: what it computes, what it draws, what it refuses."""

import json
import re

import numpy as np
import pytest

from bookkit.errors import BookError
from bookkit.viewers import fragment, query

KEYS = [(2.0, 0.0), (0.0, 0.0), (0.0, 2.0)]
GOOD = {
    "tokens": ["Mary", "reads", "letters"],
    "keys": KEYS,
    "values": [(8.0, 0.0), (0.0, 0.0), (0.0, 8.0)],
    "query": (2.0, 1.0),
    "alt": "A query between two keys.",
}


def data_of(html) -> dict:
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def test_scores_and_weights_are_those_of_attention():
    scores, weights = query.attended((2, 1), KEYS)
    expected = np.array(KEYS) @ (2, 1) / np.sqrt(2)
    assert np.allclose(scores, expected)
    assert np.allclose(weights, np.exp(expected) / np.exp(expected).sum())
    assert np.allclose(query.attended((2000, 1000), KEYS)[1], [1, 0, 0])


def test_the_page_gets_the_numbers_and_room_for_them():
    data = data_of(query.viewer(**GOOD))
    assert data["keys"] == [list(key) for key in KEYS] and data["query"] == [2.0, 1.0]
    assert data["reach"] == 3 and data["far"] == 10
    assert data_of(query.viewer(**{**GOOD, "keys": np.array(KEYS)}))["keys"] == data["keys"]


def test_the_static_picture_shows_the_computation():
    html = query.viewer(**GOOD).data
    static = html[html.index('<div class="bookkit-static">') : html.index("<noscript>")]
    assert static.count('class="bk-query-key"') == 3
    assert "<td>2.83</td><td>0.77</td>" in static and "Weighted sum of the values: (6.14, 1.49)" in static
    assert len(html) < fragment.LIMIT / 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": ["one"]}, "2 to 8 tokens, not 1"),
        ({"tokens": list("abcdefghi")}, "not 9"),
        ({"keys": KEYS[:2]}, "'keys' needs 3"),
        ({"keys": [(1.0, float("nan")), *KEYS[1:]]}, "'keys' needs 3"),
        ({"values": "abc"}, "'values' needs 3"),
        ({"query": (1.0, 2.0, 3.0)}, "'query' needs 1"),
        ({"axes": ["one"]}, "two texts"),
        ({"alt": " "}, "needs alt"),
    ],
)
def test_what_cannot_be_shown_is_refused(change, words):
    with pytest.raises(BookError, match=words):
        query.viewer(**{**GOOD, **change})
