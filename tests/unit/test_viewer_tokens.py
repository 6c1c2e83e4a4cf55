"""The token viewer's Python side: packing, the static picture, escaping, and what it refuses."""

import base64
import json
import re
import zlib

import pytest
from markup import Elements

import bookkit
from bookkit.errors import BookError
from bookkit.viewers import fragment, tokens

ALT = "A sentence cut into GPT-2's tokens."


@pytest.fixture(scope="module")
def merges():
    return bookkit.data("tokenizers/gpt2/merges.txt")


@pytest.fixture(scope="module")
def vocabulary():
    return json.loads(bookkit.data("tokenizers/gpt2/vocab.json").read_text(encoding="utf-8"))


def test_the_vocabulary_follows_from_the_merges(merges, vocabulary):
    pairs = tokens.read_merges(merges)
    letters = tokens.byte_letters()
    made = [letters[byte] for byte in tokens.byte_order()]
    for left, right in pairs:
        made.append(made[left] + made[right])
    assert len(pairs) == 50_000
    assert {token: i for i, token in enumerate(made)} | {"<|endoftext|>": 50256} == vocabulary


def test_packing_loses_nothing(merges):
    pairs = tokens.read_merges(merges)
    columns = zlib.decompress(base64.b64decode(tokens.pack(pairs)))
    n = len(columns) // 4
    unpacked = [(columns[i] << 8 | columns[2 * n + i], columns[n + i] << 8 | columns[3 * n + i]) for i in range(n)]
    assert unpacked == pairs


def test_static_picture_is_the_library_s_answer(merges, vocabulary):
    markup = tokens.viewer("This is some text", merges=merges, alt=ALT).data
    assert re.findall(r'class="bk-tokens-id">(\d+)<', markup) == ["1212", "318", "617", "2420"]
    assert (
        "<noscript>" in markup
        and 'role="figure"' in markup
        and f'aria-label="{ALT.replace(chr(39), "&#x27;")}"' in markup
    )


def test_literal_cannot_be_left():
    written = fragment.literal({"</script>": ["<!--", "]]>", "\u2028", "\ud800", "&"]})
    assert not set("<>&\u2028") & set(written) and written.isascii()
    assert json.loads(written)["</script>"][0] == "<!--"


@pytest.mark.parametrize(
    ("data", "drawn"),
    [
        (b" some\n", [("w", "·"), ("t", "some"), ("w", "⏎")]),
        (b" \xf0\x9f", [("w", "·"), ("x", "F0 9F")]),
        ("\u0301".encode(), [("t", "◌\u0301")]),
        ("e\u0301".encode(), [("t", "e\u0301")]),
        ("\u200d\u00a0\x07".encode(), [("u", "U+200D"), ("u", "U+00A0"), ("u", "U+0007")]),
        (b"\xed\xa0\x80", [("x", "ED A0 80")]),
        (b"\xc0\xaf\xe4\xb8", [("x", "C0 AF E4 B8")]),
        (b"", []),
    ],
)
def test_what_is_drawn_for_bytes(data, drawn):
    assert tokens.segments(data) == drawn


def test_pieces_of_one_character_stand_together():
    assert tokens.runs([b" \xf0\x9f", b"\xa4", b"\x97 x", b"y"]) == [(0, 2, "🤗 x"), (3, 3, "")]
    markup = tokens.strip([b" \xf0\x9f", b"\xa4\x97"], [1, 2], alt="x").data
    assert '<span class="bk-tokens-group"><span class="bk-tokens-char">🤗</span>' in markup


def test_strip_of_other_tokenizers():
    markup = tokens.strips(
        [("SmolLM2", ["This", " is"], [1, 2]), ("MiniLM", ["token", "##ization"], None), ("none", [], [])],
        alt="Three rows",
    ).data
    row = Elements(markup)
    classes = [value.split() for name, value in row.attributes if name == "class"]
    assert "script" not in row.found and sum("bk-tokens-p" in names for names in classes) == 4
    assert {"2 tokens", "0 tokens", "##ization"} <= set(row.words)


@pytest.mark.parametrize("text", ["", "\ud800 lone \udfff", "a\r\nb\rc", "\x00", "\U0010ffff", "<|endoftext|>"])
def test_odd_first_texts(merges, text):
    for allow in (False, True):
        assert tokens.viewer(text, merges=merges, alt=ALT, allow_special=allow).data.endswith("</div>")


def test_broken_merges(tmp_path, merges):
    def refuse(content: bytes | None, part: str):
        path = tmp_path / "merges.txt"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(BookError, match=part) as caught:
            tokens.viewer("x", merges=path, alt=ALT)
        assert str(caught.value).count(".") >= 1 and "\n" not in str(caught.value)

    refuse(None, "no merges file")
    refuse(b"\xff\xfe", "not UTF-8")
    refuse(b"#version: 0.2\n", "no merges")
    refuse(b"#version: 0.2\nh e\nhe zz\n", "Line 3")
    refuse(b"#version: 0.2\nh e l\n", "Line 2")
    refuse(b"#version: 0.2\nh e\nh e\n", "there already")
    refuse(b"<html>404</html>\n", "Line 1")
    refuse(merges.read_bytes()[:100_000].rpartition(b" ")[0], "is no merge of two")
    with pytest.raises(BookError, match="no merges file"):
        tokens.viewer("x", merges=tmp_path, alt=ALT)


def test_broken_arguments(merges):
    with pytest.raises(BookError, match="alt="):
        tokens.viewer("x", merges=merges, alt=" ")
    with pytest.raises(BookError, match="alt="):
        tokens.strip(["x"], alt="")
    with pytest.raises(BookError, match="one id for each piece"):
        tokens.strip(["x"], [1, 2], alt="x")
    with pytest.raises(BookError, match="empty text"):
        tokens.viewer("x", merges=merges, alt=ALT, special_tokens={"": 1})
    with pytest.raises(BookError, match="limit"):
        tokens.viewer("x" * 60_000, merges=merges, alt=ALT)


def test_a_viewer_cannot_close_its_own_script(tmp_path, monkeypatch):
    monkeypatch.setattr(fragment, "FOLDER", tmp_path)
    (tmp_path / "x").mkdir()
    for name in ("shared.css", "shared.js", "x/viewer.css", "x/viewer.js"):
        (tmp_path / name).write_text("")
    fragment.fragment("x", data={}, alt="x", static="", noscript="x")
    (tmp_path / "x/viewer.js").write_text("'</script>'")
    with pytest.raises(BookError, match="ends its element"):
        fragment.fragment("x", data={}, alt="x", static="", noscript="x")
