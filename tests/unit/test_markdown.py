"""bookkit.ask.markdown: Markdown as a reader sees it."""

import pytest

from bookkit.ask import markdown


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("[`gpt2`](gpt2.md)", "gpt2"),
        ("`<|endoftext|>` and `a * b * c`", "<|endoftext|> and a * b * c"),
        ("``a ` b``", "a ` b"),
        ("**bold with *both* inside**", "bold with both inside"),
        ("2 * 3 * 4 and a_b_c", "2 * 3 * 4 and a_b_c"),
        ("$x_{1}^{*}$ costs 5$", "$x_{1}^{*}$ costs 5$"),
        ("{kbd}`Ctrl` is a key", "Ctrl is a key"),
        ("[Read](a.md){.button-link .quiet}", "Read"),
        ("(target)=\nText", "Text"),
        (r"an asterisk \* and a bar \|", "an asterisk * and a bar |"),
        ("[(A, 2001)](x.md#a)<!-- gone -->", "(A, 2001)"),
        ("", ""),
    ],
)
def test_plain(source, text):
    assert markdown.plain(source) == text
