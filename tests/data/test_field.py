"""The published figures of chapter 1: every one has a source, and is a number, a date or a word of the right kind."""

import re

import pandas as pd
import pytest
from conftest import ROOT

FOLDER = ROOT / "data" / "field"
FILES = sorted(path.stem for path in FOLDER.glob("*.csv"))
NUMBERS = {
    "compute": ("flop",),
    "storage": ("year", "usd_per_mb"),
    "token_prices": ("usd_per_million", "mmlu"),
    "mmlu": ("score",),
    "mmlu_ways": ("score",),
    "training_costs": ("usd",),
}
WORDS = {
    ("compute", "basis"): {"maker", "estimate"},
    ("models", "weights"): {"open", "closed"},
    ("models", "makes"): {"text", "pictures", "code"},
}
NAMED = (
    "GPT-1 GPT-2 GPT-3 GPT-4 GPT-J GPT-Neo o1 o3 Claude Gemini Llama Falcon phi-1 Imagen Midjourney".split()
    + ["PaLM 2", "Mistral 7B", "Mixtral 8x7B", "DALL·E", "Stable Diffusion"]
)  # fmt: skip


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / f"{name}.csv", dtype=str, keep_default_na=False)


@pytest.mark.parametrize("name", FILES)
def test_every_line_has_a_source(name):
    frame = table(name)
    assert len(frame) >= 6 and not frame.duplicated().any()
    assert frame.source.str.len().gt(3).all()
    assert frame.url.str.match(r"https://[\w.-]+\.[a-z]{2,}(/\S*)?$").all()


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_described(name):
    assert f"`{name}.csv`" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "columns"), NUMBERS.items())
def test_figures_are_numbers_above_nought(name, columns):
    for column in columns:
        assert (table(name)[column].astype(float) > 0).all(), column


@pytest.mark.parametrize("name", [name for name in FILES if "date" in table(name)])
def test_dates_are_dates(name):
    days = table(name).date
    assert days.map(lambda day: bool(re.fullmatch(r"(20[12]\d)-[01]\d(-[0-3]\d)?", day))).all()
    assert pd.to_datetime(days).lt("2026-12-01").all() and days.is_monotonic_increasing


@pytest.mark.parametrize(("place", "allowed"), WORDS.items())
def test_words_are_of_the_list(place, allowed):
    name, column = place
    assert set(table(name)[column]) == allowed


def test_scores_are_per_cents_and_one_model_has_one_score_a_way():
    for name, key in (("mmlu", ["model", "how"]), ("mmlu_ways", ["model", "way"])):
        frame = table(name)
        assert frame.score.astype(float).between(25, 100).all()
        assert not frame.duplicated(key).any()


def test_the_named_systems_are_there():
    assert set(NAMED) <= set(table("models").name)


def test_two_files_agree_on_sizes():
    sizes = [table(name).set_index("model").billion_parameters for name in ("mmlu", "training_costs")]
    both = sorted(set(sizes[0].index) & set(sizes[1].index))
    assert len(both) > 5
    for model in both:
        assert set(sizes[0][[model]]) == set(sizes[1][[model]]), model
