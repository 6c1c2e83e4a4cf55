"""An interpolated 5-gram model with modified Kneser-Ney discounts (Chen and Goodman, 1998), in NumPy.

N-grams are numbers: five ids of a vocabulary of at most 7,131 entries fit into 64 bits. Counts are sorted arrays,
so ten million tokens take well under a gigabyte.
"""

import numpy as np

from bookkit.errors import BookError


class KneserNey:
    """The model, counted from one stream of token ids.

    Args:
        tokens: the training stream.
        entries: of the vocabulary.
        n: order.
    """

    def __init__(self, tokens: np.ndarray, entries: int, n: int = 5):
        if entries**n >= 2**64:
            raise BookError(
                f"{n}-grams of {entries} entries do not fit into 64 bits: use a vocabulary of at most 7,131."
            )
        self.n, self.entries = n, entries
        self._levels: list[dict] = []
        keys, counts = np.unique(_pack(tokens, n, entries), return_counts=True)
        for order in range(n, 0, -1):
            self._levels.insert(0, self._level(keys, counts, order))
            if order > 1:  # below the highest order: in how many contexts a word is seen, not how often
                keys, counts = np.unique(keys % np.uint64(entries ** (order - 1)), return_counts=True)

    def _level(self, keys: np.ndarray, counts: np.ndarray, order: int) -> dict:
        ones, twos, threes, fours = (max(1, int((counts == k).sum())) for k in (1, 2, 3, 4))
        y = ones / (ones + 2 * twos)
        discounts = np.array([0.0, 1 - 2 * y * twos / ones, 2 - 3 * y * threes / twos, 3 - 4 * y * fours / threes])
        discounts = np.clip(discounts, [0, 0.1, 0.1, 0.1], [0, 0.95, 1.95, 2.95])
        contexts, starts = np.unique(keys // np.uint64(self.entries), return_index=True)
        totals = np.add.reduceat(counts, starts)
        taken = np.add.reduceat(discounts[np.minimum(counts, 3)], starts)
        return {
            "keys": keys,
            "counts": counts,
            "discounts": discounts,
            "contexts": contexts,
            "totals": totals,
            "back": taken / totals,
        }

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """P(token | the n - 1 before it) for every token of a stream; at its start the context is shorter."""
        result = np.full(len(tokens), 1.0 / self.entries)
        for order, level in enumerate(self._levels, 1):
            packed = _pack(tokens, order, self.entries)
            counts = _look(level["keys"], level["counts"], packed)
            context = packed // np.uint64(self.entries)
            totals = _look(level["contexts"], level["totals"], context)
            back = _look(level["contexts"], level["back"], context)
            seen = totals > 0
            share = np.maximum(counts - level["discounts"][np.minimum(counts, 3)], 0) / np.maximum(totals, 1)
            tail = result[order - 1 :]
            result[order - 1 :] = np.where(seen, share + back * tail, tail)
        return result


def _pack(tokens: np.ndarray, n: int, entries: int) -> np.ndarray:
    packed = np.zeros(max(0, len(tokens) - n + 1), dtype=np.uint64)
    for index in range(n):
        packed = packed * np.uint64(entries) + tokens[index : len(tokens) - n + 1 + index].astype(np.uint64)
    return packed


def _look(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
