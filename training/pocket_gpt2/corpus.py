"""The corpus pocket_stories: gathered, rid of near-duplicates, split, checked, loaded.

Sources: the story engine (remade from its seeds) and seven novels (``novels.jsonl.xz``; see :mod:`novels`). A line of a
split's file is a JSON object with the keys of :data:`FIELDS`. Splits are by scene type and book, never by line.
"""

import hashlib
import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from bookkit.errors import BookError
from training import recipe
from training.pocket_gpt2.story_engine.stories import document

SAMPLE = recipe.ROOT / "data/corpora/pocket_stories/sample.jsonl.xz"
NOVELS = recipe.ROOT / "data/corpora/pocket_stories/novels.jsonl.xz"
SPLITS = ("train", "validation", "test")
SOURCES = ("engine", "novels")
FIELDS = {"text": str, "source": str, "kind": str, "unit": str, "id": str}
BYTES_PER_DOCUMENT = 4000  # more than any document takes on disk, its shingles and tokens included


def engine_rows(count: int, split: str, first: int = 0) -> Iterator[dict]:
    """Documents of the story engine for one split, from number `first` on: the same ones every time."""
    for number in range(first, first + count):
        made = document(number, split)
        yield {
            "text": made.text,
            "source": "engine",
            "kind": made.kind,
            "unit": " ".join(made.scenes),
            "id": f"{split}-{number}",
        }


def novel_rows(split: str) -> Iterator[dict]:
    """The passages of the novels that belong to a split."""
    with lzma.open(NOVELS, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row.pop("split") == split:
                yield row


def shingles(text: str, size: int = 5) -> set[bytes]:
    """All runs of `size` words, in lower case: what makes two texts look alike."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    return {" ".join(words[i : i + size]).encode() for i in range(max(1, len(words) - size + 1))}


class Unlike:
    """Keeps texts that are unlike all kept before (MinHash with locality-sensitive hashing).

    Args:
        similarity: estimated Jaccard similarity of the shingles from which a text is a near-duplicate.
        permutations: of MinHash.
    """

    def __init__(self, similarity: float, permutations: int):
        from datasketch import MinHashLSH

        self._index = MinHashLSH(threshold=similarity, num_perm=permutations)
        self._permutations = permutations
        self.refused = 0

    def __call__(self, row: dict) -> bool:
        """Whether the row is new; it is remembered then."""
        from datasketch import MinHash

        sketch = MinHash(num_perm=self._permutations, seed=1)
        sketch.update_batch(sorted(shingles(row["text"])))
        if self._index.query(sketch):
            self.refused += 1
            return False
        self._index.insert(f"{row['source']}-{row['id']}", sketch)
        return True


def build(folder: Path, config: dict) -> dict:
    """Write train.jsonl, validation.jsonl, test.jsonl and statistics.json.

    A near-duplicate is dropped across splits too: what resembles a test text never enters the training set,
    because the test split is gathered first.

    Args:
        folder: where the files go.
        config: the settings under `corpus`.

    Returns:
        The statistics, as written.

    Raises:
        BookError: there is too little disk space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe.need_space(folder, BYTES_PER_DOCUMENT * sum(config["engine"].values()), "the corpus")
    unlike = Unlike(config["near_duplicate"], config["permutations"])
    numbers: dict = {}
    for split in reversed(SPLITS):
        before = unlike.refused
        rows = list(islice(novel_rows(split), config["shelf"]))
        rows += engine_rows(config["engine"][split], split)
        kept = [row for row in rows if unlike(row)]
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept).encode()
        (folder / f"{split}.jsonl").write_bytes(data)
        numbers[split] = describe(kept) | {
            "near_duplicates": unlike.refused - before,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    recipe.write_json(folder / "statistics.json", numbers)
    return numbers


def write_sample(folder: Path, counts: dict[str, int], seed: int, target: Path = SAMPLE) -> None:
    """Write a random part of the splits as one compressed file, a line a text with its split: for the chapters.

    Args:
        folder: of the corpus.
        counts: texts of each split.
        seed: of the choice.
        target: the file.
    """
    random = np.random.default_rng(seed)
    rows = []
    for split, count in counts.items():
        texts = _read(folder / f"{split}.jsonl")
        chosen = sorted(random.choice(len(texts), min(count, len(texts)), replace=False))
        rows += [texts[number] | {"split": split} for number in chosen]
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    staging = target.with_name(target.name + ".new")
    staging.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    staging.rename(target)


def describe(rows: list[dict]) -> dict:
    """Counts of a list of rows: documents, words, bytes by source; word types; distinct four-word runs."""
    by_source = {}
    for source in SOURCES:
        texts = [row["text"] for row in rows if row["source"] == source]
        if not texts:
            continue
        words = [re.findall(r"[A-Za-z']+", text.lower()) for text in texts]
        counts = Counter(word for text in words for word in text)
        by_source[source] = {
            "documents": len(texts),
            "words": sum(counts.values()),
            "bytes": sum(len(text.encode()) for text in texts),
            "word_types_10": sum(count >= 10 for count in counts.values()),
            "distinct_4": round(distinct(words, 4), 4),
        }
    return {"sources": by_source, "word_types_10": _types(rows)}


def _types(rows: list[dict]) -> int:
    counts = Counter(word for row in rows for word in re.findall(r"[A-Za-z']+", row["text"].lower()))
    return sum(count >= 10 for count in counts.values())


def distinct(texts: Iterable[list], n: int) -> float:
    """Different n-grams per n-gram."""
    seen, total = set(), 0
    for words in texts:
        grams = list(zip(*(words[i:] for i in range(n)), strict=False))
        seen.update(grams)
        total += len(grams)
    return len(seen) / max(1, total)


def check(path: Path) -> int:
    """Hold every line of a split's file against the schema.

    Args:
        path: a ``.jsonl`` file.

    Returns:
        The number of lines.

    Raises:
        BookError: a line breaks the schema; its number is named.
    """
    number = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            problem = _problem(line)
            if problem:
                raise BookError(
                    f"{path.name}, line {number}: {problem}: run `python -m training.pocket_gpt2 corpus` again."
                )
    return number


def _problem(line: bytes) -> str:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except json.JSONDecodeError:
        return "it is not JSON"
    if not isinstance(row, dict):
        return "it is not an object"
    for name, kind in FIELDS.items():
        if not isinstance(row.get(name), kind):
            return f'"{name}" is missing or no text'
        if not row[name].strip():
            return f'"{name}" is empty'
    if set(row) - set(FIELDS):
        return f"the key {sorted(set(row) - set(FIELDS))[0]!r} is unknown"
    return "" if row["source"] in SOURCES else f'the source "{row["source"]}" is unknown'


def load(folder: Path):
    """The corpus as a ``datasets.DatasetDict`` of train, validation and test.

    Raises:
        BookError: a file is missing, or a line breaks the schema.
    """
    files = {split: folder / f"{split}.jsonl" for split in SPLITS}
    for path in files.values():
        if not path.exists():
            raise BookError(f"{path} is not there: run `python -m training.pocket_gpt2 corpus`.")
        check(path)
    from datasets import Dataset, DatasetDict

    return DatasetDict({split: Dataset.from_list(_read(path)) for split, path in files.items()})


def _read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
