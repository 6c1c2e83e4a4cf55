"""The beam-search viewer's Python side: totals, order, parents, and trees that cannot be."""

import json
import re

import pytest

from bookkit.errors import BookError
from bookkit.viewers import branches


def one(token, log_prob, parent=None, **flags):
    return {"token": token, "log_prob": log_prob, "parent": parent, **flags}


# Greedy takes "a", since it is likelier than "b"; but "b" has the likelier continuation.
STEPS = [
    [one(" b", -0.9), one(" a", -0.6), one(" c", -3.0, kept=False)],
    [
        one(" x", -1.5, 1, kept=False),
        one(" y", -0.1, 0),
        one(" z", -1.4, 1),
        one(" w", -3.0, 0, kept=False),
    ],
]


def data_of(html) -> dict:
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def test_each_step_is_sorted_and_parents_follow():
    first, second = data_of(branches.viewer(STEPS, prompt="Go"))["steps"]
    assert [(h["name"], h["total"], h["kept"]) for h in first] == [
        ("a", -0.6, True),
        ("b", -0.9, True),
        ("c", -3, False),
    ]
    assert [(h["name"], h["total"], h["parent"]) for h in second] == [
        ("y", -1.0, 1),
        ("z", -2.0, 0),
        ("x", -2.1, 0),
        ("w", -3.9, 1),
    ]
    assert {h["parent"] for h in first} == {-1}


def test_alt_names_the_best_text():
    assert "the best text it finds is “Go b y”." in branches.viewer(STEPS, prompt="Go").data
    ended = [[one(" a", -0.1, finished=True), one(" b", -0.2)], [one(" c", -3.0, 1)]]
    assert "is “a”." in branches.viewer(ended).data
    split = [[one("ĠðŁ", -0.1)], [one("¤", -0.1, 0)], [one("Ĺ", -0.1, 0)]]
    assert "is “🤗”." in branches.viewer(split).data


def test_static_picture_and_size():
    html = branches.viewer([STEPS[0]] + [[one(f" t{i}", -1.0, 0) for i in range(10)] for _ in range(50)]).data
    print(f"503 hypotheses: {len(html.encode()):,} bytes")
    assert len(html.encode()) < 300_000
    static = branches.viewer(STEPS).data.partition('<div class="bookkit-static">')[2].partition("<noscript>")[0]
    assert "<svg" in static and "-1.00" in static and "dropped" in static


@pytest.mark.parametrize(
    ("part", "steps"),
    [
        ("empty", []),
        ("empty", [[one("a", -1)], []]),
        ("lacks token or log_prob", [[{"token": "a"}]]),
        ("lacks token or log_prob", [[("a", -1)]]),
        ("natural logarithm", [[one("a", 0.5)]]),
        ("natural logarithm", [[one("a", float("nan"))]]),
        ("natural logarithm", [[one("a", float("-inf"))]]),
        ("parent None, which is not", [[one("a", -1)], [one("b", -1)]]),
        ("parent 1, which is not", [[one("a", -1)], [one("b", -1, 1)]]),
        ("dropped or had ended", [[one("a", -1), one("b", -2, kept=False)], [one("c", -1, 1)]]),
        ("dropped or had ended", [[one("a", -1, finished=True)], [one("c", -1, 0)]]),
        ("keeps no hypothesis", [[one("a", -1, kept=False)]]),
        ("list of texts", [[one(7, -1)]]),
        ("700 hypotheses", [[one("a", -1)] * 700]),
    ],
)
def test_trees_that_cannot_be(part, steps):
    with pytest.raises(BookError, match=part) as caught:
        branches.viewer(steps)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_steps_that_are_not_there():
    for step in (0, 3):
        with pytest.raises(BookError, match="steps 1 to 2"):
            branches.viewer(STEPS, step=step)
