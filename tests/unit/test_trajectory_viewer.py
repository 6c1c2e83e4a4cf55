"""The viewer of a trajectory: what it takes, what it draws, what it refuses."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from bookkit.errors import BookError
from bookkit.viewers import fragment, trajectory
from bookkit.viewers.trajectory import Run

STEPS, SIDE = 6, 16


def run(seed: int, steps: int = STEPS, side: int = SIDE, **scores) -> Run:
    """Noise that gives way to one colour."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, size=(side, side, 3))
    target = np.full((side, side, 3), rng.integers(0, 256, size=3))
    shares = np.linspace(0, 1, steps + 1)
    held = np.stack([(1 - share) * noise + share * target for share in shares]).astype(np.uint8)
    expected = np.stack([target] * (steps + 1)).astype(np.uint8)
    return Run(held, expected, scores or {"subject": shares, "background": np.ones(steps + 1)})


RUNS = {(guidance, seed): run(int(seed)) for guidance in ("1", "5") for seed in ("0", "3")}


def view(runs=RUNS, **options):
    return trajectory.viewer(runs, prompt="a pear", alt="Noise gives way to a colour.", **options)


def data_of(html) -> dict:
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def pictures(data: dict, run: int) -> np.ndarray:
    """What the page draws: (2, steps + 1, side, side, 3)."""
    side, found = data["side"], []
    for row in data["rows"][2 * run : 2 * run + 2]:
        whole = np.asarray(Image.open(io.BytesIO(base64.b64decode(row))).convert("RGB"))
        found.append(whole.reshape(side, data["steps"] + 1, side, 3).transpose(1, 0, 2, 3))
    return np.stack(found)


def test_the_page_gets_every_picture_and_score():
    data = data_of(view())
    assert data["settings"] == [["1", "5"], ["0", "3"]] and data["steps"] == STEPS
    for number, shown in enumerate(RUNS.values()):
        seen = pictures(data, number).astype(int)
        assert np.abs(seen[0].mean((1, 2)) - np.asarray(shown.held).mean((1, 2))).max() < 12
        assert np.abs(seen[1] - np.asarray(shown.expected)).mean() < 6
        assert data["scores"][number] == [np.linspace(0, 1, STEPS + 1).round(3).tolist(), [1.0] * (STEPS + 1)]


def test_runs_may_come_in_any_order():
    data = data_of(view(dict(reversed(RUNS.items()))))
    assert data["settings"] == [["5", "1"], ["3", "0"]]
    expected = np.asarray(RUNS["5", "3"].expected)
    assert np.abs(pictures(data, 0)[1].astype(int) - expected).mean() < 6


def test_the_static_strip_shows_the_first_run_from_noise_to_picture():
    html = view().data
    static = html[html.index('<div class="bookkit-static">') : html.index("<noscript>")]
    picture = re.search(r'src="data:image/webp;base64,([^"]+)"', static).group(1)
    assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (7 * SIDE, 2 * SIDE)
    assert "After 0, 1, 2, 3, 4, 5, 6 steps" in static and "Noise gives way" in static


def test_six_real_sized_runs_fit_a_fragment():
    runs = {(guidance, seed): run(int(seed), 40, 64) for guidance in ("1", "3", "7") for seed in ("0", "1")}
    assert len(view(runs).data) < fragment.LIMIT


def test_too_many_pictures_are_refused():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, size=(200, 64, 64, 3)).astype(np.uint8)
    with pytest.raises(BookError, match="show fewer runs or fewer steps"):
        view({("1", "0"): Run(noise, noise)})


GOOD = run(0)


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ({}, "at least one run"),
        ({("1", "0"): GOOD, ("5", "3"): GOOD}, "is missing: give one for each"),
        ({("1", "0"): Run(GOOD.held, GOOD.expected[:-1])}, "as many and as large"),
        ({("1", "0"): Run(GOOD.held / 255, GOOD.expected)}, "needs uint8 pictures"),
        ({("1", "0"): Run(GOOD.held[..., 0], GOOD.expected[..., 0])}, "needs uint8 pictures"),
        ({("1", "0"): GOOD, ("2", "0"): Run(GOOD.held, GOOD.expected)}, "other scores than the first"),
        ({("1", "0"): run(0, subject=[2.0] * (STEPS + 1))}, "shares from 0 to 1"),
        ({("1", "0"): run(0, subject=[float("nan")] * (STEPS + 1))}, "shares from 0 to 1"),
        ({("1", "0"): run(0, subject=[0.5])}, "needs 7 shares"),
    ],
)
def test_what_does_not_fit_is_one_sentence(runs, words):
    with pytest.raises(BookError, match=words) as caught:
        view(runs)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_the_picture_is_described():
    with pytest.raises(BookError, match="needs alt"):
        trajectory.viewer(RUNS, prompt="a pear", alt=" ")
