"""The notation of the data files, read into small trees.

``(a|b)``
    one of the alternatives; they nest.
``<name>``
    one of the words or phrases of that name in the lexicon.
``{kid}``, ``{kid's}``, ``{box.in}``, ``{kid+pal}``
    a reference to somebody or something of the story; the teller chooses name, noun or pronoun.
``[go]``
    a verb, put into the tense of the story and made to agree with the reference before it.

The first two are settled here, the others in :mod:`telling`.
"""

import re
from functools import cache
from pathlib import Path

from training.pocket_gpt2.story_engine.dice import Dice

DATA = Path(__file__).parent / "data"
Tree = tuple  # of str, ("or", trees) and ("set", name)


@cache
def parse(text: str) -> Tree:
    """Read a template; the result is a tuple of literal strings, alternatives and names of sets."""
    parts, position = [], 0
    while position < len(text):
        match = re.compile(r"[(<]").search(text, position)
        if not match:
            parts.append(text[position:])
            break
        parts.append(text[position : match.start()])
        if text[match.start()] == "<":
            end = text.index(">", match.start())
            parts.append(("set", text[match.start() + 1 : end]))
        else:
            end = _closing(text, match.start())
            parts.append(("or", tuple(parse(option) for option in _split(text[match.start() + 1 : end]))))
        position = end + 1
    return tuple(part for part in parts if part)


def _closing(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == "(") - (text[index] == ")")
        if depth == 0:
            return index
    raise ValueError(f"a parenthesis is not closed in: {text}")


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def expand(text: str, dice: Dice, now: dict[str, str] | None = None) -> str:
    """Settle the alternatives and sets of a template; references and verbs stay.

    Args:
        text: the template.
        dice: decides.
        now: what ``$weather``, ``$time`` and ``$here`` stand for.
    """
    return _expand(parse(text), dice, now or {})


def _expand(tree: Tree, dice: Dice, now: dict[str, str]) -> str:
    out = []
    for part in tree:
        if isinstance(part, str):
            out.append(_fill(part, now))
        elif part[0] == "or":
            out.append(_expand(dice.pick(part[1]), dice, now))
        else:
            out.append(_expand(parse(dice.pick(choices(_fill(part[1], now)))), dice, now))
    return "".join(out)


def _fill(text: str, now: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: now[match[1]], text) if "$" in text else text


@cache
def lexicon() -> dict[str, dict]:
    """The word sets of ``lexicon.txt``: name → {"adjectives": [set, …], "words": [word, …]}."""
    sets: dict[str, dict] = {}
    for block in _blocks("lexicon.txt"):
        head, _, words = block.partition(":")
        name, *adjectives = head.replace("(", " ").replace(")", " ").split()
        sets[name] = {
            "adjectives": adjectives,
            "words": [word.strip() for word in words.split(",") if word.strip()],
        }
    return sets


@cache
def phrases() -> dict[str, list[str]]:
    """The phrase sets of ``phrases.txt``: name → alternatives."""
    sets: dict[str, list[str]] = {}
    for block in _blocks("phrases.txt"):
        name, _, body = block.partition("=")
        sets[name.strip()] = [option.strip() for option in body.split("//")]
    return sets


@cache
def choices(name: str) -> list[str]:
    """What ``<name>`` may stand for; ``<pl fruit>`` for the plurals of a word set, ``<a|b>`` is not needed."""
    if name in phrases():
        return phrases()[name]
    if name.startswith("pl "):
        from training.pocket_gpt2.story_engine.english import plural

        return [plural(word.strip("*+")) for word in lexicon()[name[3:]]["words"] if not word.endswith(("*", "+"))]
    if name not in lexicon():
        raise KeyError(f"no set is called <{name}>")
    return [word.rstrip("*+").split("/")[0] for word in lexicon()[name]["words"]]


def _blocks(file: str) -> list[str]:
    """The entries of a data file: a line and the indented lines that continue it."""
    blocks: list[str] = []
    for line in (DATA / file).read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            blocks[-1] += " " + line.strip()
        else:
            blocks.append(line.rstrip())
    return blocks
