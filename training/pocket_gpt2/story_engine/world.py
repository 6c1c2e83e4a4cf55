"""The simulated world: who is where, where things are, who has them, and who knows it.

An action checks its preconditions and raises :class:`Contradiction` where a scene would tell something that
cannot be: taking what lies in another room, giving what one does not have.
"""

from dataclasses import dataclass, field


class Contradiction(Exception):
    """A scene asks for something that is impossible in the present state."""


@dataclass(eq=False)
class Entity:
    """A person, animal, thing, spot (container, surface) or place of one story."""

    role: str
    kind: str  # person, animal, thing, spot, place
    noun: str
    adjective: str = ""
    name: str = ""
    call: str = ""  # how others address this person, where it is not the name
    pronoun: str = "it"  # she, he, it, they
    preposition: str = "in"  # spots and places
    mass: bool = False
    kin: str = ""  # "friend", "mother": what this person is to `of`
    of: "Entity | None" = None
    place: "Entity | None" = None  # where a spot stands
    indoors: bool = True  # places

    def __repr__(self) -> str:
        return f"<{self.role}: {self.name or self.noun}>"

    @property
    def acts(self) -> bool:
        """Whether this is somebody rather than something."""
        return self.kind in ("person", "animal")


Position = tuple[str, Entity]  # ("with", person), ("in", box), ("at", kitchen)


@dataclass
class World:
    """The state of one story. Every change goes through a method named after its action."""

    weather: str = "sun"
    time: str = "morning"
    at: dict[Entity, Entity] = field(default_factory=dict)
    where: dict[Entity, Position] = field(default_factory=dict)
    beliefs: dict[Entity, dict[Entity, Position]] = field(default_factory=dict)
    states: dict[Entity, set[str]] = field(default_factory=dict)
    told: set[Entity] = field(default_factory=set)  # things whose present position the reader was told

    # -- what is so ------------------------------------------------------------------------------------------

    def place_of(self, thing: Entity) -> Entity | None:
        """The place in which a thing or somebody is now; None for what is gone or lost from sight."""
        if thing.acts:
            return self.at.get(thing)
        if thing not in self.where:
            return None
        relation, anchor = self.where[thing]
        if relation == "with":
            return self.at.get(anchor)
        return anchor.place if anchor.kind == "spot" else anchor

    def has(self, who: Entity, thing: Entity) -> bool:
        """Whether somebody has a thing in hand."""
        return self.where.get(thing) == ("with", who)

    # -- what happens ----------------------------------------------------------------------------------------

    def go(self, who: Entity, place: Entity) -> None:
        """Somebody moves to a place, with all they hold."""
        self.at[who] = place
        self._look(who)

    def place(self, thing: Entity, target: Entity) -> None:
        """Set-up: a thing is with somebody, at a spot or at a place, before the story looks at it."""
        self._move(thing, target)

    def take(self, who: Entity, thing: Entity) -> None:
        """Somebody takes a thing that is within reach and in nobody's hands."""
        self._near(who, thing)
        self._ask(self.where[thing][0] != "with", f"{thing} is in somebody's hands")
        self._move(thing, who)

    def put(self, who: Entity, thing: Entity, target: Entity) -> None:
        """Somebody puts a thing that they have into or onto a spot, or down at the place."""
        self._ask(self.has(who, thing), f"{who} does not have {thing}")
        self._ask((target.place or target) is self.at.get(who), f"{target} is not where {who} is")
        self._move(thing, target)

    def drop(self, who: Entity, thing: Entity) -> None:
        """Somebody lets go of a thing; it lies where they are."""
        self.put(who, thing, self.at[who])

    def give(self, who: Entity, thing: Entity, other: Entity) -> None:
        """A thing passes from one hand to another."""
        self._ask(self.has(who, thing), f"{who} does not have {thing}")
        self._ask(self.at.get(who) is self.at.get(other), f"{who} and {other} are not together")
        self._move(thing, other)

    def snatch(self, who: Entity, thing: Entity) -> None:
        """Somebody (a bird, the wind, a puppy) takes a thing out of another's hands."""
        self._near(who, thing)
        self._move(thing, who)

    def send(self, who: Entity, thing: Entity, target: Entity) -> None:
        """A thing that somebody has flies or falls somewhere else: a kite into a tree, a ball over a wall."""
        self._ask(self.has(who, thing), f"{who} does not have {thing}")
        self._move(thing, target)

    def find(self, who: Entity, thing: Entity) -> None:
        """Somebody sees where a thing is."""
        self._near(who, thing)
        self.beliefs.setdefault(who, {})[thing] = self.where[thing]

    def make(self, who: Entity, thing: Entity) -> None:
        """A new thing comes to be, in its maker's hands."""
        self._move(thing, who)

    def use(self, who: Entity, thing: Entity) -> None:
        """A thing is eaten, planted, posted or burnt: afterwards it is gone."""
        self._ask(self.has(who, thing), f"{who} does not have {thing}")
        self.gone(thing)

    def gone(self, thing: Entity) -> None:
        """A thing is no more."""
        self.where.pop(thing, None)
        self.told.discard(thing)
        for known in self.beliefs.values():
            known.pop(thing, None)

    def be(self, who: Entity, state: Entity | str) -> None:
        """Somebody or something comes into a state, such as wet or broken."""
        self.states.setdefault(who, set()).add(str(state))

    def unbe(self, who: Entity, state: Entity | str) -> None:
        """A state ends."""
        self._ask(str(state) in self.states.get(who, set()), f"{who} is not {state}")
        self.states[who].discard(str(state))

    def need(self, who: Entity, thing: Entity) -> None:
        """Only a check: somebody has a thing."""
        self._ask(self.has(who, thing), f"{who} does not have {thing}")

    # -- within ----------------------------------------------------------------------------------------------

    def _ask(self, condition: bool, message: str) -> None:
        if not condition:
            raise Contradiction(message)

    def _near(self, who: Entity, thing: Entity) -> None:
        self._ask(thing in self.where, f"{thing} is not to be had")
        self._ask(self.place_of(thing) is self.at.get(who), f"{thing} is not where {who} is")

    def _move(self, thing: Entity, target: Entity) -> None:
        relation = "with" if target.acts else target.preposition if target.kind == "spot" else "at"
        before = self.place_of(thing)
        self.where[thing] = (relation, target)
        for witness, place in self.at.items():
            if place is self.place_of(thing) or place is before:
                self.beliefs.setdefault(witness, {})[thing] = self.where[thing]

    def _look(self, who: Entity) -> None:
        """On entering, somebody sees the things in hands and in the open, not those inside of something."""
        known = self.beliefs.setdefault(who, {})
        for thing, position in self.where.items():
            if position[0] in ("with", "on", "at") and self.place_of(thing) is self.at[who]:
                known[thing] = position
