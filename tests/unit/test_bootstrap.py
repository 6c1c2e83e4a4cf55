"""bookkit.bootstrap: the interval, held against SciPy's and against the recorded way of drawing."""

import numpy as np
import pytest
from scipy import stats

from bookkit import bootstrap

SCORES = np.random.default_rng(7).normal(size=83)
HITS = np.random.default_rng(8).integers(0, 5, 40)
SIZES = HITS + np.random.default_rng(9).integers(1, 5, 40)


def ratio(hits, sizes, axis=1):
    return hits.sum(axis) / sizes.sum(axis)


def scipys(data, statistic, **options):
    found = stats.bootstrap(
        data, statistic, n_resamples=2000, method="percentile", rng=np.random.default_rng(0), **options
    )
    return tuple(found.confidence_interval)


def test_the_mean_has_scipys_interval():
    assert bootstrap.interval(SCORES) == pytest.approx(scipys((SCORES,), np.mean), rel=1e-12)


def test_a_ratio_has_scipys_interval():
    ours = bootstrap.interval(HITS, SIZES, statistic=ratio)
    assert ours == pytest.approx(scipys((HITS, SIZES), ratio, paired=True), rel=1e-12)


def test_the_recorded_figures_draws_are_kept():
    """Chapters and passports state intervals that were drawn like this: other draws would change their last digits."""
    picks = np.random.default_rng(0).integers(0, len(SCORES), size=(2000, len(SCORES)))
    assert (bootstrap.rows(len(SCORES)) == picks).all()
    assert bootstrap.interval(SCORES) == tuple(np.percentile(SCORES[picks].mean(axis=1), [2.5, 97.5]))
    assert not (bootstrap.rows(len(SCORES), seed=1) == picks).all()


def test_several_figures_at_once():
    table = np.stack([SCORES, SCORES**2], axis=1)
    low, high = bootstrap.interval(table)
    assert (low[0], high[0]) == pytest.approx(bootstrap.interval(SCORES))
    assert (low[1], high[1]) == pytest.approx(bootstrap.interval(SCORES**2))


def test_a_resample_in_which_a_figure_is_not_defined_is_left_out():
    values = np.r_[np.linspace(0, 1, 101), np.nan]
    assert bootstrap.middle(values) == pytest.approx((0.025, 0.975))


def test_items_that_do_not_vary_leave_no_doubt():
    assert bootstrap.interval([3, 3, 3]) == (3, 3)


@pytest.mark.parametrize("values", [([],), ([1, 2], [1])])
def test_nothing_to_draw_from_is_refused(values):
    with pytest.raises(ValueError, match="at least one item, and the same number"):
        bootstrap.interval(*values)
