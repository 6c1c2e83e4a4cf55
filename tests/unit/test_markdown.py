"""bookkit.ask.markdown: Markdown as a reader sees it."""

import time
import timeit

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


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("To <shop@bücher.example> or <ftp://files.example/a>.", "To shop@bücher.example or ftp://files.example/a."),
        ("for k <len(a), m> 0: x <y,z> and 1 <2> 3", "for k <len(a), m> 0: x <y,z> and 1 <2> 3"),
        ('<a href="x" hidden\nclass=y>word</a > and <br/>more', "word and more"),
        ("a <b\n\nc> d", "a <b\n\nc> d"),
        ("`<!-- shown -->` and ``<svg>`</svg>``", "<!-- shown --> and <svg>`</svg>"),
        ("left <!-- open", "left <!-- open"),
        ("~~~html\n<script>\nshown\n</script>\n~~~", "<script>\nshown\n</script>"),
        ("```\nnever closed\n# not a heading", "never closed\n# not a heading"),
        ("_one_, __two__, **three *four***, but snake_case, 2*3*4", "one, two, three four, but snake_case, 2*3*4"),
        ("*open\n\nnew* paragraph", "*open\n\nnew* paragraph"),
        ("[![seal](a.png)](https://example.org)", "seal"),
        (r"\`no code\` and \\", r"`no code` and " + "\\"),
        ("{name}\\_x", "{name}_x"),
        ("NUL \x007\x00 and `\x008`", "NUL \ufffd7\ufffd and \ufffd8"),
    ],
)
def test_nothing_that_a_reader_sees_is_lost(source, text):
    assert markdown.plain(source) == text


def headings(source):
    return [heading for heading, _ in markdown.at_headings(source)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("Dogs *bark*\n===========\ntext\n\nCats\n---\n", [(1, "Dogs bark"), (2, "Cats")]),
        ("Two\nlines\n-----\n", [(2, "Two lines")]),
        ("(here)=\nA target above\n====\n", [None, (1, "A target above")]),
        ("text\n\n---\n\ntext\n", [None]),
        ("- item\n---\n", [None]),
        ("- item\ngoes on\n---\n", [None]),
        ("> quoted\n---\n| a | b |\n|---|---|\n", [None]),
        ("a | b\n--- | ---\n", [None]),
        ("```\nTitle\n=====\n```\n", [None]),
        ("    code\n---\n", [None]),
        ("<!-- a\n# b\n-->\n# C <!-- d -->\n", [None, (1, "C")]),
        ("# C# and F#\n## a ##\n###\n####### seven\n#tag\n", [(1, "C# and F#"), (2, "a"), (3, "")]),
        ("===\n", [None]),
        ("", []),
    ],
)
def test_headings_of_both_kinds(source, found):
    assert headings(source) == found


@pytest.mark.parametrize(
    ("page", "body"),
    [
        ("---\nlayout: post\ntags:\n- a\n# note\n\nempty:\n---\nText", "Text"),
        ("---  \nurl: https://example.org\n...\nText", "Text"),
        ("+++\ntitle = 'x'\n+++\nText", "Text"),
        ("---\n---\nText", "Text"),
        ("---\nJust a line above and below\n---\nText", None),
        ("----\na: b\n----\n", None),
        ("---\nnever: closed\n", None),
        ("Text\n---\na: b\n---\n", None),
    ],
)
def test_front_matter_is_set_apart_and_a_drawn_line_is_none(page, body):
    assert markdown.body(page) == (page if body is None else body)


UNITS = (
    "*a ", "_a ", "**a *", "[", "![", "[a](", "`a ", "```\n", "<!-- ", "<svg ", "<a ", "<a b='", "$a ", "$$a ", "# #",
    "a* ", "> ", "- a\n", "a\n=\n", "\\", "&a", "{a", "(a)=\n", "<a@", "| ", "\n", " \n", "\0001", "<script>\n",
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_the_time_grows_in_step_with_the_text(unit):
    """Fifty kilobytes of what some parsers take minutes for; quadratic time would be a hundred times as much."""

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))

        def read():
            markdown.plain(text)
            list(markdown.at_headings(markdown.body(text)))

        # timeit stops the garbage collector, which late in a long run takes longer than what is measured.
        return timeit.timeit(read, timer=time.process_time, number=1)

    small = min(seconds(5_000) for _ in range(3))
    # A busy machine may lengthen one measurement, not three.
    assert any(seconds(50_000) < 30 * small + 0.2 for _ in range(3))


def test_a_long_line_of_blanks_takes_no_longer():
    clock = time.process_time()
    for text in ("# a" + " " * 50_000 + "b", "<a" + " " * 50_000, "<a" + " b=c" * 50_000, "`" * 50_000 + "a"):
        assert list(markdown.at_headings(text)) and markdown.plain(text)
    assert time.process_time() - clock < 5
