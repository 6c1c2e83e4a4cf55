"""Consistency questions: a story cut off where the reader knows the answer, and the words that could follow.

    … Mia put the red ball into the box. Then she went out. The ball was in the → box

The right answer follows from the world's state; the wrong ones are other places or people of the same story
where there are any, so that no answer can be guessed from the question alone.
"""

from dataclasses import dataclass

from training.pocket_gpt2.story_engine.dice import Dice
from training.pocket_gpt2.story_engine.stories import Document, Fact, layout, places, story
from training.pocket_gpt2.story_engine.world import Entity


@dataclass(frozen=True)
class Question:
    """A cloze with its answer.

    Attributes:
        prompt: the story so far and the beginning of one more sentence.
        answer: the right continuation, with the space before it.
        distractors: wrong continuations of the same kind.
        kind: "where", "who" or "belief".
        scene: the scene types of the story.
        seed: of the story.
    """

    prompt: str
    answer: str
    distractors: tuple[str, ...]
    kind: str
    scene: str
    seed: str


def questions(count: int, split: str = "test", seed: object = 0) -> list[Question]:
    """Questions about stories of a split: each about another story, the same for the same seed."""
    found, number = [], 0
    while len(found) < count:
        question = ask(story(f"question {seed} {number}", split), Dice(f"ask {seed} {number}"))
        if question:
            found.append(question)
        number += 1
        if number > 60 * count + 1000:
            raise ValueError(f"the scene types of the {split} split do not give {count} questions")
    return found


def ask(document: Document, dice: Dice) -> Question | None:
    """A question about a story, or None where there is nothing to ask."""
    moments = [
        (index, fact)
        for index, facts in enumerate(document.facts[:-1])
        for fact in facts
        if index >= 2 and fact.relation != "at" and _mentioned(fact, document, index)
    ]
    if not moments:
        return None
    kind = dice.pick(sorted({_kind(fact) for _, fact in moments}))
    index, fact = dice.pick([moment for moment in moments if _kind(moment[1]) == kind])
    said = layout(document.lines[: index + 1])
    tense = {"be": "was", "think": "thought"} if not _present(document) else {"be": "is", "think": "thinks"}
    if any(person.role == "kid" and person.name not in document.text for person in document.cast.values()):
        return None  # told by "I"
    verb = "were" if fact.thing.pronoun == "they" and tense["be"] == "was" else tense["be"]
    head = f"The {fact.thing.noun} {verb}"
    if fact.believer is not None:
        head = f"{_name(fact.believer)} {tense['think']} that the {fact.thing.noun} {verb} still"
    if fact.relation == "with":
        sentence, answer = f"{head} with", _name(fact.anchor)
        others = sorted({_name(e) for e in document.cast.values() if e.acts and _name(e) in said} - {answer})
    else:
        sentence, answer = f"{head} {fact.relation} the", fact.anchor.noun
        here = places()[fact.anchor.place.noun].spots
        others = sorted({noun for _, noun in here if noun in said} - {answer})
        same = sorted({noun for relation, noun in here if relation == fact.relation} - {answer, *others})
        others += dice.sample(same, max(0, 3 - len(others)))
    others = [other for other in others if other not in (answer,)][:3]
    if not others:
        return None
    return Question(f"{said} {sentence}", " " + answer, tuple(" " + other for other in others), kind,
                    " ".join(document.scenes), document.seed)  # fmt: skip


def _kind(fact: Fact) -> str:
    return "belief" if fact.believer is not None else "who" if fact.relation == "with" else "where"


def _name(who: Entity) -> str:
    return who.name or (f"the {who.noun}" if not who.kin or who.of is None else f"{who.of.name}'s {who.noun}")


def _mentioned(fact: Fact, document: Document, index: int) -> bool:
    said = " ".join(document.lines[: index + 1])
    known = fact.thing.noun in said and _name(fact.anchor).split()[-1] in said if fact.anchor.acts else fact.anchor.noun in said
    return known and fact.thing.noun in said and (fact.believer is None or _name(fact.believer) in said)


def _present(document: Document) -> bool:
    words = document.text.split()
    return words.count("is") + words.count("has") > words.count("was") + words.count("had")
