"""The viewer of a conversation: what it takes, what it draws, what it refuses."""

import json
import re

import pytest

from bookkit.errors import BookError
from bookkit.viewers import fragment, prompt
from bookkit.viewers.prompt import Token

TOKENS = [
    Token("<|im_start|>", "template", 1),
    Token("\n", "template", 2, 0.75, [("\n", 0.75)]),
    Token("Hi", "user", 3, 0.125, [("Hello", 0.5), ("Hi", 0.125)]),
    Token(" there", "assistant", 4, 0.5, [(" there", 0.5)]),
]


def data_of(html) -> dict:
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def test_the_page_gets_every_token():
    data = data_of(prompt.viewer(TOKENS))
    assert data["kinds"] == ["template", "template", "user", "assistant"] and data["ids"] == [1, 2, 3, 4]
    assert data["shares"] == [None, 0.75, 0.125, 0.5] and data["ends"] == [False, True, False, False]
    assert data["counts"] == {"template": 2, "system": 0, "user": 1, "assistant": 1}
    assert [share for _, share in data["others"][2]] == [0.5, 0.125]


def test_the_static_picture_shows_who_put_a_token_there():
    html = prompt.viewer(TOKENS).data
    static = html[html.index('<div class="bookkit-static">') : html.index("<noscript>")]
    assert re.findall(r"bk-prompt-token bk-prompt-(\w+)", static) == ["template", "template", "user", "assistant"]
    assert "A conversation of 4 tokens: 2 by the template, 1 by the user, 1 by the model." in html


def test_size():
    tokens = [Token(f" word{n}", "user", n, 0.1, [(f" other{k}", 0.1) for k in range(5)]) for n in range(300)]
    assert len(prompt.viewer(tokens).data) < fragment.LIMIT / 2


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([], "nothing to show"),
        ([Token("a", "king", 1)], "of the kind 'king': the kinds are template, system, user, assistant"),
        ([Token("a", "user", 1, 1.5)], "no number from 0 to 1"),
        ([Token("a", "user", 1, 0.5, [("b", float("nan"))])], "no number from 0 to 1"),
    ],
)
def test_what_cannot_be_shown_is_refused(tokens, words):
    with pytest.raises(BookError, match=words):
        prompt.viewer(tokens)
