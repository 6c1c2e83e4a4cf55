"""Items from families: a few subjects with known values, some told and some not, and a question about one of them."""

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from training.grounded_qa import score, world

FAMILIES = Path(__file__).resolve().parent / "families"
UNANSWERABLE = ("missing_attribute", "near_miss", "neighbour", "other_entity")
FORMS = ("lookup", "choice", "which")


def families(name: str) -> dict[str, dict]:
    """The families of one file: "shared", "validation" or "test"."""
    return yaml.safe_load((FAMILIES / f"{name}.yml").read_text(encoding="utf-8"))


SHARED, VALIDATION_ONLY, TEST_ONLY = (families(name) for name in ("shared", "validation", "test"))
KNOWN = {"train": SHARED, "validation": SHARED | VALIDATION_ONLY, "test": SHARED | TEST_ONLY}


class Again(Exception):
    """This draw makes no item; another will."""


@dataclass
class Subject:
    """Somebody or something with a name, of which some attributes are told."""

    key: str
    family: dict
    name: str
    pronoun: str
    values: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def short(self) -> str:
        """What the subject is called the second time."""
        if not self.family.get("by_name"):
            return f"the {self.family['noun']}"
        return self.name.split()[0]


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _group(family: dict, attribute: str) -> list[str]:
    """The other attributes that the given one could be mistaken for."""
    group = family["attributes"][attribute].get("g")
    return [name for name, a in family["attributes"].items() if group and a.get("g") == group and name != attribute]


def _naming(wordings: list[str]) -> list[str]:
    """The wordings that name their subject."""
    return [wording for wording in wordings if "{S}" in wording or "{s}" in wording]


def _day(value: str) -> tuple[int, int] | None:
    """Month and day of a date, for comparing; None for what is none."""
    words = value.split()
    months = [world.MONTHS.index(word) for word in words if word in world.MONTHS]
    days = [int(word) for word in words if word.isdigit()]
    return (months[0], days[0]) if len(words) == 2 and months and days else None


FELL, ROSE = (
    re.compile(r"\b(lowered|cut from|cooled|too long)\b"),
    re.compile(r"\b(raised|rose|went up|extended|up from|grown|is replaced by)\b"),
)


def _was_possible(wording: str, older: str, value: str) -> bool:
    """Whether a value can have replaced an older one as a wording says: dates move on, "raised" goes up."""
    if _day(value):
        return _day(older) < _day(value)
    if FELL.search(wording) or ROSE.search(wording):
        before, after = (float(next(w for w in score.tokens(text) if w[0].isdigit())) for text in (older, value))
        return before > after if FELL.search(wording) else before < after
    return True


def _in_order(subject: Subject) -> bool:
    """Whether what must come later does."""
    for name, attribute in subject.family["attributes"].items():
        first, second = subject.values.get(attribute.get("after")), subject.values.get(name)
        if first and second and _day(second) <= _day(first):
            return False
    return True


class Maker:
    """Makes one item; every choice is drawn from one generator."""

    def __init__(self, seed: str, split: str):
        self.rng = random.Random(seed)
        self.draw = world.Draw(self.rng, split)
        self.split = split
        self.said: set[str] = set()  # wordings that the item has
        self.older: dict[str, list[str]] = {}  # attribute: older values that were told of any subject

    def item(self, key: str, kind: str, attribute: str) -> dict:
        """An item of a family.

        Args:
            key: the family's name.
            kind: "answerable" or one of UNANSWERABLE.
            attribute: what is asked.

        Raises:
            Again: this draw makes no proper item.
        """
        rng, family = self.rng, KNOWN[self.split][key]
        question = family["attributes"][attribute]
        target = self._subject(key)
        passages_wanted = rng.choices([1, 2, 3], [0.4, 0.3, 0.3])[0]
        form = self._form(question, kind, passages_wanted)

        # whom the context tells of: the target (unless another is asked about), and others
        absent = kind == "other_entity"
        together = passages_wanted == 1 and (form == "which" or kind == "neighbour" or rng.random() < 0.5)
        main = self._subject(key) if absent else target
        others = []
        for position in range(max(passages_wanted - 1, int(together))):
            sibling = position == 0 and (form == "which" or kind == "neighbour") or together or rng.random() < 0.6
            others.append(self._subject(key if sibling else rng.choice([k for k in KNOWN[self.split] if k != key])))
        siblings = [other for other in others if other.key == key]

        self._tell(main, attribute, kind, form, passages_wanted)
        for other in others:
            few = 2 if together else rng.randint(2, 4 if passages_wanted == 2 else 3)
            other.told = rng.sample(list(other.family["attributes"]), few if not together else rng.randint(1, 2))
            if other.key == key and attribute not in other.told and rng.random() < 0.7:
                other.told[0] = attribute
        if kind == "neighbour" and attribute not in siblings[0].told:
            siblings[0].told[0] = attribute
        if kind in ("missing_attribute", "near_miss"):
            for other in siblings:
                other.told = [name for name in other.told if name != attribute] or [
                    rng.choice([name for name in other.family["attributes"] if name != attribute])
                ]

        for other in others:
            for name in other.told:
                other.values[name] = self._value(other, name)
        for name in main.told:
            main.values[name] = self._value(main, name)
        answer = target.values[attribute] if attribute in target.told else None
        withheld = None if answer else self._value(target, attribute)
        if not all(_in_order(subject) for subject in (main, *others)):
            raise Again("something arrives before it is sent")

        # the passages
        if together:
            passages = [self._passage(main, others[0])]
            place = 0
        else:
            passages = [self._passage(other) for other in others]
            place = rng.randint(0, len(passages))
            passages.insert(place, self._passage(main))

        # the question
        if form == "which":
            value = answer or withheld
            text = question["which"].format(v=value)
            if answer is None:
                withheld = self.draw.name(family["entity"])
            answer = target.name if answer else None
        elif form == "choice":
            rival = [other.values[attribute] for other in siblings if attribute in other.told]
            rival += self.older.get(attribute, [])
            other_value = rng.choice(rival) if rival and rng.random() < 0.8 else self._value(target, attribute)
            pair = rng.sample([answer or withheld, other_value], 2)
            text = question["choice"].format(e=target.name, a=pair[0], b=pair[1])
        else:
            text = rng.choice(self._wordings(key, question))
            short = not siblings and not absent and not family.get("by_name") and rng.random() < 0.15
            text = text.format(e=target.short() if short else target.name)
        item = {
            "family": key,
            "kind": kind,
            "form": form,
            "passages": passages,
            "question": self._dressed(capital(text)),
            "answer": answer,
            "aliases": self._aliases(question, answer) if form != "which" else [],
            "citation": place + 1 if answer else None,
            "withheld": withheld,
            "entities": sorted({name for name in self.draw.names}),
        }
        _check(item)
        return item

    def _subject(self, key: str) -> Subject:
        family = KNOWN[self.split][key]
        name = self.draw.name(family["entity"])
        pronoun = family.get("pronoun", "it")
        if pronoun == "person":
            pronoun = "she" if name.split()[0] in world.WORDS["women"] else "he"
        elif family.get("by_name"):
            pronoun = self.rng.choice(["she", "he"])
        return Subject(key, family, name, pronoun)

    def _form(self, question: dict, kind: str, passages: int) -> str:
        weights = {"lookup": 0.7}
        if "choice" in question and kind != "other_entity":
            weights["choice"] = 0.25
        if "which" in question and kind in ("answerable", "near_miss"):
            weights["which"] = 0.25
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def _tell(self, subject: Subject, attribute: str, kind: str, form: str, passages: int) -> None:
        """Choose what is told of the main subject."""
        rng, every = self.rng, list(subject.family["attributes"])
        alike = _group(subject.family, attribute)
        rest = [name for name in every if name != attribute]
        rng.shuffle(rest)
        number = rng.randint(4, 5) if passages == 1 else rng.randint(2, 4)
        if kind in ("answerable", "other_entity"):
            told = [attribute, *([rng.choice(alike)] if alike and rng.random() < 0.6 else [])]
        elif kind == "missing_attribute":
            rest, told = [name for name in rest if name not in alike], []
        elif kind == "near_miss":
            if not alike and form != "which":
                raise Again("it has nothing alike")
            told = [rng.choice(alike)] if alike else []
        else:
            told = []
        told += [name for name in rest if name not in told][: number - len(told)]
        subject.told = rng.sample(told, len(told))

    def _value(self, subject: Subject, attribute: str) -> str:
        return self.draw.value(subject.family["attributes"][attribute]["v"])

    def _passage(self, subject: Subject, beside: Subject | None = None) -> str:
        """A paragraph about a subject, with a word about a second one at its end."""
        rng, family = self.rng, subject.family
        sentences, clear = [], False  # clear: the last sentence was about the subject, so that a pronoun means it
        if rng.random() < 0.8 or not any(_naming(family["attributes"][subject.told[0]]["say"])):
            sentences.append(self._fresh(family["intro"]).format(e=subject.name))
            clear = True
        for name in subject.told:
            wordings = family["attributes"][name]["say"]
            wording, older = self._wording(subject, name, wordings if sentences else _naming(wordings))
            first = later = subject.name
            if sentences:
                later = subject.name if rng.random() < 0.2 else subject.short()
                first = subject.pronoun if clear and rng.random() < 0.45 else later
            sentences.append(self._sentence(subject, name, wording, older, first, later))
            person = family["attributes"][name]["v"][0] in ("person", "doctor")
            clear = bool(_naming([wording])) and not person
        if rng.random() < 0.35:
            sentences.insert(rng.randint(1, len(sentences)), self._fresh(family["filler"]))
        if beside:
            sentences += self._beside(beside)
        return " ".join(capital(sentence) for sentence in sentences).replace("..", ".")

    def _beside(self, subject: Subject) -> list[str]:
        """Sentences about a second subject, each of which names it."""
        sentences = []
        for position, name in enumerate(subject.told):
            wordings = subject.family["attributes"][name]["say"]
            wording, older = self._wording(subject, name, _naming(wordings) or wordings)
            text = self._sentence(subject, name, wording, older, subject.name, subject.name)
            if not wording.startswith("{"):
                text = text[0].lower() + text[1:]
            if not _naming([wording]):
                text = self.rng.choice(["as for {}: {}", "about {} one reads: {}"]).format(subject.name, text)
            elif position == 0 and self.rng.random() < 0.3:
                text = self.rng.choice(["by comparison, ", "elsewhere things differ: "]) + text
            sentences.append(text)
        return sentences

    def _fresh(self, wordings: list[str]) -> str:
        """A wording that this item does not have yet, if there is one."""
        chosen = self.rng.choice([w for w in wordings if w not in self.said] or wordings)
        self.said.add(chosen)
        return chosen

    def _wording(self, subject: Subject, attribute: str, wordings: list[str]) -> tuple[str, str]:
        """A wording for an attribute, and the older value that it tells, "" for none."""
        wording = self._fresh(wordings)
        if "{o}" not in wording:
            return wording, ""
        for _ in range(12):
            older = self._value(subject, attribute)
            if _was_possible(wording, older, subject.values[attribute]):
                self.older.setdefault(attribute, []).append(older)
                return wording, older
        raise Again("no older value fits")

    @staticmethod
    def _sentence(subject: Subject, attribute: str, wording: str, older: str, first: str, later: str) -> str:
        return wording.format(S=first, s=later, v=subject.values[attribute], o=older)

    def _wordings(self, key: str, question: dict) -> list[str]:
        """The questions that may be asked in this split."""
        every = question["ask"]
        if self.split != "test":
            return every[:-1]
        return every if key in TEST_ONLY else [*every[:-1], *[every[-1]] * (len(every) - 1)]

    def _dressed(self, question: str) -> str:
        roll = self.rng.random()
        if roll < 0.06:
            return question.lower().rstrip("?.")
        for limit, dress in ((0.10, "Quick question: {}"), (0.14, "{} Thanks!"), (0.17, "Please help me: {}")):
            if roll < limit:
                return dress.format(question)
        return question

    def _aliases(self, question: dict, answer: str | None) -> list[str]:
        """Other right ways to write the answer: a count without its unit."""
        counts = question["v"][0] == "count" and question["v"][-1] in ("seats", "places", "items", "people")
        return [answer.split()[0 if counts else -1 if "extension" in answer else 0]] if answer and (
            counts or question.get("aliases") == "number"
        ) else []  # fmt: skip


def _check(item: dict) -> None:
    """The answer stands in the cited passage alone; what was withheld stands nowhere."""
    if item["answer"] is None:
        if any(score.holds(passage, item["withheld"]) for passage in item["passages"]):
            raise Again("the withheld value is told")
        return
    places = [number for number, passage in enumerate(item["passages"], 1) if score.holds(passage, item["answer"])]
    if places != [item["citation"]]:
        raise Again("the answer stands elsewhere, too")


def _kinds(rng: random.Random, number: int, unanswerable: float) -> list[str]:
    """As many kinds as items, in random order, each kind of unanswerable one equally often."""
    without = round(number * unanswerable)
    kinds = [UNANSWERABLE[i % len(UNANSWERABLE)] for i in range(without)] + ["answerable"] * (number - without)
    rng.shuffle(kinds)
    return kinds


def split_items(split: str, parts: list[tuple[dict, int]], unanswerable: float, seed: int) -> list[dict]:
    """The items of a split.

    Args:
        split: its name.
        parts: families and how many items they make together, family by family in turn.
        unanswerable: the share of items that the context does not answer, in every part.
        seed: of the whole data set.
    """
    items, seen = [], set()
    for part, (chosen, number) in enumerate(parts):
        rng = random.Random(f"{seed} {split} {part}")
        attributes = {
            key: rng.sample(list(family["attributes"]), len(family["attributes"])) for key, family in chosen.items()
        }
        keys = list(chosen)
        for position, kind in enumerate(_kinds(rng, number, unanswerable)):
            key = keys[position % len(keys)]
            for attempt in range(200):
                names = attributes[key]
                attribute = names[(position // len(keys) + attempt) % len(names)]
                try:
                    item = Maker(f"{seed} {split} {part} {position} {attempt}", split).item(key, kind, attribute)
                except (Again, LookupError):
                    continue
                if (fingerprint := (item["question"], *item["passages"])) not in seen:
                    seen.add(fingerprint)
                    items.append(item)
                    break
            else:
                raise ValueError(f"The family {key} makes no item of the kind {kind}.")
    random.Random(f"{seed} {split} order").shuffle(items)
    return [{"id": f"{split}-{number:04}", **item} for number, item in enumerate(items, 1)]
