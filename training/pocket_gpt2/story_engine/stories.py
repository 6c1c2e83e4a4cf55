"""Puts stories together: casts them, chains scenes on one world, and tells them.

    >>> story("some seed").text

The same seed and the same data files give the same text, on every machine.
"""

import re
from dataclasses import dataclass, field
from functools import cache

from training.pocket_gpt2.story_engine.dice import Dice
from training.pocket_gpt2.story_engine.scenes import Line, Scene, scenes
from training.pocket_gpt2.story_engine.telling import Teller, Voice
from training.pocket_gpt2.story_engine.templates import DATA, expand, lexicon, phrases
from training.pocket_gpt2.story_engine.world import Contradiction, Entity, World

ACTORS = ("kid", "pal", "sib", "mum", "gran", "pet", "adult")
_LETTERS = {
    "take": "XTS",
    "put": "XTS",
    "drop": "XT",
    "give": "XTY",
    "find": "XT",
    "make": "XT",
    "use": "XT",
    "go": "XP",
    "snatch": "XT",
}
# For each elder: what they are, what they are called, and the share of stories in which that is their name.
_ELDERS = {
    ("mum", "she"): ("mother", ["Mum", "Mama", "Mother"], 0.35),
    ("mum", "he"): ("father", ["Dad", "Papa", "Father"], 0.35),
    ("gran", "she"): ("grandmother", ["Grandma", "Granny", "Nana"], 0.4),
    ("gran", "he"): ("grandfather", ["Grandpa", "Grandad", "Gramps"], 0.4),
}
_ROLE = re.compile(r"\{([\w+]+)")


@dataclass(frozen=True)
class Fact:
    """Something true at one moment, told to the reader: a thing's position, or what somebody believes it to be."""

    thing: Entity
    relation: str
    anchor: Entity
    believer: Entity | None = None


@dataclass
class Document:
    """A text of the corpus, with what is known about it."""

    text: str
    kind: str
    scenes: tuple[str, ...]
    seed: str
    bits: float
    tense: str = "past"
    lines: list[str] = field(default_factory=list, repr=False)
    facts: list[tuple[Fact, ...]] = field(default_factory=list, repr=False)  # after each line
    cast: dict[str, Entity] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class _Place:
    noun: str
    preposition: str
    indoors: bool
    world: str
    groups: tuple[str, ...]
    spots: tuple[tuple[str, str], ...]


@cache
def places() -> dict[str, _Place]:
    """The places of ``places.txt`` with the spots where things can be."""
    found = {}
    for line in (DATA / "places.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        head, _, spots = line.partition(":")
        noun, rest = re.match(r"([\w ]+) \(([^)]*)\)", head).groups()
        preposition, inside, world, *groups = rest.split()
        pairs = tuple(tuple(spot.strip().split(" ", 1)) for spot in spots.split(",") if spot.strip())
        found[noun] = _Place(noun, preposition, inside == "indoors", world, tuple(groups), pairs)
    return found


@cache
def _actions() -> dict[str, tuple[str, ...]]:
    """The tellings of ``actions.txt``: action → alternatives."""
    blocks = re.split(r"^(\w[\w-]*):\s*$", (DATA / "actions.txt").read_text(encoding="utf-8"), flags=re.M)[1:]
    return {
        name: tuple(line.strip() for line in body.splitlines() if line.strip())
        for name, body in zip(blocks[::2], blocks[1::2], strict=True)
    }


@cache
def _roles(scene: Scene) -> frozenset[str]:
    """The standing roles (kid, pal, pet …) that a scene calls for."""
    words: set[str] = set()
    for line in scene.lines:
        words |= set("+".join(line.action).split("+")) | {line.speaker}
        for text in (*line.texts, *scene.titles):
            for roles in _ROLE.findall(text):
                words |= set(roles.split("+"))
    return frozenset(words & set(ACTORS))


class _Builder:
    """One story in the making."""

    def __init__(self, seed: str, split: str | None, scenery: str | None = None, voice: Voice | None = None):
        self.dice = dice = Dice(seed)
        self.split, self.seed = split, seed
        self.scenery = scenery or dice.weighted({"people": 0.8, "woods": 0.2})
        self.world = World(
            weather=dice.weighted({"sun": 5, "rain": 2, "wind": 2, "snow": 0.7, "fog": 0.7}),
            time=dice.weighted({"morning": 5, "afternoon": 5, "evening": 2}),
        )
        self.cast: dict[str, Entity] = {}
        self.places: dict[str, Entity] = {}
        self.spots: dict[tuple[str, str], Entity] = {}
        self.nouns: set[str] = set()
        self.names: set[str] = set()
        self.told: list[str] = []
        self.facts: list[tuple[Fact, ...]] = []
        self.asides: set[str] = set()
        self.appeared: set[str] = set()
        self.scene_names: list[str] = []
        self._actor("kid")
        self.voice = voice or self._voice()
        self.teller = Teller(self.cast, self.voice, dice)

    def _voice(self) -> Voice:
        dice = self.dice
        manner = dice.weighted({"even": 4, "spare": 2, "rich": 3})
        return Voice(
            tense="present" if dice.chance(0.1) else "past",
            narrator=self.cast["kid"] if self.scenery == "people" and dice.chance(0.16) else None,
            joining={"even": 0.3, "spare": 0.08, "rich": 0.45}[manner],
            linking={"even": 0.15, "spare": 0.05, "rich": 0.2}[manner],
            detail={"even": 0.14, "spare": 0.04, "rich": 0.3}[manner],
            paragraph={"even": 0.14, "spare": 0.08, "rich": 0.2}[manner],
            short_forms=dice.chance(0.6),
        )

    # -- casting ---------------------------------------------------------------------------------------------

    def _name(self, pronoun: str) -> str:
        pool = [name for name in lexicon()["girl" if pronoun == "she" else "boy"]["words"] if name not in self.names]
        name = self.dice.pick(pool)
        # no two names of a story begin alike: the reader is to tell them apart
        self.names |= {other for other in pool if other[0] == name[0]} | {name}
        return name

    def _actor(self, role: str) -> Entity:
        """The one who plays a standing role in this story; cast on first need."""
        if role in self.cast:
            return self.cast[role]
        dice, kid = self.dice, self.cast.get("kid")
        pronoun = dice.pick(["she", "he"])
        if role in ("pal", "sib") and dice.chance(0.5):
            pronoun = "he" if kid.pronoun == "she" else "she"
        make = {"people": self._person, "woods": self._creature}[self.scenery if role != "pet" else "people"]
        self.cast[role] = actor = make(role, pronoun, kid)
        self.nouns.add(actor.noun)
        return actor

    def _person(self, role: str, pronoun: str, kid: Entity | None) -> Entity:
        dice, she = self.dice, pronoun == "she"
        if role == "pet":
            noun = dice.pick([word for word in lexicon()["pet"]["words"]])
            name = dice.pick([n for n in lexicon()["petname"]["words"] if n[0] not in {m[0] for m in self.names}])
            self.names.add(name)
            return Entity(role, "animal", noun, name=name, pronoun=pronoun, kin="pet", of=kid)
        child = "girl" if she else "boy"
        if role == "kid":
            return Entity(role, "person", child, name=self._name(pronoun), pronoun=pronoun)
        if role == "pal":
            kin = dice.weighted({"friend": 5, "best friend": 2, "cousin": 1, "classmate": 1})
            return Entity(role, "person", child, name=self._name(pronoun), pronoun=pronoun, kin=kin, of=kid)
        if role == "sib":
            kin = dice.pick(["little ", "big ", "older ", "younger ", ""]) + ("sister" if she else "brother")
            return Entity(role, "person", child, name=self._name(pronoun), pronoun=pronoun, kin=kin, of=kid)
        if role in ("mum", "gran"):
            noun, calls, share = _ELDERS[role, pronoun]
            call = dice.pick(calls)
            name = call if dice.chance(share) else ""
            kin = "" if name else noun
            return Entity(role, "person", noun, name=name, call=call, pronoun=pronoun, kin=kin, of=kid)
        title = dice.pick(["Mrs", "Miss", "Old Mrs"] if she else ["Mr", "Mr", "Old Mr"])
        return Entity(
            role,
            "person",
            "woman" if she else "man",
            name=f"{title} {dice.pick(lexicon()['surname']['words'])}",
            pronoun=pronoun,
            kin=dice.pick(["neighbour", "neighbour", "friend"]),
            of=kid,
        )

    def _creature(self, role: str, pronoun: str, kid: Entity | None) -> Entity:
        dice = self.dice
        species = [word for word in lexicon()["creature"]["words"] if word not in self.nouns]
        if role in ("mum", "gran", "sib") and role != "adult":
            noun = kid.noun
            kin = {
                "mum": ("mother", "father"),
                "gran": ("grandmother", "grandfather"),
                "sib": ("sister", "brother"),
            }[role][pronoun == "he"]
            if role != "sib":
                call = {
                    "mother": "Mama",
                    "father": "Papa",
                    "grandmother": "Granny",
                    "grandfather": "Grandpa",
                }[kin]
                return Entity(role, "animal", kin, call=call, pronoun=pronoun, kin=kin, of=kid)
        else:
            noun, kin = dice.pick(species), {"pal": "friend", "adult": "neighbour"}.get(role, "")
        pool = [n for n in lexicon()["creaturename"]["words"] if n[0] not in {m[0] for m in self.names}]
        name = dice.pick(pool)
        self.names.add(name)
        return Entity(role, "animal", noun, name=name, pronoun=pronoun, kin=kin, of=kid)

    def _place(self, noun: str) -> Entity:
        if noun not in self.places:
            data = places()[noun]
            self.places[noun] = Entity(noun, "place", noun, preposition=data.preposition, indoors=data.indoors)
        return self.places[noun]

    def _spot(self, place: Entity, preposition: str = "") -> Entity:
        taken = {spot.noun for spot in self.cast.values() if spot.kind == "spot"}
        options = [
            pair
            for pair in places()[place.noun].spots
            if pair[1] not in taken | self.nouns and (not preposition or pair[0] == preposition)
        ]
        if not options:
            raise Contradiction(f"{place} has no more spots {preposition}")
        pair = self.dice.pick(options)
        if (place.noun, pair[1]) not in self.spots:
            adjective = self.dice.pick(lexicon()["spotlook"]["words"]) if self.dice.chance(0.6) else ""
            self.spots[place.noun, pair[1]] = Entity(
                "spot", "spot", pair[1], adjective, preposition=pair[0], place=place
            )
        return self.spots[place.noun, pair[1]]

    def _thing(self, role: str, kinds: str) -> Entity:
        dice = self.dice
        kind = dice.pick(kinds.split())
        data = lexicon()[kind]
        word = dice.pick([w for w in data["words"] if w.rstrip("*+") not in self.nouns and not w.endswith("+")])
        noun = word.rstrip("*+")
        self.nouns.add(noun)
        adjective = ""
        if data["adjectives"] and dice.chance(0.7):
            adjective = dice.pick(lexicon()[dice.pick(data["adjectives"])]["words"])
            adjective = "" if set(adjective.split()) & set(noun.split()) else adjective
        pronoun = "they" if word.endswith("+") else "it"
        return Entity(role, "thing", noun, adjective, pronoun=pronoun, mass=word.endswith("*"))

    def _bind(self, role: str, source: str, here: Entity) -> Entity:
        kind, _, detail = source.partition(":")
        if kind == "spot":
            place = self._place(detail) if detail in places() else here
            return self._spot(place, detail if detail not in places() else "")
        if kind == "place":
            options = [p for p in self._matching(tuple(detail.split())) if p != here.noun]
            return self._place(self.dice.pick(options))
        if kind == "person":
            kid = self.cast["kid"].pronoun
            pronoun = self.dice.weighted({"she": 1, "he": 1} | {"he" if kid == "she" else "she": 3})
            someone = Entity(role, "person", self.dice.pick(detail.split()).replace("_", " "), pronoun=pronoun)
            if self.dice.chance(0.6):
                self.teller.last[someone] = -5  # "the baker", not "a baker": every town has one
            return someone
        if kind == "animal":
            noun = self.dice.pick([w for w in lexicon()[detail]["words"] if w not in self.nouns])
            self.nouns.add(noun)
            return Entity(
                role,
                "animal",
                noun,
                self.dice.pick(lexicon()["beastlook"]["words"]) if self.dice.chance(0.5) else "",
            )
        return self._thing(role, source)

    def _matching(self, wanted: tuple[str, ...]) -> list[str]:
        return [
            noun
            for noun, place in places().items()
            if place.world in (self.scenery, "any")
            and any(
                w == noun.replace(" ", "_")
                or w in place.groups
                or w == "any"
                or w == ("indoors" if place.indoors else "outdoors")
                for w in wanted
            )
        ]

    # -- scenes ----------------------------------------------------------------------------------------------

    def play(self, scene: Scene) -> None:
        """Tell one scene, changing the world."""
        kid = self.cast["kid"]
        if scene.kind != "ending":  # an ending speaks of the things of the scene before
            for role in set(self.cast) - set(ACTORS):
                del self.cast[role]
        options = self._matching(scene.places)
        now = self.world.at.get(kid)
        here = now if now and now.noun in options else self._place(self.dice.pick(options))
        people = [self._actor(role) for role in ACTORS if role in _roles(scene) and role != "kid"]
        self._arrive(here, [p for p in people if p.role in self.appeared])
        self.cast["here"] = here
        for actor in [kid, *people]:
            if self.world.at.get(actor) is not here:
                self.world.go(actor, here)
        for role, source in scene.bind:
            self.cast.pop(role, None)
            self.cast[role] = bound = self._bind(role, source, here)
            if bound.acts:
                self.world.go(bound, here)
        self.appeared |= _roles(scene)
        self.scene_names.append(scene.name)
        plain: list[tuple[str, str, bool]] = []  # template, link, action
        facts: list[tuple[Fact, ...]] = []
        speaker = ""
        asked = False
        for line in self._chosen(scene.lines):
            if line.speaker:
                self._flush(plain, facts)
                speaker, asked = self._speech(line, speaker, asked)
                continue
            flats = self._act(line)
            for flat, known in flats:
                link, _, flat = flat[1:].partition(" ") if flat.startswith("~") else ("", "", flat)
                plain.append((flat, link, bool(line.action)))
                facts.append(known)
            if flats:
                speaker = ""
            if flats and self.dice.chance(self.voice.detail * 0.5) and (aside := self._aside()):
                plain.append((aside, "", False))
                facts.append(self._known())
        if scene.kind == "scene" and self.dice.chance(0.22) and (recap := self._recap()):
            plain.append((recap, "", False))
            facts.append(self._known())
        self._flush(plain, facts)

    def _chosen(self, lines: tuple[Line, ...]) -> list[Line]:
        """Settle what is optional, and which of numbered alternatives happens."""
        chosen, index = [], 0
        while index < len(lines):
            if lines[index].branch:
                run = index
                while run < len(lines) and lines[run].branch:
                    run += 1
                branch = self.dice.pick(sorted({line.branch for line in lines[index:run]}))
                chosen += [line for line in lines[index:run] if line.branch == branch]
                index = run
            else:
                chosen.append(lines[index])
                index += 1
        return [line for line in chosen if not line.optional or self.dice.chance(0.5)]

    def _flush(self, plain: list[tuple[str, str, bool]], facts: list[tuple[Fact, ...]]) -> None:
        position = 0
        for flat, count in self.teller.join(plain):
            position += count
            if self.told and self.dice.chance(self.voice.paragraph):
                self._break()
            self._say(self.teller.tell(flat), facts[position - 1])
        plain.clear()
        facts.clear()

    def _say(self, text: str, facts: tuple[Fact, ...]) -> None:
        self.told.append(text)
        self.facts.append(facts)

    def _break(self) -> None:
        if self.told and not self.told[-1].endswith("\n"):
            self.told[-1] += "\n"
            self.teller.new_paragraph()

    def _speech(self, line: Line, before: str, asked: bool) -> tuple[str, bool]:
        flat = self._expand(self.dice.pick(line.texts))
        if before and before != line.speaker:
            if self.told:
                self.told[-1] = self.told[-1].rstrip("\n") + "\n"
        elif self.dice.chance(0.3):
            self._break()
        if self.voice.speech == "script":
            self._break()
            who = self.cast[line.speaker]
            self._say(f"{who.call or who.name}: " + self.teller.tell(flat) + "\n", self._known())
            return line.speaker, flat.endswith("?")
        if before == line.speaker:
            lead = self._expand(f"{{{line.speaker}}} ([add]|[go] on|[say])")
            self._say(self.teller.tell(f'{lead}, "{flat}"'), self._known())
            return line.speaker, flat.endswith("?")
        turn = bool(before) and before != line.speaker
        untagged = turn and not line.manner and self.dice.chance(0.35)
        self._say(self.teller.speech(line.speaker, flat, line.manner, asked and turn, untagged), self._known())
        return line.speaker, flat.endswith("?")

    def _arrive(self, here: Entity, company: list[Entity]) -> None:
        kid = self.cast["kid"]
        now = self.world.at.get(kid)
        if now is here:
            return
        self.cast["there"] = here
        if now is None or not self.told:
            self.world.go(kid, here)
            return
        self._break()
        movers = [kid, *[actor for actor in company if actor.kind == "person" or self.scenery == "woods"]][:3]
        for actor in [kid, *company]:
            self.world.go(actor, here)
        if self.dice.chance(0.4):
            self.world.time = {"morning": "afternoon", "afternoon": "evening"}.get(self.world.time, "evening")
            lead = f"<later-{self.world.time}>"
        else:
            lead = "<later>"
        who = "+".join(actor.role for actor in movers)
        self._say(
            self.teller.tell(
                expand(
                    self.dice.pick(_actions()["arrive"]).replace("LATER", lead).replace("{X", "{" + who),
                    self.dice,
                )
            ),
            self._known(),
        )

    def _expand(self, text: str) -> str:
        return expand(text, self.dice, {"weather": self.world.weather, "time": self.world.time})

    # -- actions ---------------------------------------------------------------------------------------------

    def _act(self, line: Line) -> list[tuple[str, tuple[Fact, ...]]]:
        """Change the world as a line says; return the templates that tell it, each with what is so after it."""
        if line.action and line.action[0] == "simulate":
            return self._simulate(int(line.action[1]), [self.cast[role] for role in line.action[2:]])
        texts = list(line.texts)
        if line.action:
            name, *roles = line.action
            before = self.world.where.get(self.cast.get(roles[1])) if len(roles) > 1 else None
            self._apply(name, roles, silent=line.silent)
            if not texts and not line.silent and name in _LETTERS:
                texts = self._tellings(name, roles, before)
        if not texts:
            return []
        return [(self._expand(self.dice.pick(texts)), self._known())]

    def _apply(self, name: str, roles: list[str], silent: bool = False) -> None:
        if name == "time":
            self.world.time = roles[0]
            return
        if name == "weather":
            self.world.weather = roles[0]
            return
        first, *rest = roles
        for actor in first.split("+"):
            arguments = [self._entity(actor), *(self._entity(role) for role in rest)]
            getattr(self.world, name)(*arguments)
        if name not in ("go", "be", "unbe", "need"):
            thing = arguments[0] if name in ("place", "gone") else arguments[1]
            if silent:
                self.world.told.discard(thing)
            elif thing in self.world.where:
                self.world.told.add(thing)

    def _entity(self, word: str) -> Entity | str:
        if word in self.cast:
            return self.cast[word]
        noun = word.replace("_", " ")
        return self._place(noun) if noun in places() else word

    def _tellings(self, name: str, roles: list[str], before) -> list[str]:
        key, named = name, dict(zip(_LETTERS[name], roles, strict=False))
        if name in ("take", "find"):
            thing = self.cast[roles[1]]
            anchor = before[1] if before else None
            if anchor is not None and anchor.kind == "spot":
                key, named["S"] = f"{name}-from", f"_from{len(self.cast)}"
                self.cast[named["S"]] = anchor  # a role of its own: the sentence is rendered later
            if thing.mass or thing.pronoun == "they":
                key = key if key in _actions() else name
        if name == "go":
            if roles[1] not in self.cast:
                self.cast[roles[1]] = self._entity(roles[1])
        if name == "put" and self.cast[roles[2]].kind == "place":
            key = "drop"
        return [re.sub(r"\{([A-Z])(?=[}'.+])", lambda m: "{" + named[m[1]], text) for text in _actions()[key]]

    def _simulate(self, steps: int, cast: list[Entity]) -> list[tuple[str, tuple[Fact, ...]]]:
        """Some random possible moves of these actors, things and spots, told one by one."""
        role = {entity: name for name, entity in self.cast.items()}
        things = [entity for entity in cast if entity.kind == "thing"]
        flats, last_thing, last_actor = [], None, None
        for _ in range(steps):
            moves = []
            for thing in things:
                position = self.world.where.get(thing)
                if position is None or (thing is last_thing and self.dice.chance(0.8)):
                    continue
                for actor in (entity for entity in cast if entity.acts):
                    together = self.world.at.get(actor) is self.world.place_of(thing)
                    if self.world.has(actor, thing):
                        moves += [
                            ("put", actor, thing, spot)
                            for spot in cast
                            if spot.kind == "spot" and spot.place is self.world.at[actor]
                        ]
                        moves += [
                            ("give", actor, thing, other)
                            for other in cast
                            if other.acts and other is not actor and self.world.at[other] is self.world.at[actor]
                        ]
                    elif together and position[0] != "with":
                        moves += [("take", actor, thing)] * 2
            moves = [move for move in moves if move[1] is not last_actor] or moves
            if not moves:
                break
            name, actor, thing, *rest = self.dice.pick(moves)
            roles = [role[actor], role[thing], *(role[entity] for entity in rest)]
            before = self.world.where.get(thing)
            self._apply(name, roles)
            flats.append((self._expand(self.dice.pick(self._tellings(name, roles, before))), self._known()))
            last_thing, last_actor = thing, actor
        return flats

    # -- truths ----------------------------------------------------------------------------------------------

    def _known(self) -> tuple[Fact, ...]:
        facts = []
        for thing in self.world.told:
            if thing not in self.world.where:
                continue
            position = self.world.where[thing]
            facts.append(Fact(thing, *position))
            for actor, known in self.world.beliefs.items():
                if known.get(thing, position) != position:
                    facts.append(Fact(thing, *known[thing], believer=actor))
        return tuple(sorted(facts, key=lambda f: (f.thing.noun, f.believer.role if f.believer else "")))

    def _recap(self) -> str:
        """A sentence that says where something is now."""
        facts = [
            fact for fact in self._known() if fact.thing in self.cast.values() and fact.anchor in self.cast.values()
        ]
        if not facts:
            return ""
        fact = self.dice.pick(facts)
        role = {entity: name for name, entity in self.cast.items()}
        key = "with" if fact.relation == "with" else "where"
        if fact.believer is not None:
            key = "believes" if fact.relation != "with" else "believes-with"
            if fact.believer not in role:
                return ""
        named = {"T": role[fact.thing], "Y": role[fact.anchor], "X": role.get(fact.believer, "")}
        return expand(
            re.sub(r"\{([A-Z])(?=[}'.])", lambda m: "{" + named[m[1]], self.dice.pick(_actions()[key])),
            self.dice,
        )

    def _aside(self) -> str:
        """A detail of the place, the weather or the animal that is there; no two alike in a story."""
        here = self.cast["here"]
        names = [
            f"place-{here.noun.replace(' ', '-')}",
            f"{self.world.weather}-{'in' if here.indoors else 'out'}",
            f"time-{self.world.time}",
        ]
        pet = self.cast.get("pet")
        if pet and pet.role in self.appeared and self.world.at.get(pet) is here and self.scenery == "people":
            names.append(f"pet-{pet.noun}" if f"pet-{pet.noun}" in phrases() else "pet-any")
        names = [name for name in names if name in phrases()]
        if not names:
            return ""
        text = self.dice.pick(phrases()[self.dice.pick(names)])
        if text in self.asides:
            return ""
        self.asides.add(text)
        return self._expand(text)

    # -- the whole -------------------------------------------------------------------------------------------

    def try_play(self, kind: str, tries: int = 8) -> None:
        """Tell the first possible one of some random openings or endings."""
        for scene in self.dice.sample(scenes(kind, self.scenery, None), tries):
            if not _roles(scene) - {"kid", "mum", "gran"} <= self.appeared:
                continue
            try:
                for line in scene.lines:  # an ending asks before it is told
                    if line.action and line.action[0] == "need":
                        self._apply("need", list(line.action[1:]))
                self.play(scene)
                return
            except (Contradiction, KeyError):
                continue

    def document(self, kind: str) -> Document:
        """The finished text."""
        return Document(
            text=layout(self.told),
            kind=kind,
            scenes=tuple(self.scene_names),
            seed=self.seed,
            bits=self.dice.bits,
            tense=self.voice.tense,
            lines=list(self.told),
            facts=list(self.facts),
            cast=dict(self.cast),
        )


def layout(lines: list[str]) -> str:
    """Sentences with a space between them; those that end in a line break end a paragraph."""
    return "".join(line if line.endswith("\n") else line + " " for line in lines).replace("\n", "\n\n").strip()


def story(seed: object, split: str | None = "train") -> Document:
    """A story of one to three scenes.

    Args:
        seed: the same seed gives the same story.
        split: the scene types to draw on: "train", "validation", "test", or None for all.
    """
    builder = _Builder(f"story {split} {seed}", split)
    dice = builder.dice
    pool = list(scenes("scene", builder.scenery, split))
    chosen: list[Scene] = []
    for scene in dice.sample(pool, dice.weighted({1: 0.5, 2: 0.36, 3: 0.14})):
        if scene.family not in {other.family for other in chosen}:
            chosen.append(scene)
    builder.teller.sentence = 5
    start = builder._matching(chosen[0].places)
    builder.world.go(builder.cast["kid"], builder._place(dice.pick(start)))
    builder.cast["here"] = builder.world.at[builder.cast["kid"]]
    if dice.chance(0.85):
        _open(builder)
    for number, scene in enumerate(chosen):
        if number:
            builder._break()
        builder.play(scene)
    if dice.chance(0.6):
        builder.try_play("ending")
    document = builder.document("story")
    if chosen[0].titles and dice.chance(0.2):
        title = (
            builder.teller.tell(expand(dice.pick(chosen[-1].titles or chosen[0].titles), dice))
            if len(chosen) == 1
            else ""
        )
        if title:
            title = " ".join(word[0].upper() + word[1:] if len(word) > 3 else word for word in title.split())
            document.text = f"{title}\n\n{document.text}"
    return document


_OPENINGS = (
    "who",
    "when",
    "who when",
    "who likes",
    "who likes when",
    "likes",
    "when weather",
    "weather who",
    "who weather",
    "weather who likes",
)


def _open(builder: _Builder) -> None:
    """Say who the story is about, when and where it begins."""
    dice = builder.dice
    for key in dice.pick(_OPENINGS).split():
        if key == "who" and builder.voice.narrator:
            key = "who-me"
        name = (
            f"weather-{builder.world.weather}"
            if key == "weather"
            else f"open-{key}-{builder.scenery}"
            if f"open-{key}-{builder.scenery}" in phrases()
            else f"open-{key}"
        )
        builder._say(builder.teller.tell(builder._expand(f"<{name}>")), ())
        if key.startswith("who"):
            kid = builder.cast["kid"]
            builder.teller.last[kid], builder.teller.previous = builder.teller.sentence, kid


def explanation(seed: object, split: str | None = "train") -> Document:
    """A short explanation: as an essay, or as a grown-up's answer to a child's question."""
    builder = _Builder(
        f"explanation {split} {seed}", split, scenery="people", voice=Voice(joining=0, linking=0, detail=0)
    )
    dice = builder.dice
    scene = dice.pick(scenes("explanation", "people", split))
    builder.scene_names.append(scene.name)
    question = dice.pick(scene.titles)
    facts = []
    for line in builder._chosen(scene.lines):
        fact = expand(dice.pick(line.texts), dice)
        facts.append(fact[5:] if fact.startswith("~but ") else fact)
    if dice.chance(0.45) or not question.endswith("?"):
        if dice.chance(0.6):
            builder._say(builder.teller.tell(question) + "\n", ())
        for number, fact in enumerate([*([expand("<explain-start>", dice)] if dice.chance(0.2) else []), *facts]):
            if number and dice.chance(0.15):
                builder._break()
            builder._say(builder.teller.tell(fact), ())
        if dice.chance(0.5):
            builder._say(builder.teller.tell(expand("<explain-end>", dice)), ())
        return builder.document("explanation")
    answerer = dice.pick(["mum", "gran", "adult", "sib"])
    builder._actor(answerer)
    builder.world.go(builder.cast["kid"], builder._place(dice.pick(builder._matching(("any",)))))
    builder.cast["here"] = builder.world.at[builder.cast["kid"]]
    if dice.chance(0.5):
        _open(builder)
    speaker, asked = builder._speech(Line(speaker="kid", texts=(question,)), "", False)
    if dice.chance(0.5):
        facts[0] = f"{expand('<explain-start>', dice)} {facts[0]}"
    remarks = dice.sample(phrases()["interject"], 8)
    while facts:
        count = dice.pick([1, 2, 2, 3])
        part, facts = facts[:count], facts[count:]
        speaker, asked = builder._speech(Line(speaker=answerer, texts=(" ".join(part),)), speaker, asked)
        if facts:
            speaker, asked = builder._speech(Line(speaker="kid", texts=(remarks.pop(),)), speaker, asked)
    if dice.chance(0.4):
        builder.try_play("ending")
    return builder.document("explanation")


def dialogue(seed: object, split: str | None = "train") -> Document:
    """A conversation, written as a script or as prose."""
    form = Dice(f"form {seed}").pick(["script", "prose"])
    builder = _Builder(f"dialogue {split} {seed}", split, scenery="people", voice=Voice(speech=form, detail=0.1))
    dice = builder.dice
    scene = dice.pick(scenes("dialogue", "people", split))
    builder.teller.sentence = 5
    here = builder._place(dice.pick(builder._matching(scene.places)))
    builder.world.go(builder.cast["kid"], here)
    builder.cast["here"] = here
    if form == "prose" and dice.chance(0.7):
        _open(builder)
    builder.play(scene)
    if form == "prose" and dice.chance(0.3):
        builder.try_play("ending")
    return builder.document("dialogue")


KINDS = {"story": (story, 0.84), "dialogue": (dialogue, 0.1), "explanation": (explanation, 0.06)}


def document(seed: object, split: str | None = "train") -> Document:
    """A text of any kind, in the shares of the corpus."""
    kind = Dice(f"kind {split} {seed}").weighted({name: share for name, (_, share) in KINDS.items()})
    return KINDS[kind][0](seed, split)
