"""The sentence map's Python side: coordinates, neighbours, escaping, size, and what it refuses."""

import json
import re

import numpy as np
import pytest

from bookkit.errors import BookError
from bookkit.viewers import sentence_map

ALT = "Four texts as points, two of them close to each other."
MAPS = {"PCA": [(0, 0), (1, 0), (1, 1), (0, 3)], "t-SNE": [(5, 5), (2, 1), (0, 0), (9, 9)]}


def make(texts=("a", "b", "c", "d"), maps=MAPS, **options):
    return sentence_map.viewer(list(texts), maps, **{"alt": ALT, **options}).data


def data_of(markup: str) -> dict:
    return json.loads(re.search(r"const data = (\{.*\});\n", markup)[1])


def test_coordinates_fill_the_scale_and_keep_their_order():
    maps = data_of(make())["maps"]
    top = sentence_map.SCALE
    assert [name for name, *_ in maps] == ["PCA", "t-SNE"]
    assert maps[0][1:] == [[0, top, top, 0], [0, 0, round(top / 3), top]]
    assert maps[1][1] == [round(top * 5 / 9), round(top * 2 / 9), 0, top]


def test_points_in_one_place_stand_in_the_middle():
    maps = data_of(make(maps={"flat": [(7, 1), (7, 2), (7, 3), (7, 4)]}))["maps"]
    assert set(maps[0][1]) == {sentence_map.SCALE // 2}
    assert data_of(make(["only"], {"one": [(1, 1)]}, vectors=[[1, 2]]))["near"] == [[[], []]]


def test_nearest_are_numpy_s():
    vectors = np.random.default_rng(0).normal(size=(40, 8)) * np.arange(1, 41)[:, None]
    near = data_of(make(map(str, range(40)), {"x": vectors[:, :2]}, vectors=vectors))["near"]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = unit @ unit.T
    np.fill_diagonal(similar, -1)
    for i, (ids, cosines) in enumerate(near):
        assert ids == np.argsort(-similar[i])[:5].tolist()
        assert cosines == np.rint(100 * similar[i, ids]).astype(int).tolist()


def test_a_vector_of_zeros_has_neighbours_at_cosine_nought():
    near = data_of(make(vectors=[[0, 0], [1, 0], [0, 1], [1, 1]]))["near"]
    assert near[0][1] == [0, 0, 0]


def test_size_of_five_hundred_texts():
    rng = np.random.default_rng(0)
    texts = ["a definition of some ninety characters, as long as those that the chapter shows its readers"] * 500
    markup = make(
        texts,
        {name: rng.normal(size=(500, 2)) for name in "ab"},
        titles=["word"] * 500,
        vectors=rng.normal(size=(500, 9)),
    )
    size = len(markup.encode())
    print(f"500 texts: {size:,} bytes")
    assert size < 300_000


def test_the_static_picture_holds_every_point_and_name():
    markup = make(groups=["x", "y", "x", "<y>"])
    static = markup[markup.index('class="bookkit-static"') : markup.index("<noscript>")]
    assert static.count("<circle") == 4 and "&lt;y&gt;" in static and 'role="img"' in static


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"texts": []}, "at least one text"),
        ({"maps": {}}, "at least one map"),
        ({"maps": {"PCA": [(0, 0)]}}, "'PCA' has 1 entries for 4 texts"),
        ({"maps": {"PCA": [(0, 0), (1, 1), (2, float("nan")), (3, 3)]}}, "finite"),
        ({"maps": {"PCA": [(0, 0, 0)] * 4}}, "two finite numbers"),
        ({"titles": ["a"]}, "'titles' has 1"),
        ({"groups": ["a"] * 5}, "'groups' has 5"),
        ({"vectors": [[1], [2], [3], [float("inf")]]}, "finite"),
        ({"vectors": [1, 2, 3, 4]}, "one row"),
        ({"chosen": 4}, "from 0 to 3"),
        ({"alt": " "}, "alt="),
        ({"texts": ["x" * 90_000] * 4}, "limit"),
    ],
)
def test_what_is_refused(change, part):
    with pytest.raises(BookError, match=re.escape(part)):
        make(**change)
