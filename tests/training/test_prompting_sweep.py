"""The sweep of chapter 8 in small: prompts, what of a reply counts, what is right, the record."""

import json

import pytest

from training.sweeps import prompting
from training.sweeps.prompting import items, judged, messages, objects, parsed, passes, right


def test_every_trick_asks_the_same_item():
    for task in prompting.TASKS:
        one = items(task)[0]
        asked = {trick: messages(task, trick, one) for trick in prompting.TRICKS}
        assert len({json.dumps(turns) for turns in asked.values()}) == len(prompting.TRICKS), task
        assert all(prompting.ask(task, one) in turns[-1]["content"] for turns in asked.values())
        assert [len(asked[f"{n} example{'s' * (n > 1)}"]) for n in (1, 3, 5)] == [3, 7, 11]
        assert all(turns[0]["role"] == "system" for trick, turns in asked.items() if trick in prompting.ROLES)


def test_examples_are_no_items():
    shown = messages("facts", "5 examples", items("facts")[0])[:-1]
    asked = {prompting.ask("facts", one) for one in items("facts")}
    assert not asked & {turn["content"] for turn in shown}


@pytest.mark.parametrize(
    ("task", "trick", "answer", "reply", "verdict"),
    [
        ("sums", "plain", "19", "3 boxes are 24, and 24 - 5 = 19.", True),
        ("sums", "plain", "19", "19 of 24", False),  # the last number counts
        ("sums", "steps", "1200", "So it is 1,200.0.", True),
        ("sums", "format", "19", "Answer: 19", True),
        ("sentiment", "plain", "positive", "It is Positive.", True),
        ("sentiment", "plain", "positive", "positive, not negative", False),  # the last label counts
        ("sentiment", "plain", "positive", "It is good.", False),
    ],
)
def test_numbers_and_labels(task, trick, answer, reply, verdict):
    assert right(task, trick, {"answer": answer}, reply) is verdict


@pytest.mark.parametrize(
    ("trick", "reply", "verdict"),
    [
        ("plain", "It is Paris.", True),
        ("plain", "It is Parisian.", False),
        ("plain", "It is Lyon. Or Paris.", False),  # the first sentence counts …
        ("steps", "It is Lyon? No.\nIt is Paris.", True),  # … and after steps the last
        ("steps", "It is Paris.\nYes.", False),
        ("plain", "Let me see. Answer: Paris", True),
    ],
)
def test_texts(trick, reply, verdict):
    assert right("facts", trick, {"accepts": ["Paris"]}, reply) is verdict


def test_mentions_counts_an_answer_anywhere():
    assert prompting.mentions({"accepts": ["Paris"]}, "It is Lyon. Or is it Paris?")
    assert not prompting.mentions({"accepts": ["six"]}, "sixty")


def test_what_counts_of_nothing():
    assert judged("facts", "plain", "") == "" and not right("sums", "plain", {"answer": "1"}, "")


def test_objecting():
    assert objects("I don’t know.") and objects("There is no such country.") and not objects("It is Veldor.")


def test_orders():
    item = {"answer": {"item": "cups", "quantity": 3, "city": "Bonn"}, "accepts": ["cups"]}
    fenced = '```json\n{"item": "Cups", "quantity": "3", "city": "Bonn"}\n```'
    assert prompting.fields(item, parsed(fenced)) == [True, True, True]
    assert parsed("Here: {}") is None and parsed("[1]") is None
    assert prompting.fields(item, None) == [False] * 3


def test_programs():
    item = {"tests": ["double(3) == 6"]}
    assert passes(item, "Sure:\n```python\ndef double(n):\n    return 2 * n\n```\nIt doubles.")
    assert passes(item, "def double(n): return n + n")
    assert not passes(item, "def double(n): return n")
    assert not passes(item, "I double it.")


@pytest.mark.slow
def test_everything_in_small(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["prompting", "--smoke"])
    prompting.main()
    figures = json.loads((prompting.Bench(smoke=True).kept / "prompting.json").read_text(encoding="utf-8"))
    assert prompting.of(figures, "assistant", "sums", "steps")["right"] in ("00", "01", "10", "11")


class Letters:
    """A tokenizer with a token a letter; its end is token 0."""

    letters = "\0ab1"

    def decode(self, ids, skip_special_tokens=True):
        return "".join(self.letters[int(i)] for i in ids if i)

    def convert_tokens_to_ids(self, token):
        return 0


def test_the_grammar_takes_the_likeliest_token_that_fits():
    grammar = prompting.Grammar(Letters(), "a[ab]1", 0)
    scores = prompting.torch.tensor([9.0, 1.0, 3.0, 2.0])  # the end, a, b, 1
    assert [grammar.best(text, scores) for text in ("", "a", "ab", "ab1")] == [1, 2, 3, 0]
    kept = grammar(prompting.torch.tensor([[1, 2]]), scores[None])
    assert kept.argmax() == 3 and kept.isinf().sum() == 3
