"""The search lab's modules in Node, held to tokenizers and NumPy in the same test."""

import base64
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from in_node import hold

import bookkit
from bookkit import eight_bits
from bookkit.ask import browser

TEXTS = [
    "", " ", "A  Red\tAPPLE\n", "unaffable naïve café, isn't it?", "don't we'll I'm — they'd…",
    "<b>bold</b> & \"x\" `y`",
    "a[MASK]b [CLS] [SEP][PAD] [UNK] [mask]", "İstanbul ΣΑΣ ὈΔΥΣΣΕΎΣ ẞß", "e\u0301 \u212b ﬃ ① 𝐀 ½",
    "zero\u200bwidth\u00a0nbsp\u0085nel\ufefffeff\u2028line", "a\x00b\x1fc\ufffdd\x7f", "日本語とEnglish 한국어 中文字",
    "مرحبا بالعالم, שלום", "สวัสดีชาวโลก नमस्ते", "🍕🦊 👩‍🍳 🏳️‍🌈 👍🏽 1️⃣", "x" * 100, "x" * 101, "word " * 300,
    "supercalifragilisticexpialidocious qwrtzp", "$1,000.00 + 50% = #tag @name ~/.cache a_b a-b a/b", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L",
    "\U0010ffff\ue000\u0378", "\u202eoverride\u202c",
]  # fmt: skip


@pytest.fixture(scope="module")
def library():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{bookkit.model('embedder')}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def test_tokens_are_the_librarys(tmp_path, library):
    model = Path(bookkit.model("embedder"))
    pieces = (model / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    assert {piece: number for number, piece in enumerate(pieces)} == library.get_vocab()
    settings = json.loads((model / "sentence_bert_config.json").read_text(encoding="utf-8"))
    assert settings["max_seq_length"] == browser.LONGEST
    # The library's tables of signs are older than Node's, so only signs that both know: those of Unicode 3.2. Four of
    # them have become another kind of sign since.
    old = (chr(code) for code in range(0x30000) if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs"))
    signs = [f"a{sign}b" for sign in old]
    found = [one.ids for one in library.encode_batch([*TEXTS, *signs], add_special_tokens=False)]
    golden = {
        "vocabulary": str(model / "vocab.txt"),
        "longest": browser.LONGEST,
        "texts": list(zip(TEXTS, found[: len(TEXTS)], strict=True)),
        "signs": list(zip(signs, found[len(TEXTS) :], strict=True)),
        "newer": 4,
    }
    print(hold(tmp_path, "wordpiece", golden))


def packed(values) -> str:
    return base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode()


def flat(vectors: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Principal components by NumPy: points (count, 2), and each direction's share of the variance."""
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    left, sizes = np.pad(left, ((0, 0), (0, 2)))[:, :2], np.pad(sizes, (0, 2))
    shares = sizes[:2] ** 2 / (sizes**2).sum()
    return left * sizes[:2], shares.tolist()


def test_map_and_vectors_are_numpys(tmp_path):
    random, maps = np.random.default_rng(0), []
    for name, count in {"two": 2, "three": 3, "twelve": 12, "sixty": 60}.items():
        vectors = random.normal(size=(count, 384)).astype(np.float32)
        vectors[: count // 2] += 2  # two clouds, so that the first direction is clear
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        points, shares = flat(vectors)
        maps.append({"name": f"{name} vectors", "count": count, "vectors": packed(vectors), "points": packed(points),
                     "shares": shares})  # fmt: skip
    whole, scale = eight_bits.rows(vectors[:5])
    content = base64.b64encode(scale.tobytes() + whole.tobytes()).decode()
    shelf = {"bytes": content, "count": 5, "wanted": packed(whole * scale[:, None])}
    print(hold(tmp_path, "vectors", {"maps": maps, "packed": shelf}))
