"""The words: what a picture can show, and captions in natural and varied English that say it.

A picture is described by choices that vary independently: subject, style, background, size and place, and perhaps a
second subject beside the first.
"""

import random
import re
from dataclasses import dataclass

STYLE_PHRASES = {
    "noto": ("noto style", "noto emoji style", "noto"),
    "flat": ("flat style", "flat design", "flat"),
    "3d": ("3d style", "3d render", "3d"),
    "twemoji": ("twemoji style", "twemoji look", "twemoji"),
}

# Named colours, sRGB. Any two are more than 36 apart in CIELAB (Euclidean).
BACKGROUNDS = {
    "white": (255, 255, 255),
    "black": (16, 16, 16),
    "grey": (138, 138, 138),
    "red": (211, 47, 47),
    "orange": (240, 120, 0),
    "yellow": (253, 220, 60),
    "green": (56, 142, 60),
    "teal": (0, 170, 175),
    "blue": (30, 90, 225),
    "purple": (130, 40, 150),
    "pink": (250, 160, 195),
    "brown": (120, 75, 35),
}

# The words for sizes and places, the first for prompts; layouts.py says what they mean. "" is silence.
SIZES = {"normal": ("",), "large": ("large", "big"), "small": ("small", "tiny", "little"), "any": ("",)}
PLACES = {"centre": ("",), "left": ("on the left",), "right": ("on the right",), "top": ("at the top",),
          "bottom": ("at the bottom",), "middle": ("in the middle",), "anywhere": ("",)}  # fmt: skip
BESIDE = ("next to", "beside", "and")

# Everyday words for what the standard calls otherwise.
ALIASES = {
    "pizza": ("slice of pizza", "pizza slice"), "red apple": ("apple",), "hamburger": ("burger",),
    "automobile": ("car", "red car"), "doughnut": ("donut",), "french fries": ("fries",), "honeybee": ("bee",),
    "soft ice cream": ("ice cream cone",), "ice cream": ("bowl of ice cream",), "birthday cake": ("cake",),
    "shortcake": ("slice of cake", "piece of cake"), "hot beverage": ("cup of coffee", "cup of tea"),
    "lady beetle": ("ladybug",), "cheese wedge": ("piece of cheese", "cheese"), "ear of corn": ("corn", "corncob"),
    "meat on bone": ("piece of meat",), "poultry leg": ("chicken leg",), "bread": ("loaf of bread",),
    "steaming bowl": ("bowl of noodles",), "beer mug": ("glass of beer",), "wine glass": ("glass of wine",),
    "cocktail glass": ("cocktail",), "evergreen tree": ("fir tree",), "deciduous tree": ("tree",),
    "sauropod": ("dinosaur",), "front-facing baby chick": ("chick",), "spouting whale": ("blue whale",),
    "two-hump camel": ("bactrian camel",), "grinning face": ("smiley",), "red heart": ("heart",),
    "mobile phone": ("phone",), "locomotive": ("steam train",), "police car": ("patrol car",), "rose": ("red rose",),
    "cooking": ("fried egg",), "cut of meat": ("steak",), "glass of milk": ("milk",), "cooked rice": ("bowl of rice",),
    "shortcake with strawberry": (), "eggplant": ("aubergine",), "ewe": ("sheep",), "sailboat": ("sailing boat",),
}  # fmt: skip

MASS = frozenset(
    "bread bacon popcorn butter salt rice sushi spaghetti garlic broccoli sake oden custard ice food "
    "milk cheese corn coral ginger fire water money snow thread yarn soap luggage bitcoin".split()
)
NOT_PLURAL = re.compile(r"(ss|us|is|os)$")
SPOKEN_WITH_VOWEL = re.compile(r"[aeio8]|u(?!ni|se|fo)|hour|(?:[aefhilmnorsx]-|atm|sos|x-ray)")
SPOKEN_WITH_CONSONANT = re.compile(r"(one|once|ewe|euro|ufo)\b")


@dataclass(frozen=True)
class Picture:
    """What a picture shows, by name. `subject` is an emoji's English name, and so is `neighbour`."""

    subject: str
    style: str
    background: str
    size: str = "normal"
    place: str = "centre"
    neighbour: str | None = None


def plain(name: str) -> str:
    """A subject's name as it stands in captions.

    >>> plain("keycap: 1"), plain("men’s room")
    ('keycap 1', "men's room")
    """
    name = re.sub(r"^(person|man|woman): ", r"\1 with ", name)
    return name.replace(": ", " ").replace("’", "'").replace("“", "").replace("”", "").lower()


def article(phrase: str) -> str:
    """The phrase with "a" or "an" before it, as it is spoken.

    >>> article("octopus"), article("unicorn"), article("one-piece swimsuit")
    ('an octopus', 'a unicorn', 'a one-piece swimsuit')
    """
    vowel = SPOKEN_WITH_VOWEL.match(phrase) and not SPOKEN_WITH_CONSONANT.match(phrase)
    return f"{'an' if vowel else 'a'} {phrase}"


def noun_phrase(name: str, size: str = "") -> str:
    """The subject with its size and, unless it is plural or a substance, its article.

    >>> noun_phrase("red apple", "small"), noun_phrase("grapes"), noun_phrase("bowl of rice")
    ('a small red apple', 'grapes', 'a bowl of rice')
    """
    head = re.split(r" (?:with|of|in|on|without|from) ", name)[0].split()[-1]
    plural = head.endswith("s") and not NOT_PLURAL.search(head)
    phrase = f"{size} {name}".strip()
    return phrase if plural or head in MASS else article(phrase)


def canonical(picture: Picture) -> str:
    """The caption that evaluation uses.

    >>> canonical(Picture("red apple", "3d", "blue"))
    'a red apple, 3d style, on a blue background'
    >>> canonical(Picture("fox", "flat", "teal", "any", "anywhere", "egg"))
    'a fox next to an egg, flat style, on a teal background'
    """
    size, place = SIZES[picture.size][0], PLACES[picture.place][0]
    subject = " ".join((noun_phrase(plain(picture.subject), size), place)).strip()
    if picture.neighbour:
        subject = f"{subject} {BESIDE[0]} {noun_phrase(plain(picture.neighbour))}"
    return f"{subject}, {STYLE_PHRASES[picture.style][0]}, on {article(picture.background)} background"


def spoken(subject: str, rng: random.Random) -> str:
    """A subject's name, or now and then one of its everyday words."""
    name = plain(subject)
    if subject in ALIASES and rng.random() < 0.3:
        name = rng.choice(ALIASES[subject] or (name,))
    return name


def varied(picture: Picture, tags: list[str], rng: random.Random) -> str:
    """A random caption: order, wording and, now and then, a missing attribute, an alias or a tag.

    Half of all captions follow the canonical order. Size, place and neighbour are always said where there are words
    for them; style and background are each left out in one caption of twenty, so that a short prompt means "any".
    """
    name = spoken(picture.subject, rng)
    size, place = rng.choice(SIZES[picture.size]), rng.choice(PLACES[picture.place])
    bare = rng.random() < 0.1
    subject = f"{size} {name}".strip() if bare else noun_phrase(name, size)
    subject = f"{subject} {place}".strip()
    if picture.neighbour:
        other = spoken(picture.neighbour, rng)
        subject = f"{subject} {rng.choice(BESIDE)} {other if bare else noun_phrase(other)}"
    if tags and rng.random() < 0.1:
        subject = f"{subject}, {plain(rng.choice(tags))}"
    style = rng.choice(STYLE_PHRASES[picture.style]) if rng.random() < 0.3 else STYLE_PHRASES[picture.style][0]
    colour = picture.background
    ground = rng.choice((f"on {article(colour)} background", f"{colour} background", f"on {colour}"))
    if rng.random() < 0.05:
        return f"{subject}, {style}"
    if rng.random() < 0.05:
        return f"{subject}, {ground}"
    if rng.random() < 0.5:
        return f"{subject}, {style}, on {article(colour)} background"
    return rng.choice((
        f"{subject}, {style}, {ground}",
        f"{subject} in {style}, {ground}",
        f"{subject}, {ground}, {style}",
        f"{ground}, {subject}, {style}",
        f"{style}, {subject}, {ground}",
        f"{article(picture.style)} emoji of {subject}, {ground}",
        f"a picture of {subject} in {style}, {ground}",
    ))  # fmt: skip
