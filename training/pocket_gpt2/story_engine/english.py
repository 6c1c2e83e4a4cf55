"""The little English morphology that the stories need: verb forms, plurals, articles, contractions."""

import re
from functools import cache
from pathlib import Path

MODALS = {
    "can": ("could", "can"),
    "will": ("would", "will"),
    "must": ("had to", "must"),
    "may": ("might", "may"),
}
_PLURALS = {
    "child": "children",
    "mouse": "mice",
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "sheep": "sheep",
    "fish": "fish",
    "deer": "deer",
    "man": "men",
    "woman": "women",
    "leaf": "leaves",
    "loaf": "loaves",
    "knife": "knives",
    "shelf": "shelves",
    "scarf": "scarves",
    "wolf": "wolves",
    "calf": "calves",
    "ox": "oxen",
    "half": "halves",
    "thief": "thieves",
}
_DOUBLED = set(
    "stop hop skip slip drop grab hug nod pat rub tap tip trip step clap chat plan pin pop rip rob "
    "beg dig drag drip flap grin hum jog knit mop plug scrub shrug snap spot stir swap tug wag wrap zip "
    "whip trot sit run swim win cut put let get set shut hit forget begin spin dip sob "
    "flip fit bob pet tan slam cram plod shed split bat dab jab nip pad sip skim snip strum thud "
    "drum quarrel travel signal pedal label patrol strum equip peg prop sag sip scan whir quit admit permit "
    "regret refer prefer occur".split()
)


@cache
def _irregular() -> dict[str, tuple[str, str]]:
    lines = (Path(__file__).parent / "data" / "verbs.txt").read_text(encoding="utf-8").split("\n")
    words = [entry.split() for line in lines if not line.startswith("#") for entry in line.split(",")]
    return {entry[0]: (entry[1], entry[-1]) for entry in words if entry}


def past(verb: str, plural: bool = False, first: bool = False) -> str:
    """The simple past: ``go`` gives ``went``."""
    if verb == "be":
        return "were" if plural else "was"
    if verb in MODALS:
        return MODALS[verb][0]
    if verb in _irregular():
        return _irregular()[verb][0]
    if verb.endswith("e"):
        return verb + "d"
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ied"
    return verb + verb[-1] + "ed" if verb in _DOUBLED else verb + "ed"


def present(verb: str, plural: bool = False, first: bool = False) -> str:
    """The simple present that agrees with its subject: ``go`` gives ``goes``, or ``go``."""
    if verb == "be":
        return "are" if plural else "am" if first else "is"
    if verb == "must":
        return "have to" if plural or first else "has to"
    if verb in MODALS:
        return MODALS[verb][1]
    if plural or first:
        return verb
    if verb == "have":
        return "has"
    if re.search(r"(s|x|z|ch|sh|o)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def ing(verb: str) -> str:
    """The form in -ing: ``make`` gives ``making``."""
    if verb in ("be", "see", "flee", "dye"):
        return verb + "ing"
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    return verb + verb[-1] + "ing" if verb in _DOUBLED else verb + "ing"


def plural(noun: str) -> str:
    """``fox`` gives ``foxes``; of several words the last one changes."""
    head, _, last = noun.rpartition(" ")
    if last in _PLURALS:
        last = _PLURALS[last]
    elif re.search(r"(s|x|z|ch|sh|tomato|potato)$", last):
        last += "es"
    elif re.search(r"[^aeiou]y$", last):
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head} {last}".strip()


_AN = re.compile(r"\b([Aa]) (?=[aeiou])(?!(?:use|uni|one\b|once\b|eu|ukulele))|\b([Aa]) (?=hour|honest)")


def tidy(text: str) -> str:
    """Articles before vowels, doubled spaces, and a capital at the start of every sentence."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ([,.!?;:])", r"\1", text)
    text = re.sub(r",\s*([,.!?])", r"\1", text)
    text = re.sub(r"""([!?]")\.""", r"\1", text)
    text = _AN.sub(lambda match: (match[1] or match[2]) + "n ", text)
    return re.sub(r'(^"?|[.!?]"? "?|[.!?:,] ")([a-z])', _capital, text)


def _capital(match: re.Match) -> str:
    # After `word," ` or `word?" ` inside a speech the tag goes on in lower case.
    before = match[1]
    if re.fullmatch(r'[.!?]" ', before) and not before.startswith("."):
        return match[0]
    return before + match[2].upper()


_SHORT = [
    (r"\b(did|does|do|was|were|is|are|could|would|had|has|have|should) not\b", r"\1n't"),
    (r"\b([Cc])annot\b|\b([Cc])an not\b", lambda m: f"{m[1] or m[2]}an't"),
    (r"\b([Ww])ill not\b", r"\1on't"),
    (r"\b(I|you|they|we|You|They|We) (will)\b(?!,)", r"\1'll"),
    (r"\bI am\b(?! ?[.,!?])", "I'm"),
    (r"(?<!here )\b([Ii]t|[Tt]hat|[Hh]ere|[Ww]hat) is\b(?! ?[.,!?])", r"\1's"),
    (r"\b([Ll])et us\b", r"\1et's"),
]


def contract(text: str) -> str:
    """``did not`` becomes ``didn't``, and so on."""
    for pattern, replacement in _SHORT:
        text = re.sub(pattern, replacement, text)
    return text


def listing(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
