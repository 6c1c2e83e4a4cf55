"""bookkit.ask.passages: pages and notebooks cut at their headings."""

import lzma
import re
from dataclasses import replace

import nbformat
import pytest
from conftest import ROOT
from docutils.nodes import make_id

from bookkit import notebooks
from bookkit.ask import passages
from bookkit.errors import BookError

PAGE = """---
title: no heading
---
Before.

# A *page* about `cats` ##

{.lead}
See [the glossary](glossary.md#cat) and ![a cat](cat.svg).

```console
# no heading
$ make cats
```

```{status-table}
```

## Zoë's 3 cats

| Cat | Weight |
|---|---:|
| Mia | **3** &lt; 4 |

<svg><text>drawn</text></svg><p class="x">Paragraph</p>

#### Deep: $a_1 * b_1 * c$

> quoted *words*
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    return tmp_path


def test_a_page_is_cut_at_its_headings(root):
    cut = passages.sections("page.md", root)
    assert [section.trail for section in cut] == [
        (),
        ("A page about cats",),
        ("A page about cats", "Zoë's 3 cats"),
        ("A page about cats", "Zoë's 3 cats", "Deep: $a_1 * b_1 * c$"),
    ]
    assert [section.level for section in cut] == [0, 1, 2, 4]
    assert [section.anchor for section in cut] == ["", "a-page-about-cats", "zoe-s-3-cats", "deep-a-1-b-1-c"]
    assert {section.document for section in cut} == {"page.md"}
    assert cut[2].title == "Zoë's 3 cats" and cut[0].title == ""


def test_text_is_what_a_reader_sees(root):
    before, first, second, third = (section.text() for section in passages.sections("page.md", root))
    assert before == "Before."
    assert first == "See the glossary and a cat.\n\n# no heading\n$ make cats"
    assert second == "| Cat | Weight |\n| Mia | 3 < 4 |\n\nParagraph"
    assert third == "quoted words"


def test_equal_headings_get_anchors_of_their_own(tmp_path):
    (tmp_path / "twice.md").write_text("# A\n\n# A\n\n# 7\n", encoding="utf-8")
    assert [section.anchor for section in passages.sections("twice.md", tmp_path)] == ["a", "id1", "id2"]


def test_a_notebook_keeps_its_kinds_apart(tmp_path):
    kept = nbformat.v4.new_output("stream", name="stdout", text="one\ntwo\n")
    cells = [
        nbformat.v4.new_markdown_cell("# Title\n\nWords."),
        nbformat.v4.new_code_cell("# no heading\nx = 1", outputs=[kept]),
        nbformat.v4.new_code_cell("y = 2", outputs=[kept], metadata={"tags": [notebooks.KEEP_TAG]}),
        nbformat.v4.new_markdown_cell("After.\n## Next"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": notebooks.KERNELSPEC})
    (tmp_path / "a.ipynb").write_text(notebooks.dumps(notebook), encoding="utf-8")
    title, following = passages.sections("a.ipynb", tmp_path)
    kinds = [kind for kind, _ in title.parts]
    assert kinds == [passages.PROSE, passages.CODE, passages.CODE, passages.OUTPUT, passages.PROSE]
    assert title.text() == "Words.\n\none\ntwo\n\nAfter."
    assert title.text(passages.CODE) == "# no heading\nx = 1\n\ny = 2"
    assert following.trail == ("Title", "Next") and following.parts == () and following.text() == ""


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.md", None, "no page .*none.md"),
        ("none.ipynb", None, "no notebook .*none.ipynb"),
        ("bad.ipynb", b"{cells", "bad.ipynb is not valid JSON"),
        ("bad.ipynb", b"[1]", "is JSON but not a notebook"),
        ("latin.md", "# Zoë".encode("latin-1"), "latin.md is not UTF-8"),
        ("page.pdf", b"%PDF", "neither a notebook nor a Markdown page"),
    ],
)
def test_bad_input_is_told_in_a_sentence(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BookError, match=says):
        passages.sections(name, tmp_path)


def test_a_folder_without_a_book(tmp_path):
    with pytest.raises(BookError, match="_toc.yml cannot be read"):
        passages.book(tmp_path)
    (tmp_path / "_toc.yml").write_text("root: lost\n")
    with pytest.raises(BookError, match="lists lost, but there is no such page"):
        passages.book(tmp_path)


def test_an_empty_page_has_no_sections(tmp_path):
    (tmp_path / "empty.md").write_text("\n\n")
    assert passages.sections("empty.md", tmp_path) == []


def test_pieces_are_whole_sentences_below_their_headings():
    def section(text):
        return passages.Section("a.md", ("Book", "Cats", "Food"), "food", 2, ((passages.PROSE, text),))

    assert passages.pieces(section("One two. Three four five! Six?\n\nSeven: eight"), words=5) == [
        "Cats › Food\nOne two. Three four five!",
        "Cats › Food\nSix? Seven: eight",
    ]
    assert passages.pieces(section("Short. a b c d e f g. End."), words=3) == [
        "Cats › Food\nShort.",
        "Cats › Food\na b c",
        "Cats › Food\nd e f",
        "Cats › Food\ng. End.",
    ]
    assert passages.pieces(section("")) == []


@pytest.mark.parametrize(
    ("sentence", "most"),
    [
        ("昨日は雨でした。", 100),
        ("「はい！」と言った？", 120),
        ("ภาษาไทยไม่มีช่องว่างระหว่างคำ", 400),
        ("0123456789abcdef", 900),  # a key of 16,000 digits
        ("ምን ነው። ", 600),
        ("क्या है। ", 700),
    ],
)
def test_pieces_have_a_limit_in_every_script(sentence, most):
    text = sentence * 1000
    section = passages.Section("a.md", ("T",), "t", 1, ((passages.PROSE, text),))
    cut = [piece.removeprefix("T\n") for piece in passages.pieces(section)]
    assert max(map(len, cut)) <= most and len(cut) > 10
    assert "".join("".join(cut).split()) == "".join(text.split()), "nothing is lost"
    if sentence[-1] in "。 ":
        assert all(piece.endswith(sentence.strip()) for piece in cut), "whole sentences"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's GROSSE or große", ["it", "s", "grosse", "or", "grosse"]),
        ("naïve = nai\u0308ve; ﬂow", ["naïve", "naïve", "flow"]),
        ("Ёлка, ЁЛКА", ["ёлка", "ёлка"]),
        ("किताब", ["किताब"]),
        ("한국어 책", ["한국어", "책"]),
        ("中文GPT模型", ["中文", "gpt", "模型"]),
        ("字", ["字"]),
        ("state-of-the-art pos_ids", ["state-of-the-art", "state", "of", "the", "art", "pos_ids", "pos", "ids"]),
        ("x -- y - z_ 3.5", ["x", "y", "z", "3", "5"]),
        ("?!", []),
    ],
)
def test_keywords(text, words):
    assert passages.keywords(text) == words


# --- the frozen text ------------------------------------------------------------------------------------------


def freeze(folder, content: bytes):
    """A book's root whose frozen text is `content`."""
    path = folder / "data" / passages.FROZEN
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (folder / "data" / "models.yml").write_text("roles: {}")


def test_what_was_frozen_is_read_back(tmp_path, monkeypatch, root):
    cells = [nbformat.v4.new_markdown_cell("# Zoë"), nbformat.v4.new_code_cell("x = 1")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": notebooks.KERNELSPEC})
    nbformat.write(notebook, tmp_path / "code.ipynb")
    cut = passages.sections("page.md", root) + passages.sections("code.ipynb", tmp_path)
    freeze(tmp_path, lzma.compress("".join(passages.dump(section) + "\n" for section in cut).encode()))
    monkeypatch.setenv("BOOK_ROOT", str(tmp_path))
    *page, code = passages.frozen()
    assert page == cut[:-1]
    assert cut[-1].parts and code == replace(cut[-1], parts=())


GOOD = b'{"document": "a.md", "anchor": "a", "level": 1, "trail": ["A"], "parts": [["prose", "words"]]}\n'


@pytest.mark.parametrize(
    "content",
    [
        GOOD,  # not compressed
        lzma.compress(GOOD)[:-20],
        lzma.compress(b""),
        lzma.compress(GOOD + GOOD[:40]),
        lzma.compress(b"[1]\n"),
        lzma.compress("Zoë".encode("latin-1")),
        lzma.compress(GOOD.replace(b'"level": 1, ', b"")),
        lzma.compress(GOOD.replace(b'"words"', b"3")),
        lzma.compress(GOOD.replace(b', "words"', b"")),
    ],
)
def test_a_damaged_frozen_text_is_told_in_a_sentence(tmp_path, monkeypatch, content):
    freeze(tmp_path, content)
    monkeypatch.setenv("BOOK_ROOT", str(tmp_path))
    with pytest.raises(BookError, match=r"sections.jsonl.xz is (damaged|empty): delete .*git checkout data/corpora/b"):
        passages.frozen()


# --- the book itself ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book():
    return passages.book(ROOT)


def test_the_whole_book_is_cut(book):
    assert {section.document for section in book} == set(passages.documents(ROOT))
    places = [(section.document, section.anchor) for section in book]
    assert len(set(places)) == len(places) and all(anchor for _, anchor in places)


def test_anchors_are_those_of_docutils(book):
    assert [section.anchor for section in book] == [make_id(section.title) for section in book]


def test_no_marks_are_left(book):
    # </w> is how a tokenizer writes the end of a word.
    marks = re.compile(r"\]\(|\*\*|</(?!w>)[a-z]+>|&[a-z]+;|\{[.#]\w|\0")
    left = [(section.document, section.anchor, found[0]) for section in book if (found := marks.search(section.text()))]
    assert not left
