"""The sweep of three readers in small: prompts, verdicts, what is shown, the record; and what the lane says of it."""

import json

import pytest

from bookkit.errors import BookError
from tools import assistant as lane
from training.grounded_qa import house
from training.sweeps import rag, readers


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    kept = tmp_path_factory.mktemp("readers")
    return [readers.Bench(name, smoke=True, kept=kept) for name in readers.QUESTIONS]


def question(form="what", answer="The softmax.", accepts=("softmax",), answerable=True) -> dict:
    return {"form": form, "answer": answer, "accepts": list(accepts), "answerable": answerable}


@pytest.mark.parametrize(
    ("asked", "reply", "verdict"),
    [
        (question(), "Answer: the softmax function [1]", "right"),
        (question(), "It is softmaxed.", "wrong"),
        (question(), "The softmax.\nBut I don't know.", "right"),  # the first line counts, as in chapter 14
        (question(), "I don't know.", "declined"),
        (question(), house.ABSTENTION, "declined"),
        (question(answerable=False), "Answer: the softmax [1]", "wrong"),
        (question(answerable=False), "The passages do not mention it.", "declined"),
        (question("yes_no", "No, never.", ("no", "never")), "Yes, never.", "wrong"),
        (question("yes_no", "No, never.", ("no", "never")), "No.", "right"),
        (question(accepts=("30…six",)), "30 against six", "right"),
        (question(accepts=("##",)), "with ## in front", "right"),
    ],
)
def test_verdicts(asked, reply, verdict):
    assert readers.verdict(asked, reply) == verdict


def test_prompts():
    assert readers.prompt("none", ["A."], "Who?") == [{"role": "user", "content": "Who?"}]
    asked = house.prompt({"passages": ["A.", "B."], "question": "Who?"})
    assert readers.prompt("house", ["A.", "B."], "Who?") == asked
    system, user = readers.prompt("plain", ["A.", "B."], "Who?")
    assert user == asked[1] and system["content"] == readers.PLAIN


def test_sets_of_questions(benches):
    easy, hard = benches
    assert easy.questions and all(one["id"].startswith("e") for one in easy.questions)
    assert all(one["id"].startswith("q") for one in hard.questions)
    assert len(readers.questions("easy")) == 60 and easy.tuning == []


def test_what_is_shown(benches):
    for bench in benches:
        assert set(bench.shown(readers.CLOSED)) == {one["id"] for one in bench.questions}
        assert not any(bench.shown(readers.CLOSED).values())
        gold = bench.shown(readers.GOLD)
        assert gold == {one["id"]: bench.gold_pieces(one) for one in bench.answerable}


@pytest.mark.slow
def test_the_record_holds_every_run(benches):
    found = [
        run
        for reader in ("chat", "assistant")
        for condition in (readers.CLOSED, readers.GOLD, readers.FOUND)
        for bench in benches
        for run in readers.runs(bench, reader, condition)
    ]
    poisoned = readers.poison(benches[1], "chat") | readers.poison(benches[1], "assistant")
    figures = json.loads(readers.write(benches, found, poisoned).read_text())
    assert len(figures["runs"]) == 2 * 2 * 5
    run = readers.of(figures, set="easy", reader="assistant", prompt="plain", condition=readers.FOUND)
    assert run["replies"].keys() == run["verdicts"].keys() == set(figures["questions"]["easy"])
    assert all(len(row.split()) == 3 for row in run["shown"].values())
    closed = readers.of(figures, set="hard", reader="chat", prompt="none", condition=readers.CLOSED)
    assert closed["shown"] == {} and set(closed["verdicts"].values()) <= {"right", "wrong", "declined"}
    assert set(figures["poison"]["speakers"]) == {"chat, plain", "assistant", "assistant, plain"}
    assert set(figures["poison"]["speakers"]["assistant"]["an order"]) == set(rag.DEFENCES)
    assert set(figures["poison"]["speakers"]["chat, plain"]) == {"clean", *rag.WORDINGS}


# --- the lane -----------------------------------------------------------------------------------------------


def lane_of(monkeypatch, shorts: list[float], file: str = "") -> None:
    about = {"set": "easy", "prompt": "none", "condition": "closed book"}
    rows = [{**about, "id": f"e{number}", "short": short} for number, short in enumerate(shorts)]
    monkeypatch.setattr(lane.results, "read", lambda name: {"sha256": {"assistant": file or readers.content()}})
    monkeypatch.setattr(readers, "compare", lambda *_: rows)


def test_a_record_that_agrees(monkeypatch, capsys):
    lane_of(monkeypatch, [0.0] * 19 + [9.0])  # one of twenty may differ
    lane.check_record(seed=0)
    assert "19 of 20 replies agree, the worst token of them 0.00 below" in capsys.readouterr().out


def test_a_record_that_differs(monkeypatch):
    lane_of(monkeypatch, [0.0] * 18 + [9.0] * 2)
    with pytest.raises(BookError, match="2 of 20 recorded replies are not what the model says here"):
        lane.check_record(seed=0)


def test_a_record_of_another_file(monkeypatch):
    lane_of(monkeypatch, [], file="0" * 64)
    with pytest.raises(BookError, match="another file of the role assistant"):
        lane.check_record(seed=0)


def test_without_the_model_a_sentence_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.setenv("BOOKKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(lane.sys, "argv", ["assistant"])
    with pytest.raises(BookError, match="run `python -m bookkit fetch assistant`"):
        lane.main()
