"""Every choice of a story comes from here, and its surprise is counted."""

import math
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A seeded source of choices that adds up how many bits they cost.

    The sum is the information in the derivation of a text. The text itself can hold no more, so bits per byte
    of a large sample are an upper bound of the entropy floor that a language model of these texts approaches.

    Args:
        seed: anything with a stable text form; the same seed gives the same choices on every machine.
    """

    def __init__(self, seed: object):
        self._random = random.Random(f"pocket-stories {seed}")
        self.bits = 0.0

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, each as likely as the others."""
        self.bits += math.log2(len(options))
        return options[self._random.randrange(len(options))]

    def weighted(self, options: dict[T, float]) -> T:
        """One of the keys, with probability in proportion to its value."""
        total = sum(options.values())
        point = self._random.random() * total
        chosen = None
        for option, weight in options.items():
            chosen = option
            point -= weight
            if point < 0:
                break
        self.bits -= math.log2(options[chosen] / total)
        return chosen

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.weighted({True: probability, False: 1 - probability}) if 0 < probability < 1 else probability >= 1

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """Several different options, in random order."""
        rest, chosen = list(options), []
        for _ in range(min(count, len(rest))):
            option = self.pick(rest)
            rest.remove(option)
            chosen.append(option)
        return chosen
