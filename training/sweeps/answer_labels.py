"""The sheet on which a person marks sixty answers of the sweep, before any judge sees them (chapter 14).

    python -m training.sweeps.answer_labels    # writes data/questions/answer_labels.jsonl, once

One JSON object a line: `system`, `id` of the question, `question`, `passages` (those that the model was shown, in their
order), `answer`, and `label`, which is null. Write true there if every claim of the answer is told by the passages, and
false if not, whether the answer is right or wrong, and without running anything on it. A reply that only says that the
passages do not tell makes no claim and is not on the sheet. What was labelled is never overwritten.
"""

import hashlib
import json
from pathlib import Path

import bookkit
from bookkit import paths, results
from bookkit.ask import passages
from bookkit.errors import BookError
from bookkit.files import write_text
from training.grounded_qa import house
from training.sweeps import rag

PATH = "questions/answer_labels.jsonl"
COUNT = 60


def sheet(systems: dict[str, dict], questions: dict[str, str], texts: list[str], count: int = COUNT) -> list[dict]:
    """Lines to be labelled: as many from every system that was shown passages as from the others, chosen at random.

    Args:
        systems: those of the results of `rag_answers`.
        questions: id → question.
        texts: the pieces that `shown` numbers.
        count: of lines.
    """
    drawn: dict[str, list[dict]] = {}
    for system, record in systems.items():
        keys = sorted(
            record["shown"], key=lambda key: hashlib.sha256(f"{rag.SEED}:{system}:{key}".encode()).hexdigest()
        )
        drawn[system] = [
            {
                "system": system,
                "id": key,
                "question": questions[key],
                "passages": [texts[int(number)] for number in record["shown"][key].split()],
                "answer": record["replies"][key].strip(),
                "label": None,
            }
            for key in keys
            if house.read(record["replies"][key]).answer
        ]
    lines: list[dict] = []
    while len(lines) < count and any(drawn.values()):
        lines += [rows.pop(0) for rows in drawn.values() if rows]
    return lines[:count]


def read() -> list[dict]:
    """The labelled lines.

    Raises:
        BookError: the sheet is not there yet, is damaged, or a label is missing.
    """
    try:
        lines = [json.loads(line) for line in bookkit.read_text(PATH).splitlines()]
        missing = [number for number, line in enumerate(lines, 1) if not isinstance(line["label"], bool)]
    except (ValueError, KeyError, TypeError) as error:
        raise BookError(f"data/{PATH} is damaged ({error}): {paths.restoring(f'data/{PATH}')}.") from error
    if missing:
        raise BookError(f"Line {missing[0]} of data/{PATH} has no label: write true or false.")
    return lines


def write(path: Path, lines: list[dict]) -> None:
    """Write a new sheet.

    Raises:
        BookError: there is one already.
    """
    if path.exists():
        raise BookError(f"{path} is there already: its labels would be lost; move it away first.")
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def main() -> None:
    questions = [json.loads(line) for line in bookkit.read_text(rag.QUESTIONS).splitlines()]
    texts = [text for _, text in rag.cut(passages.frozen(), "sentence")]
    lines = sheet(results.read("rag_answers")["systems"], {q["id"]: q["question"] for q in questions}, texts)
    write(paths.root() / "data" / PATH, lines)
    print(f"data/{PATH}: {len(lines)} answers to label")


if __name__ == "__main__":
    main()
