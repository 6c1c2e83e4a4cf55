"""Names and values. Every word that names are made of belongs to one split, so that no name is met in two of them."""

import random
from collections.abc import Callable
from pathlib import Path

import yaml

SPLITS = ("train", "validation", "test")
SHARES = {"train": 0.6, "validation": 0.12, "test": 0.28}

WORDS = yaml.safe_load((Path(__file__).resolve().parent / "names.yml").read_text(encoding="utf-8"))
TOWN_ENDS = ["wick", "ford", "ton", "by", "mouth", "field", "ham", "stead", "bury", "low", "mere", "combe"]
DISHES = [
    "onion pie",
    "apple tart",
    "leek pasty",
    "pumpkin bread",
    "mushroom strudel",
    "potato pie",
    "cheese galette",
    "walnut bread",
    "spinach pie",
    "pear cake",
    "fish pasty",
    "cabbage strudel",
]
FEATURES = ["Ridge", "Gorge", "Valley", "Moor", "Cliff", "Lake", "Forest", "Heath", "Falls", "Marsh"]

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = "January February March April May June July August September October November December".split()
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve""".split()


def _split(entry) -> str:
    """The split of a word. It depends on the word alone, so that one in two pools ("Finch") is in one split."""
    number = random.Random(f"name 2674 {entry}").random()  # with this number every pool gets its share
    return "train" if number < SHARES["train"] else "validation" if number < 1 - SHARES["test"] else "test"


def _parts(pool: list, name: str) -> dict[str, list]:
    """A pool in three parts."""
    parts = {split: [entry for entry in pool if _split(entry) == split] for split in SPLITS}
    if len(set(pool)) != len(pool) or min(map(len, parts.values())) < 3:
        raise ValueError(f"The pool {name} has an entry twice, or too few for a split.")
    return parts


POOLS = {name: _parts(pool, name) for name, pool in (WORDS | {"number": list(range(2, 99))}).items()}


# Parts that name their bearer alone: "line 14" and "bus 14" must not meet in one item, nor two people called Ada.
ALONE = {"women", "men", "topic", "number", "pet"}


class Style:
    """How one item writes times, money, dates and small numbers."""

    def __init__(self, rng: random.Random):
        self.time = rng.choice(["{h}.{m} {half}", "{h}:{m} {half}", "{h}:{m} {dotted}", "24"])
        self.money = rng.choice(["£{}", "£{}", "€{}", "${}", "{} euros"])
        self.date = rng.choice(["{d} {m}", "{m} {d}"])
        self.words = rng.random() < 0.6


class Draw:
    """Draws names and values for one item, none of them twice.

    Attributes:
        names: the proper names drawn so far.
    """

    def __init__(self, rng: random.Random, split: str):
        self.rng, self.split, self.style = rng, split, Style(rng)
        self.used: set = set()
        self.names: list[str] = []

    def _one(self, pool: str):
        every = POOLS[pool][self.split]
        if pool not in ALONE:
            return self.rng.choice(every)
        chosen = self.rng.choice([one for one in every if (pool, one) not in self.used] or every)
        self.used.add((pool, chosen))
        return chosen

    def fresh(self, make: Callable[[], str]) -> str:
        """The first thing made that is new to this item.

        Raises:
            LookupError: nothing new was made in 60 tries.
        """
        for _ in range(60):
            made = make()
            if made.lower() not in self.used:
                self.used.add(made.lower())
                return made
        raise LookupError(f"Everything that {make} makes is used.")

    def name(self, kind: str) -> str:
        """A new name of a kind, kept in `names`."""
        made = self.fresh(lambda: self._name(kind))
        self.names.append(made)
        return made

    def _name(self, kind: str) -> str:
        rng, one = self.rng, self._one
        match kind:
            case "person":
                return f"{one(rng.choice(['women', 'men']))} {one('surname')}"
            case "doctor":
                return f"Dr {one('surname')}"
            case "town":
                return one("town") + rng.choice(TOWN_ENDS)
            case "street":
                return f"{one('street')} {rng.choice(['Street', 'Road', 'Lane', 'Avenue', 'Row'])}"
            case "place":
                return f"{one('street')} {rng.choice(['Bridge', 'Mill', 'Square', 'Gate', 'Station', 'Farm', 'Quay'])}"
            case "venue":
                kinds = ["Hall", "Theatre", "Church", "Barn"]
                return f"{rng.choice(['the', 'the', 'the old'])} {one('street')} {rng.choice(kinds)}"
            case "address":
                return f"{rng.randint(2, 98)} {one('street')} {rng.choice(['Street', 'Road', 'Lane', 'Avenue'])}"
            case "shop":
                return f"the {one('adjective')} {one('noun')}"
            case "hotel":
                return rng.choice([f"the {one('noun')} Inn", f"{self._name('town')} House", f"Villa {one('codename')}"])
            case "museum":
                what = rng.choice(
                    [
                        "Museum",
                        "Town Museum",
                        "Museum of Crafts",
                        "Museum of Travel",
                        "History Museum",
                        "Museum of Science",
                    ]
                )
                return f"the {self._name('town')} {what}"
            case "library":
                return f"the {rng.choice([self._name('town'), one('street') + ' Street', one('surname')])} Library"
            case "bus":
                return rng.choice(["bus {}", "the number {} bus", "line {}"]).format(one("number"))
            case "pool":
                whose = rng.choice([self._name("town"), one("street") + " Road", one("adjective")])
                return f"the {whose} {rng.choice(['Bathhouse', 'Pool', 'Lido'])}"
            case "course":
                return rng.choice(["the course in {}", "the {} course", "the {} class"]).format(one("topic"))
            case "store":
                return rng.choice(
                    [
                        f"{one('surname')} Footwear",
                        f"{one('surname')} & Sons",
                        f"{one('adjective')} {one('noun')} Leather",
                    ]
                )
            case "company":
                return rng.choice(
                    [
                        f"{one('surname')} & {one('surname')}",
                        f"{one('surname')} Logistics",
                        f"{one('codename')} Instruments",
                    ]
                )
            case "band":
                return f"the {one('adjective')} {one('noun')} {rng.choice(['Quartet', 'Band', 'Singers', 'Players'])}"
            case "flat":
                return rng.choice(
                    [f"the flat at {self._name('address')}", f"Flat {rng.randint(2, 30)} in {one('noun')} Court"]
                )
            case "dish":
                return f"{self._name('town')} {rng.choice(DISHES)}"
            case "parcel":
                return f"parcel {rng.choice('ABCDEFGHKLMNPRSTUVWXYZ')}{one('number')}{rng.randint(100, 999)}"
            case "clinic":
                return f"the {rng.choice([one('street') + ' Street', one('surname'), self._name('town')])} Surgery"
            case "bikeshop":
                return rng.choice(
                    [f"{one('noun')} Cycles", f"{one('surname')} Wheels", f"the {one('adjective')} Pedal"]
                )
            case "project":
                return f"Project {one('codename')}"
            case "trail":
                return f"the {one('street')} {rng.choice(FEATURES)} {rng.choice(['Trail', 'Path', 'Walk'])}"
            case "campsite":
                return f"the {one('street')} {rng.choice(FEATURES)} campsite"
            case "gym":
                return f"{one('brand')} {rng.choice(['Fitness', 'Gym'])}"
            case "ship":
                return f"the ferry {rng.choice([one('codename'), one('women')])}"
            case "cultivar":
                what = rng.choice(["dahlia", "aster", "poppy", "lupin", "sage", "primula"])
                return f"the {what} “{one('adjective')} {one('noun')}”"
            case "device":
                what = rng.choice(["steam iron", "hand vacuum", "coffee maker", "humidifier", "plant waterer"])
                return f"the {one('brand')} {rng.choice([200, 300, 450, 500, 600, 720, 850])} {what}"
            case "school":
                return rng.choice(
                    [
                        f"{self._name('town')} Primary School",
                        f"the {one('street')} Lane School",
                        f"the {one('surname')} School",
                    ]
                )
            case "animal":
                return one("pet")
            case "app":
                return f"{one('software')} {rng.choice(['Desk', 'Pro', 'Studio', 'Notes'])}"
        raise ValueError(f'There is no kind of name "{kind}".')

    def value(self, spec: list) -> str:
        """A new value of an attribute, written in the item's style.

        Args:
            spec: the kind of value and its arguments, as in ``families/*.yml``.
        """
        kind, *rest = spec
        if kind in ("person", "doctor", "town", "street", "place", "venue", "address"):
            return self.name(kind)
        return self.fresh(lambda: self._value(kind, rest))

    def _value(self, kind: str, rest: list) -> str:
        rng, style = self.rng, self.style
        match kind:
            case "time":
                first, last, step = rest
                hour, minute = divmod(rng.randrange(first * 60, last * 60 + 1, step), 60)
                return _clock(hour, minute, style.time)
            case "money":
                low, high, step = rest
                amount = low + step * rng.randint(0, round((high - low) / step))
                return style.money.format(f"{amount:,.0f}" if abs(amount - round(amount)) < 1e-6 else f"{amount:.2f}")
            case "thousands":
                return style.money.format(f"{1000 * rng.randint(*rest):,}")
            case "cents":
                low, high, step = rest
                return f"{rng.randrange(low, high + 1, step)} {'pence' if '£' in style.money else 'cents'}"
            case "int":
                low, high, step, form = rest
                return form.format(rng.randrange(low, high + 1, step))
            case "count":
                low, high, step, unit = rest
                number = rng.randrange(low, high + 1, step)
                return f"{NUMBERS[number] if style.words and number <= 12 else number} {unit}"
            case "date":
                return style.date.format(d=rng.randint(1, 28), m=rng.choice(MONTHS))
            case "day":
                return rng.choice(DAYS)
            case "month":
                return rng.choice(MONTHS)
            case "room":
                return rng.choice([f"room {rng.randint(2, 48)}", f"room {rng.choice('ABCDEFG')}{rng.randint(2, 19)}"])
            case "code":
                return f"{rng.choice('BCEFHKLPRT')}{rng.randint(2, 98)}"
            case "version":
                return f"{rng.randint(2, 12)}.{rng.randint(0, 9)}"
            case "pick":
                return rng.choice(rest)
        raise ValueError(f'There is no kind of value "{kind}".')


def _clock(hour: int, minute: int, style: str) -> str:
    if style == "24":
        return f"{hour:02}:{minute:02}"
    half, short = ("am" if hour < 12 else "pm"), (hour - 1) % 12 + 1
    if minute == 0:
        return f"{short} {half}" if "dotted" not in style else f"{short} {half[0]}.m."
    return style.format(h=short, m=f"{minute:02}", half=half, dotted=f"{half[0]}.m.")
