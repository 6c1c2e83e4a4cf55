"""The data set: made, checked line by line, loaded, and described in figures."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict, Features, List, Value

from bookkit import files
from bookkit.errors import BookError
from training import recipe
from training.grounded_qa import build, house, score, world

SPLITS = world.SPLITS
FEATURES = Features(
    {
        "id": Value("string"),
        "family": Value("string"),
        "kind": Value("string"),
        "form": Value("string"),
        "passages": List(Value("string")),
        "question": Value("string"),
        "answer": Value("string"),
        "aliases": List(Value("string")),
        "citation": Value("int64"),
        "withheld": Value("string"),
        "entities": List(Value("string")),
    }
)
FAMILIES = {"shared": build.SHARED, "validation_only": build.VALIDATION_ONLY, "test_only": build.TEST_ONLY}


def make(options: dict, seed: int, folder: Path) -> dict:
    """Write the splits and statistics.json.

    Args:
        options: the settings under `data`.
        seed: the same seed makes the same bytes.
        folder: for the files.

    Returns:
        The statistics.
    """
    items = {
        split: build.split_items(
            split, [(FAMILIES[name], number) for name, number in options[split].items()], options["unanswerable"], seed
        )
        for split in SPLITS
    }
    for split in SPLITS:
        lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items[split])
        files.write_text(folder / f"{split}.jsonl", lines)
    figures = statistics(items)
    recipe.write_json(folder / "statistics.json", figures)
    return figures


# --- loading ----------------------------------------------------------------------------------------------


def load(folder: Path, splits: tuple[str, ...] = SPLITS) -> DatasetDict:
    """The splits as `datasets` holds them, every line checked.

    Raises:
        BookError: a file is missing, or a line is no item; the sentence names its number.
    """
    return DatasetDict(
        {split: Dataset.from_list(rows(folder / f"{split}.jsonl"), features=FEATURES) for split in splits}
    )


def rows(path: Path) -> list[dict]:
    """The items of a file.

    Raises:
        BookError: as `load`.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise BookError(f"{path} is missing: run `python -m training.grounded_qa data`.") from None
    found = []
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line:
            continue
        if problem := _problem(line, found):
            raise BookError(f"{path.name}, line {number}: {problem}; correct the line or make the data anew.")
    if not found:
        raise BookError(f"{path.name} holds no items: run `python -m training.grounded_qa data`.")
    return found


def _problem(line: bytes, found: list[dict]) -> str:
    """What is wrong with a line; "" where it is an item, which is then added to `found`."""
    try:
        item = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except ValueError:
        return "it is not JSON"
    if not isinstance(item, dict):
        return "it is not an object"
    for name in FEATURES:
        if name not in item:
            return f'"{name}" is missing'
    texts, passages = ("id", "family", "kind", "form", "question"), item["passages"]
    for name in texts:
        if not isinstance(item[name], str) or not item[name].strip():
            return f'"{name}" is not a text'
    if not isinstance(passages, list) or not passages or not all(isinstance(p, str) and p.strip() for p in passages):
        return '"passages" is not a list of texts'
    answer, citation = item["answer"], item["citation"]
    if (answer is None) != (citation is None):
        return "answer and citation do not go together"
    if answer is not None:
        if not isinstance(answer, str) or not answer.strip():
            return '"answer" is neither a text nor null'
        if not isinstance(citation, int) or isinstance(citation, bool) or not 1 <= citation <= len(passages):
            return f"the citation {citation} is no passage of the {len(passages)}"
        if not score.holds(passages[citation - 1], answer):
            return f'the answer "{answer}" does not stand in passage {citation}'
    found.append({name: item[name] for name in FEATURES})
    return ""


# --- figures ----------------------------------------------------------------------------------------------


def statistics(items: dict[str, list[dict]]) -> dict:
    """Counts, overlap of test and training, and how far three shortcuts would get."""
    return {
        "splits": {split: _counts(items[split]) for split in SPLITS},
        "overlap": _overlap(items),
        "shortcuts": _shortcuts(items),
    }


def _counts(items: list[dict]) -> dict:
    context = [len(" ".join(item["passages"]).split()) for item in items]
    answers = [len(item["answer"].split()) for item in items if item["answer"]]
    return {
        "items": len(items),
        "kinds": dict(sorted(Counter(item["kind"] for item in items).items())),
        "forms": dict(sorted(Counter(item["form"] for item in items).items())),
        "families": dict(sorted(Counter(item["family"] for item in items).items())),
        "passages": {str(n): c for n, c in sorted(Counter(len(item["passages"]) for item in items).items())},
        "names": len({name for item in items for name in item["entities"]}),
        "context_words": {"mean": round(float(np.mean(context)), 1), "max": max(context)},
        "answer_words": {"mean": round(float(np.mean(answers)), 2), "max": max(answers)},
    }


def ngrams(text: str, n: int) -> set[tuple[str, ...]]:
    """The distinct runs of n words of a text, in lower case, without punctuation at their edges."""
    words = [word.strip(".,:;?!“”\"'()").lower() for word in text.split()]
    return set(zip(*(words[i:] for i in range(n)), strict=False))


def _overlap(items: dict[str, list[dict]]) -> dict:
    """The share of a test item's distinct runs of n words that training holds anywhere, averaged over items."""
    groups = {
        "families_seen": [item for item in items["test"] if item["family"] in build.SHARED],
        "families_unseen": [item for item in items["test"] if item["family"] in build.TEST_ONLY],
    }
    parts = {"context": lambda item: " ".join(item["passages"]), "question": lambda item: item["question"]}
    found = {}
    for part, text in parts.items():
        for n in (3, 5, 8):
            known = set().union(*(ngrams(text(item), n) for item in items["train"]))
            for group, members in groups.items():
                shares = [len(grams & known) / len(grams) for item in members if (grams := ngrams(text(item), n))]
                found.setdefault(f"{part}_{n}_words", {})[group] = round(float(np.mean(shares)), 4) if shares else None
    names = {split: {name for item in items[split] for name in item["entities"]} for split in SPLITS}
    found["names_shared"] = {
        f"{a}_{b}": len(names[a] & names[b])
        for a, b in (("train", "validation"), ("train", "test"), ("validation", "test"))
    }
    return found


_VALUE = re.compile(r"[£€$]?\d[\d.,:]*\d|[£€$]?\d")


def _shortcuts(items: dict[str, list[dict]]) -> dict:
    """What copying the first number, always citing passage 1, or looking at the question alone would score."""
    numeric = [item for item in items["test"] if item["answer"] and _VALUE.match(item["answer"])]
    copied = [_VALUE.search(" ".join(item["passages"]))[0] for item in numeric]
    wanted = [_VALUE.match(item["answer"])[0] for item in numeric]
    several = [item for item in items["test"] if item["answer"] and len(item["passages"]) > 1]
    return {
        "first_number_is_the_answer": _mean(
            [score.tokens(one) == score.tokens(other) for one, other in zip(copied, wanted, strict=True)]
        ),
        "first_passage_is_the_right_one": _mean([item["citation"] == 1 for item in several]),
        "area_under_roc_answerable_from_question": _question_only(items, lambda item: ngrams(item["question"], 1)),
        "area_under_roc_answerable_from_length": _area(
            [len(" ".join(item["passages"]).split()) for item in items["test"]],
            [item["answer"] is not None for item in items["test"]],
        ),
    }


def _mean(values: list[bool]) -> float | None:
    return round(float(np.mean(values)), 4) if values else None


def _question_only(items: dict[str, list[dict]], features) -> float:
    """Area under the ROC curve of a naive Bayes classifier, trained on training, that sees the question alone."""
    counts = {True: Counter(), False: Counter()}
    number = Counter()
    for item in items["train"]:
        label = item["answer"] is not None
        number[label] += 1
        counts[label].update(features(item))
    known = sorted(set(counts[True]) | set(counts[False]))
    odds = {
        w: np.log((counts[True][w] + 1) / (number[True] + 2)) - np.log((counts[False][w] + 1) / (number[False] + 2))
        for w in known
    }
    scores = [sum(odds.get(word, 0.0) for word in sorted(features(item))) for item in items["test"]]
    return _area(scores, [item["answer"] is not None for item in items["test"]])


def _area(scores: list[float], positive: list[bool]) -> float:
    """The chance that a positive one scores higher than a negative one (ties count half)."""
    scores, positive = np.array(scores, dtype=float), np.array(positive)
    difference = scores[positive][:, None] - scores[~positive][None, :]
    return round(float((difference > 0).mean() + 0.5 * (difference == 0).mean()), 4)


# --- the datasheet ----------------------------------------------------------------------------------------


def write_figures(page: Path, figures: dict) -> None:
    """Put the tables of the figures between the markers of the datasheet."""
    text = page.read_text(encoding="utf-8")
    begin, end = "<!-- figures:begin -->", "<!-- figures:end -->"
    before, _, rest = text.partition(begin)
    files.write_text(page, f"{before}{begin}\n{tables(figures)}\n{end}{rest.partition(end)[2]}")


def tables(figures: dict) -> str:
    """The figures as Markdown."""
    splits = figures["splits"]
    kinds = sorted({kind for counts in splits.values() for kind in counts["kinds"]})
    lines = [
        "| split | items | "
        + " | ".join(k.replace("_", " ") for k in kinds)
        + " | families | names | words of context (mean, most) |"
    ]
    lines += ["|---" * (len(kinds) + 5) + "|"]
    for split, counts in splits.items():
        cells = [split, f"{counts['items']:,}", *(f"{counts['kinds'].get(kind, 0):,}" for kind in kinds)]
        cells += [
            str(len(counts["families"])),
            f"{counts['names']:,}",
            f"{counts['context_words']['mean']}, {counts['context_words']['max']}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| share of a test item's word runs that training holds, too | families seen | families unseen |",
        "|---|---|---|",
    ]
    for name, shares in figures["overlap"].items():
        if name != "names_shared":
            part, n, _ = name.split("_")
            cells = [_percent(shares[group]) for group in ("families_seen", "families_unseen")]
            lines.append(f"| {part}, runs of {n} words | {' | '.join(cells)} |")
    shortcuts = figures["shortcuts"]
    area = "answerable or not, told from {}: area under the ROC curve"
    told = {
        "the first number of the context is the answer (items whose answer is a number)": _percent(
            shortcuts["first_number_is_the_answer"]
        ),
        "passage 1 is the right one (answerable items with several passages)": _percent(
            shortcuts["first_passage_is_the_right_one"]
        ),
        area.format("the question alone"): f"{shortcuts['area_under_roc_answerable_from_question']:.2f}",
        area.format("the length of the context"): f"{shortcuts['area_under_roc_answerable_from_length']:.2f}",
    }
    lines += [
        "",
        "| shortcut, on the test set | |",
        "|---|---|",
        *(f"| {what} | {figure} |" for what, figure in told.items()),
    ]
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def longest(items, tokenizer, context: int, where: str) -> int:
    """The tokens of the longest item, prompt and answer together.

    Raises:
        BookError: an item does not fit into the context.
    """
    most = 0
    for item in items:
        messages = [*house.prompt(item), {"role": "assistant", "content": house.reply(item)}]
        number = len(tokenizer.apply_chat_template(messages, return_dict=False))
        if number > context:
            raise BookError(
                f"The item {item['id']} of {where} has {number} tokens with its answer, and the context holds "
                f"{context}: shorten its passages, or raise model.context."
            )
        most = max(most, number)
    return most
