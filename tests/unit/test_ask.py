"""bookkit.ask.answer: finding, answering, refusing, and what goes wrong, with small stand-ins for the models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from bookkit import BookError, models
from bookkit.ask import answer, passages

CATS = "Cats sleep in the warm kitchen. They eat fish in the evening."
DOGS = "Dogs guard the old gate. They bark at strangers."
BIRDS = "Birds sing before sunrise."
TOPICS = ("cat kitchen fish sleep", "dog gate bark guard", "bird sing sunrise dawn")


def section(name: str, text: str) -> passages.Section:
    return passages.Section("book/animals.md", ("Animals", name), name.lower(), 2, ((passages.PROSE, text),))


SECTIONS = [section("Cats", CATS), section("Dogs", DOGS), section("Birds", BIRDS), section("Empty", "")]


def embed(texts: list[str]) -> np.ndarray:
    """A vector with an entry for each topic; the last one is for what belongs to none."""
    counts = [[sum(word in text.lower() for word in topic.split()) for topic in TOPICS] for text in texts]
    return np.array([[*row, 0 if any(row) else 1] for row in counts], dtype="float32")


@pytest.fixture
def said():
    return []


@pytest.fixture
def search(tmp_path, said):
    def make(sections=SECTIONS, embedder="small", embed=embed):
        return answer.Search(sections, tmp_path / "ask", embed, embedder, said.append)

    return make


def replying(text: str):
    """A stand-in for the chat model that writes word by word and keeps what it was asked."""

    def reply(messages, write):
        reply.asked = messages
        for word in text.split(" "):
            write(word + " ")
        return text

    return reply


# --- finding ------------------------------------------------------------------------------------------------


def test_the_best_piece_of_each_section_is_found(search):
    found = search().find("Where do the cats sleep?")
    assert [piece.section.title for piece in found][0] == "Cats" and len({p.section.title for p in found}) == len(found)
    assert found[0].text == f"Animals › Cats\n{CATS}"


def test_words_and_meaning_both_count(search):
    assert search().find("before, dog gate")[0].section.title == "Dogs"
    assert {piece.section.title for piece in search().find("strangers of a bird", count=2)} == {"Dogs", "Birds"}


def test_many_pieces_of_a_section_take_one_place(search):
    long = section("Cats", " ".join(["Cats eat fish in the kitchen and sleep."] * 60))
    found = search([long, *SECTIONS[1:]]).find("cats sleep")
    assert [piece.section.title for piece in found].count("Cats") == 1


def test_a_question_without_latin_letters_is_looked_up_by_meaning(search):
    everything = search(embed=lambda texts: np.ones((len(texts), 2), dtype="float32"))
    assert len(everything.find("東京?")) == 3


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Wo ist die STRASSE?", "Straße"),
        ("Где кошка?", "КОШКА"),
        ("Une cafe\u0301?", "café"),
        ("最寄りの駅は?", "駅は"),
        ("top-k", "top‑k"),
    ],
)
def test_words_of_other_languages_are_found(search, question, word):
    """All vectors are equal here: only the words can tell."""
    same = search([*SECTIONS, section("Other", f"Before {word} after.")], embed=lambda texts: np.ones((len(texts), 2)))
    assert same.find(question)[0].section.title == "Other"


def test_a_page_that_shows_how_to_ask_is_not_the_answer(search):
    shows = section("Asking", 'Run .venv/bin/python -m bookkit ask "Who barks at the gate at night?" and wait.')
    asked = search([*SECTIONS, shows])
    assert asked.find("Who barks at the gate at night?")[0].section.title == "Dogs"
    assert not [piece for piece in asked.pieces if "at night" in piece.text]


def test_a_question_of_broken_characters_is_asked_without_them(search, said):
    reply = replying("Meow [1]")
    answer.ask("Where do cats \udcff sleep\0?", say=said.append, write=lambda bit: None, search=search(), reply=reply)
    assert reply.asked[1]["content"].endswith("Question: Where do cats \ufffd sleep\ufffd?")


def test_reranking_changes_the_order_of_the_best(search, monkeypatch):
    asked = []

    def fit(text, question):
        asked.append(question)
        return "Birds" in text

    first = search().find("Do cats, dogs and birds sleep?")
    again = search().find("Do cats, dogs and birds sleep?", fit=fit)
    assert first[0].section.title != "Birds" and again[0].section.title == "Birds" and len(asked) == len(first) == 3
    assert [p for p in again if p is not again[0]] == [p for p in first if p.section.title != "Birds"]
    monkeypatch.setattr(answer, "RERANKED", 1)
    assert search().find("Do cats, dogs and birds sleep?", fit=fit) == first, "only the best are looked at again"


def test_the_reranker_is_that_of_chapter_14s_sweep(tmp_path):
    from training.sweeps import rag

    tokenizer, model = rag.Bench(smoke=True, kept=tmp_path).chat("float32")
    questions = ["What is a token?", "Why?"]
    wanted = rag.question_log_probs(tokenizer, model, CATS, questions)
    found = [answer.question_log_prob(tokenizer, model, CATS, question) for question in questions]
    assert found == pytest.approx(wanted, abs=1e-4)


def test_what_is_shown_was_reranked(search, said):
    reply = replying("Answer: before sunrise [1]")
    cited = answer.ask(
        "Do cats, dogs and birds sleep?",
        say=said.append,
        write=lambda bit: None,
        search=search(),
        reply=reply,
        fit=lambda text, question: "Birds" in text,
    )
    assert [piece.section.title for piece in cited] == ["Birds"]


def test_nothing_near_is_nothing_found(search):
    assert search().find("Quantum chromodynamics") == []


def test_the_index_is_made_once_and_again_when_book_or_embedder_change(search, said):
    search()
    search()
    (line,) = said
    assert line == "This is the first question: making an index of 3 passages …"
    changed = search([*SECTIONS, section("Fish", "Fish swim.")])
    assert said[1:] == ["The book or the embedding model has changed: making an index of 4 passages …"]
    assert changed.find("A fish that swims")[0].section.title in ("Fish", "Cats")
    search([*SECTIONS, section("Fish", "Fish swim.")], embedder="another")
    assert len(said) == 3


def test_a_search_over_another_book_is_refused_in_the_midst(search):
    old = search()
    search(embedder="another")
    with pytest.raises(BookError, match="was made of another text"):
        old.find("cats")


# --- answering ----------------------------------------------------------------------------------------------


def test_the_answer_is_streamed_and_its_section_named(search, said, monkeypatch):
    monkeypatch.setattr("bookkit.ask.answer.link", lambda section: f"link:{section.anchor}")
    bits, reply = [], replying("Answer: in the kitchen [1]")
    cited = answer.ask("  Where do\ncats sleep? ", say=said.append, write=bits.append, search=search(), reply=reply)
    assert "".join(bits).strip() == "Answer: in the kitchen [1]" and len(bits) > 4
    assert [piece.section.title for piece in cited] == ["Cats"]
    assert said[1:] == ["", "[1] Animals › Cats\n    link:cats"]
    assert reply.asked[1]["content"].endswith("\n\nQuestion: Where do cats sleep?")


def test_the_model_may_refuse(search, said):
    reply = replying("The context does not say.")
    cited = answer.ask("Do cats fish?", say=said.append, write=lambda bit: None, search=search(), reply=reply)
    assert cited == [] and said[1] == "\nNearest to the question:" and said[2].startswith("[1] Animals › Cats")


def test_an_answer_without_a_passage_shows_all(search, said):
    reply = replying("Meow [7]")
    assert not answer.ask("Do cats sleep?", say=said.append, write=lambda bit: None, search=search(), reply=reply)
    assert "names no passage" in said[1] and len(said) > 3


def test_what_is_far_from_the_book_is_refused_without_the_model(search, said):
    def never(messages, write):
        raise AssertionError("was asked")

    assert answer.ask("Quantum chromodynamics?", say=said.append, search=search(), reply=never) == []
    assert said[-1] == "The book does not say."


def test_the_prompt_is_the_house_format():
    from training.grounded_qa import house

    item = {"passages": ["One.", "Two\nlines."], "question": "Which?"}
    assert answer.prompt(item["passages"], item["question"]) == house.prompt(item)
    assert house.ABSTENTION == answer._house()["abstention"]


def test_links_lead_to_the_built_page_or_to_the_published_or_to_the_source(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models.yml").write_text("roles: {}")
    config = tmp_path / "_config.yml"
    config.write_text("repository: {url: 'https://github.com/A/B'}")
    monkeypatch.setenv("BOOK_ROOT", str(tmp_path))
    assert answer.link(SECTIONS[0]) == "book/animals.md#cats"
    config.write_text("repository: {url: 'https://github.com/A/B'}\nhtml: {baseurl: 'https://a.github.io/B/'}")
    assert answer.link(SECTIONS[0]) == "https://a.github.io/B/book/animals.html#cats"
    page = tmp_path / "_build" / "html" / "book" / "animals.html"
    page.parent.mkdir(parents=True)
    page.write_text("")
    assert answer.link(SECTIONS[0]) == f"{page.as_uri()}#cats"


# --- what goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "says"), [("", "no question"), (" ?! ", "no question"), ("why " * 101, "101 words")]
)
def test_bad_questions(question, says):
    with pytest.raises(BookError, match=says):
        answer.ask(question, say=print)


def test_a_book_without_text(search):
    with pytest.raises(BookError, match="no text to search"):
        search([SECTIONS[3]])


def test_a_model_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("BOOKKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("BOOK_MODELS", "pocket")
    with pytest.raises(BookError, match="python -m bookkit fetch"):
        answer.ask("What is a token?", say=print)


def test_a_missing_package(monkeypatch):
    def missing(say):
        raise ModuleNotFoundError("No module named 'chromadb'", name="chromadb")

    monkeypatch.setattr(answer, "_search", missing)
    with pytest.raises(BookError, match="needs the package chromadb: pip install"):
        answer.ask("What is a token?", say=print)


def test_a_damaged_index(search, tmp_path):
    (tmp_path / "ask").mkdir()
    (tmp_path / "ask" / "chroma.sqlite3").write_bytes(b"no database at all" * 100)
    with pytest.raises(BookError, match=r"index in .*ask cannot be used \(.*\): .* delete the folder"):
        search()


LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_locked_index(search, tmp_path, monkeypatch):
    search()
    monkeypatch.setattr(answer, "PATIENCE", 0.2)
    command = [sys.executable, "-c", LOCK, str(tmp_path / "ask" / "chroma.sqlite3")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(BookError, match="cannot be used .*another program is using it, wait"):
            search(embedder="another")
        other.stdin.close()
    search(embedder="another")


def test_a_folder_that_cannot_be_written(tmp_path, said):
    (tmp_path / "file").write_text("")
    with pytest.raises(BookError, match="holds no index of this book and cannot be written: set BOOKKIT_CACHE"):
        answer.Search(SECTIONS, tmp_path / "file" / "ask", embed, "small", said.append)


@pytest.fixture
def shared(search, tmp_path, monkeypatch):
    """An index that somebody else has made, in a folder that only they may write (root may write any)."""
    search()
    folder = tmp_path / "ask"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in (*before, folder):
        path.chmod(0o444 if path.is_file() else 0o555)
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: tmp_path not in (Path(path), *Path(path).parents) and real(path, mode)
    )
    yield folder
    folder.chmod(0o755)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before, "nothing was written"


def test_a_shared_index_is_read(shared, search, said):
    assert search().find("Where do the cats sleep?")[0].section.title == "Cats"
    assert search().find("bark at the gate")[0].section.title == "Dogs"
    assert len(said) == 1, "it was made once"


def test_a_shared_index_of_another_book_is_not_made_anew(shared, search):
    with pytest.raises(BookError, match="holds no index of this book and cannot be written: set BOOKKIT_CACHE"):
        search(SECTIONS[:2])


def test_an_adapter_is_used_once_it_is_shipped(monkeypatch):
    roles = json.loads(json.dumps(models.registry()))
    roles["grounded-qa"]["pocket"] = {"kind": "repository", "path": "data/models/none", "files": {"a": {"bytes": 1}}}
    monkeypatch.setattr(models, "registry", lambda: roles)
    monkeypatch.setenv("BOOK_MODELS", "pocket")
    with pytest.raises(BookError, match="data/models/none is damaged"):
        answer._chat()


def test_the_house_format_is_where_the_module_looks():
    assert (ROOT / "data" / "corpora" / "grounded_qa" / "house_format.json").is_file()
