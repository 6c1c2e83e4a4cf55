"""What the search lab is made of: a graph that fits the embedder, sentences made beforehand, what its page says."""

import base64
import importlib.util
import json
import re

import numpy as np
import pytest
from in_node import ROOT

import bookkit
from book._ext import labs
from bookkit import BookError, eight_bits, files, models, results
from bookkit.ask import browser

DATA = ROOT / "data" / "labs" / "search"
GRAPH = json.loads((DATA / "graphs.json").read_text(encoding="utf-8"))["graphs"]["encoder"]
EXAMPLE = json.loads((ROOT / "book/_static/lab/search/example.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "book" / "lab" / "search.md").read_text(encoding="utf-8")
TEXTS = ["A cat sleeps.", "", "naïve café, 日本語 🍕", "many words " * 200]


@pytest.fixture(scope="module")
def encoder():
    return browser.Encoder(ROOT)


def test_the_graph_belongs_to_the_embedder(encoder):
    assert files.file_problem(DATA / GRAPH["file"], GRAPH, hashes=True) is None
    assert files.file_problem(encoder.weights, GRAPH["weights"], hashes=True) is None, (
        "python -m training.browser graphs"
    )
    assert GRAPH["bytes"] < 300_000 and GRAPH["weights"]["bytes"] < 23_500_000


def test_the_vectors_are_the_librarys(encoder):
    from sentence_transformers import SentenceTransformer

    texts = [*TEXTS, *EXAMPLE["sentences"]]
    theirs = SentenceTransformer(bookkit.model("embedder"), device="cpu").encode(texts, normalize_embeddings=True)
    ours = encoder(texts)
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert (ours * theirs).sum(axis=1).min() > 0.995  # an odd text may be off by more than the book's passages are


def test_page_and_site_say_the_same_of_lengths_and_of_the_page_that_is_left_out():
    modules = ROOT / "book" / "_static" / "lab" / "search"
    assert f"const LONGEST = {browser.LONGEST};" in (modules / "engine.js").read_text(encoding="utf-8")
    own = browser.OWN_PAGE.removesuffix(".md")
    assert f'const OWN_PAGE = "{own}";' in (modules / "keywords.js").read_text(encoding="utf-8")


def test_other_weights_are_refused(encoder, monkeypatch, tmp_path):
    monkeypatch.setenv("BOOKKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(browser, "pack", lambda model: b"other")
    monkeypatch.setattr(browser, "folder", lambda: encoder.vocabulary.parent)
    with pytest.raises(BookError, match="make browser"):
        _ = browser.Encoder(ROOT).weights


def test_without_the_model_the_site_lacks_this_lab_alone(monkeypatch):
    monkeypatch.setattr(browser, "folder", lambda: None)
    assert labs.contents(ROOT).keys() == labs.LABS.keys()


@pytest.mark.slow
def test_exporting_again_gives_the_same_graph(tmp_path):
    missing = [name for name in ("onnx", "onnxscript", "onnx_ir", "ml_dtypes") if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed; see training/browser/requirements.txt")
    from training.browser import embedder

    assert embedder.write(tmp_path) == json.loads((DATA / "graphs.json").read_text(encoding="utf-8"))
    assert (tmp_path / "encoder.onnx").read_bytes() == (DATA / "encoder.onnx").read_bytes()


# --- what stands there before anything is loaded ----------------------------------------------------------


def made_beforehand() -> np.ndarray:
    packed, count = base64.b64decode(EXAMPLE["vectors"]), len(EXAMPLE["sentences"])
    scale = np.frombuffer(packed[: 4 * count], np.float32)
    return np.frombuffer(packed[4 * count :], np.int8).reshape(count, -1) * scale[:, None]


def test_the_sentences_made_beforehand_are_of_this_graph(encoder):
    from training.browser import sentences

    assert EXAMPLE["graph"] == GRAPH["sha256"], "the graph has changed: python -m training.browser sentences"
    assert EXAMPLE["sentences"] == sentences.SENTENCES
    assert (made_beforehand() * encoder(EXAMPLE["sentences"])).sum(axis=1).min() > 0.9995
    whole, _ = eight_bits.rows(encoder(EXAMPLE["sentences"]))
    assert whole.shape == (12, 384)


def test_the_bars_of_the_page_are_those_of_the_sentences():
    vectors, first = made_beforehand(), EXAMPLE["sentences"][0]
    assert f"“{first}”" in PAGE
    shown = re.findall(r'<li><span>([^<]*)</span>.*?style="width:(\d+)%".*?<b>(−?[\d.]+)</b></li>', PAGE)
    near = sorted(zip(vectors[1:] @ vectors[0], EXAMPLE["sentences"][1:], strict=True), reverse=True)
    assert [text for text, *_ in shown] == [text for _, text in near]
    for (_, width, value), (cosine, _) in zip(shown, near, strict=True):
        said = float(value.replace("−", "-"))
        assert said == pytest.approx(cosine, abs=0.006) and int(width) == max(0, round(100 * said))


def test_the_figures_of_the_page_are_those_of_the_sweep():
    figures = results.read("search_lab")
    library, ours = (np.array(figures["ranks"][name]) for name in ("float32", "weights and vectors as eight bits"))
    cosine, takes = figures["cosine with the library"], figures["bytes of a vector"]
    found = round(100 * np.mean(ours <= 5))
    assert found == round(100 * np.mean(library <= 5)) and (ours < library).any() and (ours > library).any()
    weights = models.registry()["embedder"]["pocket"]["files"]["model.safetensors"]["bytes"]
    said = [
        f"take {GRAPH['weights']['bytes'] / 1e6:.0f} MB in place of {weights / 1e6:.0f}",
        f"takes {takes['eight bits']} bytes in place of {takes['float32']:,}",
        f"on the {len(figures['questions'])} questions",
        f"is {cosine['mean']:.4f} on average and at least {np.floor(1000 * cosine['least']) / 1000}",
        f"one tells the answer or a part of it in {found}% of the questions",
    ]
    assert [words for words in said if words not in PAGE] == []
