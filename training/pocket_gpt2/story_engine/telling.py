"""How a story is told: who is named, who is "she", in which tense, in which order and in how many sentences."""

import re
from dataclasses import dataclass

from training.pocket_gpt2.story_engine import english
from training.pocket_gpt2.story_engine.dice import Dice
from training.pocket_gpt2.story_engine.templates import expand
from training.pocket_gpt2.story_engine.world import Entity

OBJECT = {"she": "her", "he": "him", "it": "it", "they": "them", "I": "me", "we": "us"}
POSSESSIVE = {"she": "her", "he": "his", "it": "its", "they": "their", "I": "my", "we": "our"}
REFLEXIVE = {
    "she": "herself",
    "he": "himself",
    "it": "itself",
    "they": "themselves",
    "I": "myself",
    "we": "ourselves",
}
INTO = {"in": "into", "on": "onto"}

_TOKEN = re.compile(r"\{([\w+]+)('s)?(?:\.(\w+))?\}|\[([\w ]+?)(:p)?\]")
_CLAUSE = re.compile(r'^\{(\w+(?:\+\w+)?)\} \[(\w+)\] [^.!?":;]*\.$')
_SENTENCE_END = re.compile(r'[.!?]"?\s')
_DETERMINED = (
    r"(?i)\b(the|a|an|every|no|this|that|it|there|nobody|everybody|everything|something|nothing|some|all|these|two"
    r"|three|both)\b( [\w']+){0,3} ?$"
)
_BETWEEN = (
    "and",
    "then",
    "or",
    "never",
    "also",
    "only",
    "not",
    "just",
    "still",
    "always",
    "often",
    "even",
    "who",
    "but",
)
_SMALL_WORD = r"(A|An|The|It|There|Something|One|In|On|At|With|All|They|Nothing|For|By|Then|Every|Nobody|Of)\b"
_PLURAL_WORDS = {
    "people",
    "children",
    "geese",
    "men",
    "women",
    "mice",
    "they",
    "we",
    "you",
    "these",
    "those",
    "feet",
    "teeth",
    "leaves",
    "midges",
}


@dataclass
class Voice:
    """The manner of one story."""

    tense: str = "past"
    narrator: Entity | None = None  # who says "I"
    joining: float = 0.3  # how readily short clauses are joined
    linking: float = 0.15  # how readily a line begins with "then" or "after that"
    detail: float = 0.2  # how many details of weather, place and animals are put in
    paragraph: float = 0.15
    short_forms: bool = True  # did not, didn't
    speech: str = "prose"


class Teller:
    """Turns flat templates into sentences and keeps track of who was mentioned when."""

    def __init__(self, cast: dict[str, Entity], voice: Voice, dice: Dice):
        self.cast, self.voice, self.dice = cast, voice, dice
        self.sentence = 0
        self.last: dict[Entity, int] = {}  # entity → sentence in which it was last mentioned
        self.subject: Entity | None = None  # of the sentence at hand
        self.previous: Entity | None = None  # the subject of the sentence before
        self._plural = self._first = False  # of the latest reference, for agreement

    # -- sentences -------------------------------------------------------------------------------------------

    def tell(self, flat: str) -> str:
        """Render a template whose alternatives are settled."""
        self.previous = self.subject or self.previous
        out, position, self.subject = [], 0, None
        if self.voice.narrator:
            flat = _as_we(flat)
        self.sentence += 1
        self._plural = self._first = False
        for match in _TOKEN.finditer(flat):
            self._literal(flat[position : match.start()], out)
            if match[4]:
                self._agree(flat[position : match.start()], flat[match.end() :])
                out.append(self._verb(match[4], bool(match[5])))
            else:
                out.append(self._reference(*match.groups()[:3]))
            position = match.end()
        self._literal(flat[position:], out)
        text = english.tidy("".join(out))
        return english.contract(text) if self.voice.short_forms else text

    def _literal(self, text: str, out: list[str]) -> None:
        ends = len(_SENTENCE_END.findall(text))
        if ends:
            self.sentence += ends
            self.previous = self.subject or self.previous
            self.subject = None
            self._plural = self._first = False
        out.append(text)

    def _agree(self, before: str, after: str) -> None:
        """A noun that stands in the text itself may be the subject: "the beans [be] ripe", "there [be] crumbs"."""
        words = re.findall(r"[A-Za-z']+", before)
        if words and words[-1].lower() in ("they", "we", "you", "these", "those"):
            self._plural, self._first = True, False
            return
        if words and words[-1].lower() in _BETWEEN:
            return
        if words and words[-1].lower() == "there":
            self._plural, self._first = (
                bool(re.match(r" (?:no |some |many |only )?[a-z]+[^sui']s\b", after)),
                False,
            )
            return
        if not words or not re.search(_DETERMINED, before) and not before[0].isupper():
            return
        self._first = False
        self._plural = words[-1].lower() in _PLURAL_WORDS or bool(re.search(r"[^sui']s$", words[-1]))

    def new_paragraph(self) -> None:
        """After a break everybody is named again."""
        self.sentence += 2

    def _verb(self, verb: str, plural: bool) -> str:
        form = english.past if self.voice.tense == "past" else english.present
        word, *rest = verb.split(" ")
        return " ".join([form(word, plural or self._plural, self._first), *rest])

    # -- references ------------------------------------------------------------------------------------------

    def _reference(self, roles: str, possessive: str | None, form: str | None) -> str:
        try:
            entities = [self.cast[role] for role in roles.split("+")]
        except KeyError as error:
            raise KeyError(f"nobody plays {error} in {{{roles}}}") from None
        if len(entities) > 1:
            return self._group(entities, form or "", bool(possessive))
        return self.refer(entities[0], "pos" if possessive else form or "")

    def refer(self, who: Entity, form: str = "") -> str:
        """The words for somebody or something.

        Args:
            who: the entity.
            form: "" subject, "o" object, "pos" possessive, "self" reflexive, "he" and "him" pronouns in any case,
                "name", "n" (noun), "full" (adjective and noun), "an" (a red ball), "the", "pl" (plural noun),
                "in", "into", "at" (with preposition), "said", "asked", "cried", "whispered" (a speech tag).
        """
        if form in ("said", "asked", "cried", "whispered"):
            return self._tag(who, form)
        bare = {
            "n": who.noun,
            "full": _full(who),
            "name": who.call or who.name or who.noun,
            "pl": english.plural(who.noun),
        }
        if form in bare:
            if who.kind == "thing" and form in ("n", "full"):
                self.last.setdefault(who, self.sentence - 2)  # spoken of already: from now on "the ball"
            return bare[form]
        if form == "an":
            self.last[who] = self.sentence
            return _full(who) if who.mass or who.pronoun == "they" else "a " + _full(who)
        if form == "the":
            self.last[who] = self.sentence
            return "the " + who.noun
        if form in ("in", "into", "at"):
            preposition = INTO.get(who.preposition, who.preposition) if form == "into" else who.preposition
            return f"{preposition} {self.refer(who, 'o')}"
        if form == "to":
            return f"to {self.refer(who, 'o')}"
        text = self._mention(who, form)
        self.last[who] = self.sentence
        if form in ("", "he"):
            self.subject = self.subject or who
            self._plural, self._first = who.pronoun == "they", who is self.voice.narrator
        return text

    def _mention(self, who: Entity, form: str) -> str:
        pronoun = "I" if who is self.voice.narrator else who.pronoun
        forms = {
            "": pronoun,
            "he": pronoun,
            "o": OBJECT[pronoun],
            "him": OBJECT[pronoun],
            "self": REFLEXIVE[pronoun],
        }
        if who is self.voice.narrator or form in ("he", "him", "self"):
            return POSSESSIVE[pronoun] if form == "pos" else forms[form]
        if form == "pos" and (who is self.subject or self._clear(who)):
            return POSSESSIVE[pronoun]
        goes_on = (
            form == "" and self.subject is None and who is self.previous and self.last.get(who) == self.sentence - 1
        )
        if goes_on and who.acts and self.dice.chance(0.6):
            return pronoun
        if form != "pos" and self._clear(who) and who.kind != "place" and self.dice.chance(0.85 if who.acts else 0.4):
            return forms[form]
        words = self._words(who)
        return words + ("'" if words.endswith("s") and who.pronoun == "they" else "'s") if form == "pos" else words

    def _clear(self, who: Entity) -> bool:
        """Whether a pronoun can only mean this entity: nobody else it could mean was mentioned just before."""
        recent = self.sentence - 1
        if self.last.get(who, -9) < recent or who.kind in ("spot", "place"):
            return False
        return not any(
            other is not who and other.pronoun == who.pronoun and seen >= recent and other.kind != "place"
            for other, seen in self.last.items()
        )

    def _words(self, who: Entity) -> str:
        """Name or noun with article; on first mention who it is."""
        first = who not in self.last
        if who.name and first and who.kin:
            return self._introduce(who)
        if who.name:
            return who.name
        if who.kin:
            near = self.sentence - self.last.get(who.of, -9) <= 3 and who.of is not self.voice.narrator
            owner = POSSESSIVE[who.of.pronoun] if near else self.refer(who.of, "pos")
            return f"{owner} {who.noun}"
        if who.kind in ("place",):
            return who.noun if who.mass else "the " + who.noun
        if who.kind == "spot":
            return "the " + (_full(who) if self.dice.chance(0.5 if first else 0.25) else who.noun)
        if first:
            return _full(who) if who.mass or who.pronoun == "they" else "a " + _full(who)
        return "the " + (_full(who) if self.dice.chance(0.25) else who.noun)

    def _introduce(self, who: Entity) -> str:
        owner = self.refer(who.of, "pos")
        if who.kind == "animal" and who.kin == "pet":
            return self.dice.pick(
                [
                    f"{owner} {who.noun} {who.name}",
                    f"{owner} {who.noun}, {who.name},",
                    f"{who.name} the {who.noun}",
                ]
            )
        if who.kind == "animal":
            return self.dice.pick(
                [
                    f"{owner} {who.kin} {who.name} the {who.noun}",
                    f"{who.name} the {who.noun}",
                    f"a young {who.noun} called {who.name}",
                ]
            )
        return self.dice.pick(
            [
                f"{owner} {who.kin} {who.name}",
                f"{who.name}, {owner} {who.kin},",
                f"{owner} {who.kin} {who.name}",
            ]
        )

    def _group(self, entities: list[Entity], form: str, possessive: bool) -> str:
        narrator = self.voice.narrator in entities
        recent = all(self.last.get(entity, -9) >= self.sentence - 1 for entity in entities)
        others = [
            other
            for other, seen in self.last.items()
            if seen >= self.sentence - 1 and other not in entities and (other.pronoun == "they" or other.acts)
        ]
        if form == "name":
            return english.listing([entity.name or entity.noun for entity in entities])
        if form == "self":
            return REFLEXIVE["we" if narrator else "they"]
        self._plural, self._first = True, False
        if recent and not others and (possessive or self.dice.chance(0.75)):
            words = "we" if narrator else "they"
            words = POSSESSIVE[words] if possessive else OBJECT[words] if form == "o" else words
        else:
            ordered = [e for e in entities if e is not self.voice.narrator]
            words = english.listing(
                [self._words(e) for e in ordered] + (["me" if form == "o" else "I"] if narrator else [])
            )
            words += "'s" if possessive else ""
            self._plural, self._first = True, False
        for entity in entities:
            self.last[entity] = self.sentence
        return words

    # -- speech ----------------------------------------------------------------------------------------------

    def _tag(self, who: Entity, form: str) -> str:
        verb = self.dice.pick(
            {
                "said": ["say"],
                "asked": ["ask"],
                "cried": ["cry", "call", "shout", "cry", "exclaim"],
                "whispered": ["whisper", "whisper", "murmur"],
            }[form]
        )
        words = self.refer(who)
        inverted = words not in ("I", "he", "she", "it") and self.dice.chance(0.65)
        spoken = self._verb(verb, False)
        return f"{spoken} {words}" if inverted else f"{words} {spoken}"

    def speech(self, role: str, flat: str, manner: str, answering: bool, untagged: bool) -> str:
        """Render what somebody says, with or without saying who says it."""
        if untagged:
            return self.tell(f'"{flat}"')
        first, rest = _first_sentence(flat)
        form = "asked" if first.endswith("?") else "cried" if first.endswith("!") and self.dice.chance(0.6) else "said"
        adverb = (
            f" {expand(manner, self.dice)}"
            if manner
            else f" {expand('<manner>', self.dice)}"
            if self.dice.chance(0.1)
            else ""
        )
        comma = first[:-1] + "," if first.endswith(".") else first
        shape = self.dice.weighted({"after": 0.62, "before": 0.2, "end": 0.18 if rest else 0.0001})
        if shape == "before" and form == "said":
            verb = "answer" if answering and self.dice.chance(0.4) else "say"
            return self.tell(f'{{{role}}} [{verb}]{adverb}, "{flat}"')
        if shape == "end" and rest and flat.endswith("."):
            return self.tell(f'"{flat[:-1]}," {{{role}.said}}{adverb}.')
        tail = f' "{rest}"' if rest else ""
        return self.tell(f'"{comma}" {{{role}.{form}}}{adverb}.{tail}')

    # -- joining ---------------------------------------------------------------------------------------------

    def join(self, flats: list[tuple[str, str, bool]]) -> list[tuple[str, int]]:
        """Join neighbouring clauses into longer sentences.

        Args:
            flats: for every line its settled template, its link ("so", "but", "then" or "") and whether it is an
                action, in the order of telling.

        Returns:
            Templates, each with the number of lines that went into it.
        """
        result, index = [], 0
        while index < len(flats):
            text, link, action = flats[index]
            here = _CLAUSE.match(text)
            after = flats[index + 1] if index + 1 < len(flats) else None
            there = _CLAUSE.match(after[0]) if after else None
            if here and there and self.dice.chance(self.voice.joining):
                joined = self._joined(text, here, after, there)
                if joined:
                    result.append((self._linked(joined, link, action), 2))
                    index += 2
                    continue
            result.append((self._linked(text, link, action), 1))
            index += 1
        return result

    def _joined(self, text: str, here: re.Match, after: tuple[str, str, bool], there: re.Match) -> str | None:
        second, link, _ = after
        same = here[1] == there[1]
        start, body = text[:-1], second[len(there[1]) + 3 :]
        if len(text) + len(second) > 190 or " and " in start + second and self.dice.chance(0.7):
            return None
        if link == "but":
            return f"{start}, but {second}"
        if link == "so":
            return f"{start}, so {second}"
        if same and here[2] not in ("be", "have", *english.MODALS) and there[2] not in ("be", *english.MODALS):
            shape = self.dice.weighted({"and": 4, "then": 1.5, "after": 1, "before": 0.5})
            if shape == "and":
                return f"{start} and {body}"
            if shape == "then":
                return f"{start}, then {body}" if self.voice.narrator is None else f"{start} and then {body}"
            if shape == "after":
                rest = start[here.end(2) + 2 :]
                return f"After {english.ing(here[2])} {rest}, {second}".replace("  ", " ")
            return f"{start} before {english.ing(there[2])}{second[there.end(2) + 1 :]}"
        if not same and "+" not in here[1] + there[1]:
            return f"{start}, and {second}"
        return None

    def _linked(self, text: str, link: str, action: bool) -> str:
        if text.startswith('"'):
            return text
        lead = {
            "so": ["So ", "So ", "That was why ", ""],
            "but": ["But ", "But ", "However, ", "Still, "],
            "then": ["Then ", "Then ", "Next, ", "After that, ", ""],
        }
        if self.voice.tense == "present":
            lead["so"] = ["So "]
        if link in lead:
            word = self.dice.pick(lead[link])
            return word + text[0].lower() + text[1:] if word and re.match(_SMALL_WORD, text) else word + text
        if action and _CLAUSE.match(text) and self.dice.chance(self.voice.linking):
            return expand("<then>", self.dice) + " " + text
        return text


def _as_we(flat: str) -> str:
    """In a story told by "I", the friends of the templates are "we" instead of "they"."""
    parts = re.split(r'("[^"]*")', flat)
    for index, part in enumerate(parts):
        if index % 2 == 0 and re.search(r"\b[Tt]hey \[", part):
            for they, we in (
                ("they", "we"),
                ("They", "We"),
                ("their", "our"),
                ("them", "us"),
                ("themselves", "ourselves"),
            ):
                part = re.sub(rf"\b{they}\b", we, part)
            parts[index] = part
    return "".join(parts)


def _full(who: Entity) -> str:
    return f"{who.adjective} {who.noun}".strip()


def _first_sentence(text: str) -> tuple[str, str]:
    match = re.match(r"(.+?[.!?])(?:\s+(.*))?$", text)
    if not match:
        raise ValueError(f"a speech must end in a full stop, question or exclamation mark: {text}")
    return match[1], match[2] or ""
