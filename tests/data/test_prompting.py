"""The tasks of chapter 8: counts, balance, and that passages and texts hold what their answers say."""

import ast
from collections import Counter

from training.sweeps import prompting

COUNTS = {
    "passage": (50, 5), "sentiment": (50, 5), "topic": (48, 5), "sums": (40, 5), "facts": (60, 5), "traps": (40, 0),
    "orders": (40, 3), "translation": (25, 0), "summary": (20, 0), "code": (20, 0),
}  # fmt: skip


def test_counts_and_ids():
    ids = []
    for task, counts in COUNTS.items():
        found = [prompting.items(task, use) for use in ("item", "example")]
        assert tuple(map(len, found)) == counts, task
        ids += [one["id"] for one in found[0] + found[1]]
        texts = [str({k: v for k, v in one.items() if k in ("text", "question")}) for one in found[0] + found[1]]
        assert len(set(texts)) == len(texts), task
    assert len(set(ids)) == len(ids) == sum(map(sum, COUNTS.values()))


def test_labels_are_balanced():
    for task, labels in prompting.LABELS.items():
        counts = Counter(one["answer"] for one in prompting.items(task))
        assert set(counts) == set(labels) and len(set(counts.values())) == 1, task


def test_passages_hold_their_answers():
    for one in prompting.items("passage"):
        assert prompting.right("passage", "plain", one, one["answer"]), one["id"]
        assert any(term.lower() in one["text"].lower() for term in one["accepts"]), one["id"]
        assert not any(f" {term.lower()} " in f" {one['question'].lower()} " for term in one["accepts"]), one["id"]


def test_the_right_answers_are_right():
    for task in prompting.TASKS:
        assert all(prompting.right(task, "plain", one, f"It is {one['answer']}.") for one in prompting.items(task)), task
    for one in prompting.items("orders"):
        assert prompting.fields(one, one["answer"]) == [True] * 3, one["id"]
        assert one["answer"]["city"] in one["text"], one["id"]


def test_the_tests_of_functions_are_python():
    for one in prompting.items("code"):
        assert one["text"].startswith(f"{one['name']}(") and len(one["tests"]) >= 2, one["id"]
        assert all(one["name"] in ast.unparse(ast.parse(test)) for test in one["tests"]), one["id"]
