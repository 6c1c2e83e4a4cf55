"""The sweep of copying in small: the automaton finds what a slow search finds, and counts no run across documents."""

import random

import pytest

from training.sweeps import copying


def slow(text: list[str], corpus: list[list[str]]) -> int:
    """The longest run, by trying every one."""
    joined = [" " + " ".join(document) + " " for document in corpus]
    lengths = [
        end - start
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        if any(" " + " ".join(text[start:end]) + " " in document for document in joined)
    ]
    return max(lengths, default=0)


@pytest.mark.parametrize("seed", range(5))
def test_longest_runs(seed):
    chance = random.Random(seed)

    def some(count, size):
        return [[chance.choice("abcd") for _ in range(size)] for _ in range(count)]

    texts, corpus = some(6, 25), some(8, 60)
    texts.append(corpus[3][10:30])  # a copy
    texts.append([])
    runs = copying.Runs(texts)
    runs.read(corpus)
    assert runs.longest() == [slow(text, corpus) for text in texts]
    assert runs.longest()[6] == 20 and runs.longest()[7] == 0


def test_no_run_crosses_an_end():
    runs = copying.Runs([["a", "b"], ["c", "d"]])
    runs.read([["x", "a", "b", "c", "d"], ["b", "c"]])
    assert runs.longest() == [2, 2]


def test_words_and_recitation():
    assert copying.words("“I don't,” said Mr. B-17.") == ["i", "don't", "said", "mr", "b", "17"]
    assert copying.recited("a b c d".split(), "a b x d".split()) == 2
    assert copying.recited(["a"], ["a", "b"]) == 1
