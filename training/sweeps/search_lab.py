"""What eight bits cost the search lab: the same questions over the same passages, in float32 and as the lab has them.

    python -m training.sweeps.search_lab  # two minutes on one core

Three ways to search: the library's own vectors; those of the network with its weights as eight bits; and these with the
passages' vectors as eight bits, too, which is what the lab does. For each question that the frozen text answers, the
rank of the first section that tells. No decision is made from the figures, so both halves of the questions take part.
"""

import numpy as np

from bookkit import eight_bits, paths, results
from bookkit.ask import browser
from training.sweeps import rag

INPUTS = (
    "data/corpora/book/sections.jsonl.xz",
    "data/questions/book_qa.jsonl",
    f"{browser.GRAPHS}/encoder.onnx",
    "src/bookkit/eight_bits.py",
    "training/sweeps/search_lab.py",
)


def first(bench: rag.Bench, asked: np.ndarray, vectors: np.ndarray) -> list[int]:
    """For each question, the rank of the first section that tells it, or a part of it."""
    ranks = []
    for question, scores in zip(bench.answerable, asked @ vectors.T, strict=True):
        order = rag.order_of_sections(scores, bench.owners, len(bench.sections))
        ranks.append(min(bench.places(question, order)))
    return ranks


def measure(bench: rag.Bench, library, encoder) -> dict:
    """The figures; `library` and `encoder` make vectors of texts."""
    questions = [question["question"] for question in bench.answerable]
    exact, exactly_asked = library(bench.texts), library(questions)
    ours, asked = encoder(bench.texts), encoder(questions)
    whole, scale = eight_bits.rows(ours)
    packed = whole * scale[:, None]
    agreement = np.concatenate([(exact * ours).sum(axis=1), (exactly_asked * asked).sum(axis=1)])
    return {
        "questions": [question["id"] for question in bench.answerable],
        "passages": len(bench.texts),
        "ranks": {
            "float32": first(bench, exactly_asked, exact),
            "weights as eight bits": first(bench, asked, ours),
            "weights and vectors as eight bits": first(bench, asked, packed),
        },
        "cosine with the library": {"least": float(agreement.min()), "mean": float(agreement.mean())},
        "bytes of a vector": {"float32": int(exact[0].nbytes), "eight bits": int(whole[0].nbytes + scale[0].nbytes)},
    }


def main() -> None:
    bench = rag.Bench()
    figures = measure(bench, bench.vectors, browser.Encoder(paths.root()))
    command = "python -m training.sweeps.search_lab"
    print(results.write("search_lab", figures, command=command, seeds=[], inputs=INPUTS))
    print({name: np.mean(np.array(ranks) <= 5).round(3) for name, ranks in figures["ranks"].items()})
    print(figures["cosine with the library"])


if __name__ == "__main__":
    main()
