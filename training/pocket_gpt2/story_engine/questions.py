"""Consistency questions: a story cut off where the reader knows the answer, and the words that could follow.

    … Mia put the red ball into the box. Then she went out. The ball was in the → box

The right answer follows from the world's state; the wrong ones are other places or people of the same story
where there are any, so that no answer can be guessed from the question alone.
"""

import re
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
    """A question about a story, or None where there is nothing to ask.

    In most cases the answer is not the last mentioned of the choices, if the story has such a moment.
    """
    kid = document.cast["kid"]
    if kid.name not in document.text:
        return None  # told by "I"
    asked = [
        question
        for index, facts in enumerate(document.facts[:-1])
        for fact in facts
        if index >= 2 and fact.relation != "at"
        for question in [_question(document, index, fact, dice)]
        if question
    ]
    if not asked:
        return None
    hard = [question for question in asked if not _last_is_right(question)]
    if hard and dice.chance(0.7):
        asked = hard
    kinds = sorted({question.kind for question in asked})
    kind = "belief" if "belief" in kinds else dice.pick(kinds)  # the rarest kind goes first
    return dice.pick([question for question in asked if question.kind == kind])


def _question(document: Document, index: int, fact: Fact, dice: Dice) -> Question | None:
    said = layout(document.lines[: index + 1])
    answer = _name(fact.anchor) if fact.relation == "with" else fact.anchor.noun
    named = [fact.thing.noun, answer.removeprefix("the "), *([_name(fact.believer)] if fact.believer else [])]
    if not all(_stands(name, said) for name in named):
        return None
    present = document.tense == "present"
    be = ("are" if present else "were") if fact.thing.pronoun == "they" else "is" if present else "was"
    head = f"The {fact.thing.noun} {be}"
    if fact.believer is not None:
        head = f"{_name(fact.believer)} {'thinks' if present else 'thought'} that the {fact.thing.noun} {be} still"
    if fact.relation == "with":
        head += " with"
        others = sorted(
            {_name(e) for e in document.cast.values() if e.acts and _stands(_name(e).removeprefix("the "), said)}
            - {answer}
        )
    else:
        head += f" {fact.relation} the"
        here = places()[fact.anchor.place.noun].spots
        others = sorted({noun for _, noun in here if _stands(noun, said)} - {answer})
        same = sorted({noun for relation, noun in here if relation == fact.relation} - {answer, *others})
        others += dice.sample(same, max(0, 3 - len(others)))
    if not others:
        return None
    return Question(
        f"{said} {head}",
        " " + answer,
        tuple(" " + other for other in others[:3]),
        _kind(fact),
        " ".join(document.scenes),
        document.seed,
    )


def _last_is_right(question: Question) -> bool:
    choices = (question.answer, *question.distractors)
    return max(choices, key=lambda choice: question.prompt.rfind(choice.strip())) == question.answer


def _stands(words: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(words)}\b", text) is not None


def _kind(fact: Fact) -> str:
    return "belief" if fact.believer is not None else "who" if fact.relation == "with" else "where"


def _name(who: Entity) -> str:
    return who.name or (f"the {who.noun}" if not who.kin or who.of is None else f"{who.of.name}'s {who.noun}")
