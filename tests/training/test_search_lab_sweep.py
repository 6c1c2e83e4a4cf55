"""What eight bits cost the search lab, in small: ranks of three ways to search, and how near the vectors are."""

import numpy as np
import pytest

from training.sweeps import rag, search_lab


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return rag.Bench(smoke=True, kept=tmp_path_factory.mktemp("rag"))


def test_ranks_and_cosines(bench):
    figures = search_lab.measure(bench, bench.vectors, bench.vectors)
    library, weights, both = figures["ranks"].values()
    assert library == weights and len(library) == len(figures["questions"]) == len(bench.answerable)
    assert np.abs(np.array(both) - library).max() <= 3
    assert figures["cosine with the library"]["least"] == pytest.approx(1, abs=1e-5)
    assert figures["bytes of a vector"] == {"float32": 1536, "eight bits": 388}
    assert figures["passages"] == len(bench.texts)


def test_the_first_section_that_tells_counts(bench):
    asked, vectors = bench.vectors([question["question"] for question in bench.answerable]), bench.vectors(bench.texts)
    ranks = search_lab.first(bench, asked, vectors)
    question, rank = bench.answerable[0], ranks[0]
    order = rag.order_of_sections(asked[0] @ vectors.T, bench.owners, len(bench.sections))
    found = bench.sections[order[rank - 1]]
    assert (found.document, found.anchor) in {(gold["document"], gold["anchor"]) for gold in question["gold"]}
