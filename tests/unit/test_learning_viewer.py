"""The viewer of a training: what it takes, what it draws, what it refuses."""

import json
import re

import pytest

from bookkit.errors import BookError
from bookkit.viewers import fragment, learning
from bookkit.viewers.learning import Stage

STAGES = [Stage("before", [8.0, 6.0], "xq"), Stage("after 10 steps", [1.0, 3.0], "once upon")]


def data_of(html) -> dict:
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def test_the_page_gets_every_stage():
    data = data_of(learning.viewer(["Once", " upon"], STAGES))
    assert data["nats"] == [[8.0, 6.0], [1.0, 3.0]] and data["most"] == 8.0
    assert data["labels"] == ["before", "after 10 steps"] and data["written"] == ["xq", "once upon"]
    assert data["names"] == ["Once", "upon"]


def test_the_static_picture_shows_the_end_and_its_words_the_fall():
    html = learning.viewer(["Once", " upon"], STAGES).data
    static = html[html.index('<div class="bookkit-static">') : html.index("<noscript>")]
    assert "after 10 steps: 2.00 nats a token" in static
    depths = [int(depth) for depth in re.findall(r"--depth:(\d+)%", static)]
    assert depths == [round(learning.DEEPEST * share) for share in (1 / 8, 3 / 8)]
    assert "falls from 7.0 nats before to 2.0 nats after 10 steps" in html


def test_a_mapping_of_labels_will_do():
    assert data_of(learning.viewer(["a"], {"first": [1.0]}))["labels"] == ["first"]


def test_size():
    stages = [Stage(f"after {n} steps", [1.234] * 200, "word " * 60) for n in range(20)]
    html = learning.viewer([" word"] * 200, stages)
    assert len(html.data) < fragment.LIMIT / 4


@pytest.mark.parametrize(
    ("passage", "stages", "words"),
    [
        ([], STAGES, "nothing to show"),
        (["a", "b"], [], "nothing to show"),
        (["a"], STAGES, "'before' has 2 surprises for 1 tokens"),
        (["a"], [Stage("x", [float("nan")])], "no number from 0 up"),
        (["a"], [Stage("x", [-1.0])], "no number from 0 up"),
        ("ab", STAGES, "list of texts"),
    ],
)
def test_what_cannot_be_shown_is_refused(passage, stages, words):
    with pytest.raises(BookError, match=words):
        learning.viewer(passage, stages)
