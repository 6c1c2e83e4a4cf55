"""Run what the book otherwise shows only from a record of the role assistant, and compare the two.

    python -m bookkit fetch assistant     # once: 491 MB, or --from FILE
    python -m tools.assistant             # the record, then every chapter that runs the model where it is present
    python -m tools.assistant 14_rag      # the record, then one chapter

Of every run of the assistant in data/results/readers.json a few replies are drawn, and each of their tokens must be the
model's first choice here, or miss it by little: processors round differently, and where two words are nearly equally
good, a reply goes on with the other one. A chapter runs the model in cells that first ask whether it is there, with
`bookkit.available("assistant")`; its run is written down below _build/assistant and stands for no other.
"""

import argparse
import sys
import time
from pathlib import Path

import bookkit
from bookkit import notebooks, paths, results
from bookkit.errors import BookError
from tools import execute, runs
from tools.runs import tell

ROLE = "assistant"
ASKS = f'bookkit.available("{ROLE}")'
EACH = 3  # replies of each run
MAY_MISS = 0.05  # of the replies: a text that is cut into tokens again does not always give those it was made of


def chapters() -> list[Path]:
    """The chapters with a cell that runs the model where it is present."""
    found = []
    for path in notebooks.chapters(paths.root()):
        cells = notebooks.read(path).cells
        if any(cell.cell_type == "code" and ASKS in cell.source for cell in cells):
            found.append(path)
    return found


def check_record(seed: int) -> None:
    """Compare a sample of the record with the model.

    Raises:
        BookError: the record is of another file, or too many replies differ.
    """
    from training.sweeps import readers

    figures = results.read("readers")
    if figures["sha256"][ROLE] != readers.content():
        raise BookError(
            "data/results/readers.json was made with another file of the role assistant: "
            "run `python -m training.sweeps.readers`."
        )
    began = time.monotonic()
    compared = readers.compare(figures, EACH, seed)
    missed = [one for one in compared if one["short"] > readers.MARGIN]
    for one in missed:
        tell("differs by {short}: {id}, {set}, {prompt}, {condition}".format(**one))
    worst = max((one["short"] for one in compared if one["short"] <= readers.MARGIN), default=0)
    tell(
        f"record: {len(compared) - len(missed)} of {len(compared)} replies agree, the worst token of them "
        f"{worst:.2f} below the best logit ({time.monotonic() - began:.0f} s)"
    )
    if len(missed) > MAY_MISS * len(compared):
        raise BookError(f"{len(missed)} of {len(compared)} recorded replies are not what the model says here.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="names such as 14_rag; all that run the model without any")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    options = parser.parse_args()
    bookkit.model(ROLE)  # told in a sentence where it is missing
    book = chapters()
    if unknown := set(options.chapters) - {path.stem for path in book}:
        raise BookError(f"No cell of {', '.join(sorted(unknown))} asks {ASKS}: name a chapter that does.")
    check_record(options.seed)
    failed = 0
    with runs.alone():
        for path in book:
            if not options.chapters or path.stem in options.chapters:
                record = execute.nbval(path, runs.build() / ROLE, {"OMP_NUM_THREADS": "1"})
                execute.tell_run(record, path.stem)
                failed += record["verdict"] != runs.PASSED
    if not book:
        tell("no chapter runs the role assistant yet")
    sys.exit(bool(failed))


if __name__ == "__main__":
    runs.command(main)
