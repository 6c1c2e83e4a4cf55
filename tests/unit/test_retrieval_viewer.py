"""The viewer of retrieval: what it takes, what it draws, what it refuses."""

import json
import re

import pytest

from bookkit.errors import BookError
from bookkit.viewers import fragment, retrieval
from bookkit.viewers.retrieval import Passage, Question

PASSAGES = [Passage(f"title {i}", f"Text {i} about cats.", f"page.html#part-{i}") for i in range(6)]
QUESTIONS = [
    Question("What do cats eat?", {"BM25": [(3, 7.5), (1, 2.25)], "dense": [(1, 0.8), (4, 0.6)]}, [1], ["cats", "eat"]),
    Question("Who?", {"BM25": [(0, 1.0), (3, 0.5)], "dense": [(0, 0.3), (1, 0.2)]}, [5]),
]
ALT = "Two lists of two passages each."


def data_of(html) -> dict:
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def test_the_page_gets_the_lists_and_only_the_passages_that_they_name():
    data = data_of(retrieval.viewer(QUESTIONS, PASSAGES, alt=ALT))
    assert data["methods"] == ["BM25", "dense"]
    assert [title for title, _, _ in data["passages"]] == ["title 0", "title 1", "title 3", "title 4"]
    first, second = data["questions"]
    assert first["found"] == [[[2, 7.5], [1, 2.25]], [[1, 0.8], [3, 0.6]]]
    assert first["gold"] == [1] and first["missed"] == 0 and first["terms"] == ["cats", "eat"]
    assert second["gold"] == [] and second["missed"] == 1


def test_the_static_picture_ranks_the_first_question_and_ticks_the_answer():
    html = retrieval.viewer(QUESTIONS, PASSAGES, alt=ALT).data
    static = html[html.index('<div class="bookkit-static">') : html.index("<noscript>")]
    assert re.findall(r"<li>(.*?)</li>", static) == ["title 3", "title 1 ✓", "title 1 ✓", "title 4"]
    assert "What do cats eat?" in static


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", " page.html", 'page.html" onclick="x'])
def test_links_lead_nowhere_but_to_pages(link):
    with pytest.raises(BookError, match="is neither relative nor http"):
        retrieval.viewer(QUESTIONS, [*PASSAGES[:5], Passage("t", "x", link)], alt=ALT)


@pytest.mark.parametrize(
    "link", ["", "#part", "page.html", "../notebooks/04_attention.html#the-mask", "https://x.org/a?b=c"]
)
def test_links_to_pages_are_kept(link):
    data = data_of(retrieval.viewer(QUESTIONS, [Passage("t", "x", link), *PASSAGES[1:]], alt=ALT))
    assert data["passages"][0][2] == link


@pytest.mark.parametrize(
    ("questions", "passages", "said"),
    [
        ([], PASSAGES, "at least one question"),
        ([Question("?", {})], PASSAGES, "at least one"),
        ([QUESTIONS[0], Question("?", {"BM25": [(0, 1.0)]})], PASSAGES, "Question 1 has other methods"),
        ([Question("?", {"BM25": []})], PASSAGES, "has nothing found by 'BM25'"),
        ([Question("?", {"BM25": [(6, 1.0)]})], PASSAGES, "names the passage 6, but there are 6"),
        ([Question("?", {"BM25": [(0, 1.0)]}, [-1])], PASSAGES, "names the passage -1"),
        ([Question("?", {"BM25": [(0, float("nan"))]})], PASSAGES, "no finite number"),
        ([Question("?", {"BM25": [(0, 1.0)]})], [Passage("t", "x" * fragment.LIMIT)], "300,000 is the limit"),
    ],
)
def test_what_does_not_fit_together_is_refused(questions, passages, said):
    with pytest.raises(BookError, match=said):
        retrieval.viewer(questions, passages, alt=ALT)
