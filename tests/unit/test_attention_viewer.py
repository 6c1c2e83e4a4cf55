"""The attention viewer's Python side: how honest its numbers are, what it shows of odd tokens, what it refuses."""

import base64
import json
import re

import numpy as np
import pytest

from bookkit.errors import BookError
from bookkit.viewers import attention


def softmax_weights(layers=3, heads=2, n=5, causal=True, seed=0, sharp=3.0):
    """Weights as a model makes them: softmax over random scores, the future masked where causal."""
    scores = np.random.default_rng(seed).normal(size=(layers, heads, n, n)) * sharp
    if causal:
        scores[..., *np.triu_indices(n, 1)] = -np.inf
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def words(n):
    return [f" w{i}" for i in range(n)]


def data_of(html) -> dict:
    """What the page gets, as the browser reads it."""
    return json.loads(re.search(r"^const data = (.*);$", html.data, re.MULTILINE).group(1))


def unpacked(data) -> np.ndarray:
    """The weights as the page holds them."""
    n, maps = len(data["tokens"]), (data["layers"], data["heads"])
    codes = np.frombuffer(base64.b64decode(data["blob"]), dtype=np.uint8).reshape(*maps, -1)
    full = np.zeros((*maps, n, n))
    if data["causal"]:
        full[..., *np.tril_indices(n)] = codes
    else:
        full[:] = codes.reshape(*maps, n, n)
    return full / 255


@pytest.mark.parametrize("causal", [True, False], ids=["decoder", "encoder"])
@pytest.mark.parametrize("sharp", [0.1, 1.0, 6.0], ids=["flat", "usual", "sharp"])
def test_what_the_fragment_says_of_its_error_is_true(causal, sharp):
    weights = softmax_weights(4, 3, 24, causal, sharp=sharp)
    data = data_of(attention.viewer(words(24), weights))
    shown = unpacked(data)
    said = [float(n) / 100 for n in re.search(r"at most ([\d.]+) per.*at most ([\d.]+) %", data["note"]).groups()]
    error, lost = np.abs(shown - weights).max(), np.where(shown == 0, weights, 0).sum(-1).max()
    print(f"largest error {error:.5f}, lost at most {lost:.5f} of a row; said {said}")
    assert error <= said[0] < error + 0.0001 + 1e-9 and said[0] <= 0.002
    assert lost <= said[1] < lost + 0.001 + 1e-9
    assert data["causal"] is causal and error <= 1 / 510 + 1e-12


def test_only_the_lower_half_of_a_causal_map_travels():
    sizes = [
        len(base64.b64decode(data_of(attention.viewer(words(24), softmax_weights(2, 2, 24, c)))["blob"]))
        for c in (True, False)
    ]
    assert sizes == [4 * 300, 4 * 576]


def test_size_for_24_tokens_of_thirty_layers():
    markup = attention.viewer(words(24), softmax_weights(30, 9, 24)).data
    size = len(markup.encode("utf-8"))
    print(f"24 tokens, 30 layers of 9 heads: {size:,} bytes")
    assert size <= 300_000


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("maps", [(1, 1), (6, 12), (30, 9), (24, 32), (48, 25)])
def test_every_model_fits_and_a_cut_is_told(maps, causal):
    data = data_of(attention.viewer(words(60), softmax_weights(*maps, 60, causal, sharp=0.01)))
    shown = len(data["tokens"])
    assert data["cut"].startswith(f"The first {shown} of 60 tokens") and 8 <= shown <= attention.MOST_TOKENS
    # A causal token never looks at what was cut off; another one does, and the reader learns how much.
    assert ("goes to the others" in data["cut"]) is not causal
    if not causal:
        weights = softmax_weights(*maps, 60, causal, sharp=0.01)
        said = float(re.search(r"up to ([\d.]+) %", data["cut"]).group(1)) / 100
        assert 0 <= said - weights[:, :, :shown, shown:].sum(-1).max() < 0.0011


def test_nothing_is_cut_from_a_short_sentence():
    assert data_of(attention.viewer(words(24), softmax_weights(30, 9, 24)))["cut"] == ""


def test_a_model_s_attentions_may_be_given_as_they_are():
    torch = pytest.importorskip("torch")
    weights = softmax_weights(3, 2, 5)
    layers = tuple(torch.tensor(layer)[None].to(torch.bfloat16) for layer in weights)
    assert np.abs(unpacked(data_of(attention.viewer(words(5), layers))) - weights).max() < 0.006
    assert data_of(attention.viewer(words(5), weights.astype(np.float16)))["layers"] == 3
    assert data_of(attention.viewer(words(5), weights.tolist()))["layers"] == 3


def test_names_of_a_byte_level_tokenizer_are_turned_back():
    names = ["A", "Ġhug", "ĠðŁ", "¤", "Ĺ", "Ċ", "Ù", "ħ"]
    data = data_of(attention.viewer(names, softmax_weights(1, 1, 8)))
    parts = [[tuple(part) for part in token["parts"]] for token in data["tokens"]]
    assert parts[1] == [("w", "·"), ("t", "hug")]
    assert parts[2] == [("w", "·"), ("x", "F0 9F"), ("c", "🤗")] and parts[4] == [("x", "97"), ("c", "🤗")]
    assert parts[5] == [("w", "⏎")]
    assert [token["name"] for token in data["tokens"]][1:6] == [
        "hug",
        "bytes F0 9F of 🤗",
        "bytes A4 of 🤗",
        "bytes 97 of 🤗",
        "newline",
    ]
    # Text of the same letters that is no byte-level name stays as it is.
    for real in (["poł", "owa"], ["café", "Ġ"]):
        data = data_of(attention.viewer(real, softmax_weights(1, 1, len(real))))
        assert "".join(token["name"] for token in data["tokens"]) == "".join(real), real


def test_odd_tokens_are_legible():
    pieces = ["", " ", "\n", "\t\t", "\u200d", "\u202e", "\ufffd", b"\xf0\x9f", b"\xa4\x97", "مرحبا", "##ing", "\ud800"]
    data = data_of(attention.viewer(pieces, softmax_weights(1, 1, len(pieces))))
    names = [token["name"] for token in data["tokens"]]
    assert names == [
        "empty",
        "space",
        "newline",
        "tab tab",
        "U+200D",
        "U+202E",
        "\ufffd",
        "bytes F0 9F of 🤗",
        "bytes A4 97 of 🤗",
        "مرحبا",
        "##ing",
        "\ufffd",
    ]
    assert all(token["parts"] for token in data["tokens"])


def test_what_stands_there_at_first():
    weights = np.tile(np.eye(4), (2, 2, 1, 1))
    weights[1, 0, 3] = [0.1, 0.7, 0.0, 0.2]
    html = attention.viewer(["The", " cat", " sat", " it"], weights, layer=1, head=0)
    data = data_of(html)
    assert (data["layer"], data["head"], data["token"]) == (1, 0, 3)
    alt = re.search(r'role="figure" aria-label="([^"]*)"', html.data).group(1)
    assert alt == "Attention in layer 1, head 0 over 4 tokens: it looks most at cat (70%), it (20%), The (10%)."
    static = html.data.partition('<div class="bookkit-static">')[2].partition("<noscript>")[0]
    assert "<svg" in static and ">70%</text>" in static and "<script" not in static
    assert data_of(attention.viewer(words(4), weights, token=0))["token"] == 0
    assert 'aria-label="Mine"' in attention.viewer(words(4), weights, alt="Mine").data


def refuse(part, tokens, weights, **options):
    with pytest.raises(BookError, match=part) as caught:
        attention.viewer(tokens, weights, **options)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 250, message


def test_a_model_that_returned_no_attentions():
    for nothing in (None, (), [], (None, None), [softmax_weights(1, 2, 3)[0], None]):
        refuse('attn_implementation="eager"', words(3), nothing)


def test_weights_of_a_wrong_shape():
    good = softmax_weights(3, 2, 5)
    refuse(r"shape \(2, 5, 5\): give \(layers, heads, n, n\)", words(5), good[0])
    refuse("shape", words(5), good[..., :4])
    refuse("shape", words(5), np.stack([good, good], axis=1))  # two sentences
    refuse("shape", words(5), np.zeros((0, 2, 5, 5)))
    refuse("differ in shape", words(5), [good[0], good[1][:1]])
    refuse("no array of numbers", words(5), "weights")
    refuse("4 tokens and weights for 5", words(4), good)
    refuse("list of texts", " w w w w", good)
    refuse("list of texts", [1, 2, 3, 4, 5], good)


def test_weights_that_are_no_shares():
    good = softmax_weights(3, 2, 5)
    for bad in (np.nan, np.inf):
        broken = good.copy()
        broken[1, 0, 3, 2] = bad
        refuse(r"not a finite number.*\(1, 0, 3, 2\)", words(5), broken)
    refuse("after the softmax", words(5), np.log(good + 1e-9))
    refuse(r"query 0 in layer 0, head 0.*sum is 2\)", words(5), good * 2)
    padded = good.copy()
    padded[2, 1, 4] = 0
    refuse(r"query 4 in layer 2, head 1.*sum is 0\)", words(5), padded)
    negative = softmax_weights(1, 1, 3, causal=False)
    negative[0, 0, 1] = [1.5, -0.5, 0]
    refuse("no shares of 1", words(3), negative)


def test_what_is_not_there():
    good = softmax_weights(3, 2, 5)
    refuse("no layer 3: the weights have layers 0 to 2", words(5), good, layer=3)
    refuse("no head -1", words(5), good, head=-1)
    refuse("no token 5", words(5), good, token=5)
    refuse("not among the first 32", words(40), softmax_weights(1, 1, 40), token=39)
    refuse("limit", ["x" * 200_000, "y"], softmax_weights(1, 1, 2))
