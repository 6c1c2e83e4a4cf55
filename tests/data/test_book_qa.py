"""The questions about the book's snapshot: well formed, answered where they say, not answered by copying words."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT

from bookkit.ask import passages

PATH = ROOT / "data" / "questions" / "book_qa.jsonl"
SEED = 14
HALVES = ("tuning", "held-back")
FORMS = {"what", "which", "who", "why", "how", "how_many", "yes_no", "compare", "description", "keywords", "trouble"}
KINDS = {
    True: {"lookup", "two_passages"},
    False: {"near_miss", "other_models", "later_topic", "off_topic"},
}
FIELDS = {
    "id": str,
    "question": str,
    "answerable": bool,
    "gold": list,
    "answer": str | None,
    "accepts": list,
    "form": str,
    "kind": str,
    "half": str,
}
STOP_WORDS = frozenset(
    "a about after all also although am an and any are as at be because been before being but by can cannot "
    "can't come comes could couldn't did didn't do does doesn't doing don't done each else ever every few for "
    "from get gets give given gives go goes got had has hasn't have having he her here him his how i if in into "
    "is isn't it its itself just less let like may me might more most much must my no nor not nothing now of off "
    "on once one only or other our out over own put same say says see she should so some still such take takes "
    "than that the their them then there these they this those though through to too two up upon us use used "
    "uses using very was wasn't way we well were weren't what when where whether which while who whom whose why "
    "will with within without won't would yet you your".split()
)


def content_bigrams(text: str) -> set[tuple[str, str]]:
    """Pairs of neighbouring content words.

    A word is a run of letters and digits, apostrophes inside it included, in lower case, without a final 's. Stop
    words are dropped first, so that *length of the text* and *text's length* have no bigram in common, but
    *share of the weights* and *share the weights* have one.
    """
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("\u2019", "'"))
    kept = [word.removesuffix("'s") for word in words if word.removesuffix("'s") not in STOP_WORDS]
    return set(zip(kept, kept[1:], strict=False))


def halves(items: list[dict]) -> dict[str, str]:
    """The half of every question by its id.

    Questions of one kind whose first gold passage is in one document are put in the order of the sha256 of
    ``"14:<id>"`` and dealt out in turns, beginning with the half that has fewer questions so far (the tuning
    half where both have equally many).
    """
    strata: dict[tuple[str, str], list[str]] = {}
    for item in items:
        document = item["gold"][0]["document"] if item["gold"] else ""
        strata.setdefault((item["kind"], document), []).append(item["id"])
    dealt = {}
    for _, ids in sorted(strata.items()):
        counts = Counter(dealt.values())
        first = int(counts[HALVES[1]] < counts[HALVES[0]])
        for place, name in enumerate(sorted(ids, key=lambda i: hashlib.sha256(f"{SEED}:{i}".encode()).hexdigest())):
            dealt[name] = HALVES[(first + place) % 2]
    return dealt


def flat(text: str) -> str:
    """Text with every run of white space as one blank."""
    return " ".join(text.split())


def has(term: str, text: str) -> bool:
    """Whether a term stands in a text in whole words, in upper or lower case; … stands for anything between."""
    pattern = ".*".join(rf"(?<!\w){re.escape(piece)}(?!\w)" for piece in term.split("…"))
    return re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


def numbers(text: str) -> set[str]:
    """The numbers that stand in digits in a text."""
    return set(re.findall(r"\d+(?:[.,]\d+)*", text))


def read(path: Path) -> list[dict]:
    """The questions of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def by_address() -> dict[tuple[str, str], passages.Section]:
    """The sections of the snapshot, by document and anchor."""
    return {(section.document, section.anchor): section for section in passages.frozen()}


@pytest.fixture(scope="module")
def items() -> list[dict]:
    return read(PATH)


@pytest.fixture(scope="module")
def frozen() -> dict[tuple[str, str], passages.Section]:
    return by_address()


@pytest.fixture(scope="module")
def answerable(items) -> list[dict]:
    return [item for item in items if item["answerable"]]


def gold_texts(item: dict, book: dict) -> list[str]:
    """A question's gold passages as a search finds them: heading, prose and the outputs that the book keeps."""
    places = [(gold["document"], gold["anchor"]) for gold in item["gold"]]
    return [f"{book[place].title}\n{book[place].text()}" for place in places if place in book]


# --- form ---------------------------------------------------------------------------------------------------


def test_fields(items):
    for item in items:
        missing = FIELDS.keys() - item.keys()
        extra = item.keys() - FIELDS.keys() - ({"absent"} if not item.get("answerable") else set())
        assert not missing and not extra, f"{item.get('id')}: missing {missing}, not foreseen {extra}"
        for name, kind in FIELDS.items():
            assert isinstance(item[name], kind), f"{item['id']}: {name} must be {kind}"
        assert item["form"] in FORMS, f"{item['id']}: {item['form']} is no form"
        assert item["kind"] in KINDS[item["answerable"]], f"{item['id']}: {item['kind']} does not fit"
        assert item["half"] in HALVES, item["id"]
        assert all(isinstance(text, str) and text.strip() == text != "" for text in item["accepts"]), item["id"]


def test_ids_and_questions_are_unique(items):
    assert [item["id"] for item in items] == sorted({item["id"] for item in items})
    assert all(re.fullmatch(r"q\d{3}", item["id"]) for item in items)
    asked = Counter(flat(item["question"]).lower().rstrip("?.!") for item in items)
    assert not [question for question, count in asked.items() if count > 1]


def test_has():
    assert has("no", "No, never.") and not has("no", "nobody knows")
    assert has("30…six", "30 against six") and not has("30…six", "six against 30")
    assert has("▁", "the sign ▁.") and has("15 %", "15 % of it")


def test_answers(items):
    for item in items:
        if not item["answerable"]:
            assert item["answer"] is None and not item["accepts"] and not item["gold"], item["id"]
            continue
        assert 1 <= len(item["answer"].split()) <= 15, f"{item['id']}: answers have 1 to 15 words"
        assert item["accepts"] and item["gold"], f"{item['id']}: no accepted answer or no gold passage"
        agrees = [text for text in item["accepts"] if has(text, item["answer"])]
        assert agrees, f"{item['id']}: its own answer holds none of the accepted strings"


def test_counts(items, answerable):
    assert len(items) >= 120 and len(items) - len(answerable) >= 25
    assert sum(item["kind"] == "two_passages" for item in answerable) >= 10
    for item in answerable:
        parts = {gold["part"] for gold in item["gold"]}
        assert parts == set(range(1, len(parts) + 1)), f"{item['id']}: parts are numbered from 1"
        assert (len(parts) > 1) == (item["kind"] == "two_passages"), item["id"]
    places = Counter(item["gold"][0]["document"] for item in answerable)
    assert max(places.values()) <= 25, places.most_common(3)


# --- the snapshot -------------------------------------------------------------------------------------------


def test_gold_passages_stand_in_the_snapshot(answerable, frozen):
    """The questions are about a snapshot of the book, not about today's pages: chapter 14's records speak of it."""
    lost = []
    for item in answerable:
        for gold in item["gold"]:
            assert gold.keys() == {"document", "anchor", "quote", "part"}, item["id"]
            section = frozen.get((gold["document"], gold["anchor"]))
            if section is None or flat(gold["quote"]) not in flat(section.text()):
                lost.append(f"{item['id']}: {gold['document']}#{gold['anchor']}, {gold['quote']!r}")
    assert not lost, "the snapshot does not hold:\n" + "\n".join(lost)


def test_the_first_quote_of_each_part_lies_in_one_chunk(answerable, frozen):
    """It says which chunk the sweeps show as the right passage; across a border, they would show the first one."""
    for item in answerable:
        first: dict[int, dict] = {}
        for gold in item["gold"]:
            first.setdefault(gold["part"], gold)
        for gold in first.values():
            chunks = passages.pieces(frozen[gold["document"], gold["anchor"]])
            assert any(flat(gold["quote"]) in flat(chunk) for chunk in chunks), f"{item['id']}: {gold['quote']}"


def test_quotes_are_short(answerable):
    for item in answerable:
        for gold in item["gold"]:
            assert 4 <= len(gold["quote"].split()) <= 15, f"{item['id']}: {gold['quote']}"


def test_numbers_of_an_answer_stand_in_its_passages(answerable, frozen):
    for item in answerable:
        shown = numbers(" ".join(gold_texts(item, frozen)))
        stated = numbers(item["answer"])
        assert stated <= shown, f"{item['id']}: {stated - shown} stands in none of its passages"


# --- overlap and halves -------------------------------------------------------------------------------------


def overlap(item: dict, book: dict) -> set[tuple[str, str]]:
    """The content bigrams that a question has in common with any of its gold passages."""
    return content_bigrams(item["question"]) & set().union(*map(content_bigrams, gold_texts(item, book)))


def test_content_bigrams():
    assert content_bigrams("What is the share of GPT-2's weights?") == {
        ("share", "gpt"),
        ("gpt", "2"),
        ("2", "weights"),
    }
    assert content_bigrams("It is.") == content_bigrams("Attention") == set()


def test_half_of_the_questions_share_no_content_bigram(answerable, frozen):
    free = [item["id"] for item in answerable if not overlap(item, frozen)]
    assert len(free) >= len(answerable) / 2, f"only {len(free)} of {len(answerable)}"


def test_halves_are_dealt_by_the_rule(items):
    assert {item["id"]: item["half"] for item in items} == halves(items)


def test_halves_are_alike(items):
    sizes = [sum(item["half"] == half for item in items) for half in HALVES]
    closed = [sum(item["half"] == half and not item["answerable"] for item in items) for half in HALVES]
    assert min(sizes) >= 0.9 * max(sizes)
    shares = [count / size for count, size in zip(closed, sizes, strict=True)]
    assert min(shares) >= 0.9 * max(shares), shares
