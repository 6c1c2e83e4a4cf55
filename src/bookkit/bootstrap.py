"""The bootstrap: how far a figure would move if other items had been drawn (Efron and Tibshirani, 1993, chapter 13).

An item is what is independent of the rest: a question, a prompt, a word, a text; never the tokens or the pictures that
belong to one. Every call with the same number of items and the same seed draws the same ones, so that figures which are
computed in different places can be compared, and agree to the last digit.
"""

from collections.abc import Callable

import numpy as np

RESAMPLES = 2000


def rows(count: int, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Which items each resample holds: an array (resamples, count) of their numbers.

    Args:
        count: of the items.
        resamples: how often to draw.
        seed: of the random numbers.
    """
    return np.random.default_rng(seed).integers(count, size=(resamples, count))


def middle(resampled) -> tuple:
    """The ends of the middle 95 % of a figure's values over the resamples, its first axis; NaN among them is left out.

    Args:
        resampled: the figure's value in each resample; further axes are kept.
    """
    resampled = np.asarray(resampled, float)
    percentile = np.nanpercentile if np.isnan(resampled).any() else np.percentile
    return tuple(percentile(resampled, [2.5, 97.5], axis=0))


def interval(
    *values, statistic: Callable | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % percentile bootstrap interval of a figure: its lower and its upper end.

    ``interval(scores)`` is that of the mean; ``interval(after - before)`` that of a paired difference;
    ``interval(hits, sizes, statistic=lambda hits, sizes: hits.sum(1) / sizes.sum(1))`` that of a ratio of sums.

    Args:
        values: one or more arrays with an item in each row; all are resampled together.
        statistic: takes the resampled arrays (resamples, items, …) and gives the figure of each resample; by default
            the mean over the items.
        resamples: how often to draw.
        seed: of the random numbers.

    Raises:
        ValueError: there is no item, or the arrays are not of the same items.
    """
    arrays = [np.asarray(array) for array in values]
    if len({len(array) for array in arrays}) != 1 or not len(arrays[0]):
        raise ValueError("A bootstrap needs at least one item, and the same number of them in every array.")
    drawn = rows(len(arrays[0]), resamples=resamples, seed=seed)
    return middle((statistic or _mean)(*(array[drawn] for array in arrays)))


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=1)
