"""The statistics of the check, against scipy's and against simulations of its own promises."""

import math

import numpy as np
import pytest
from scipy import stats

from equibench.judge import power
from equibench.judge.gates import Gates, Prior
from equibench.judge.rule import MEAN_SHARE, Spread, judge, noise, spread_of, upper_limit

NONE, ASSUMED = Prior(1.0, 0), Prior(0.04, 4)
BASELINE, RUN = np.array([3.31, 3.29, 3.33]), np.array([3.36, 3.35, 3.40])


def both(baseline, run, prior=ASSUMED, older=()):
    """The verdicts of one number, as a check makes them."""
    others = [spread_of(baseline), *older]
    return judge(baseline, run, noise(prior, [*others, spread_of(run)]), noise(prior, others))


def test_without_a_prior_the_test_of_the_mean_is_student_s():
    found = both(BASELINE, RUN, prior=NONE)
    assert found.p_mean == pytest.approx(stats.ttest_ind(RUN, BASELINE, alternative="greater").pvalue)
    assert found.change == pytest.approx(RUN.mean() - BASELINE.mean())


def test_the_worst_value_is_held_against_noise_that_it_had_no_part_in():
    found = both(BASELINE, RUN, prior=NONE)
    t = (3.40 - BASELINE.mean()) / (BASELINE.std(ddof=1) * math.sqrt(1 + 1 / 3))
    assert found.p_worst == pytest.approx(3 * stats.t.sf(t, 2))
    assert found.p == pytest.approx(min(found.p_mean / 0.75, found.p_worst / 0.25))


def test_the_prior_counts_for_its_degrees_of_freedom_until_enough_are_measured():
    small = noise(ASSUMED, [Spread(0.02, 2)])
    assert small.variance == pytest.approx((4 * 0.04**2 + 2 * 0.02**2) / 6)
    assert (small.df, small.assumed_df) == (6, 4)
    enough = noise(ASSUMED, [Spread(0.02, 5), Spread(0.01, 3)])
    assert enough.variance == pytest.approx((5 * 0.02**2 + 3 * 0.01**2) / 8)
    assert (enough.df, enough.assumed_df) == (8, 0)
    assert noise(ASSUMED, [Spread(0.02, 20)], always=True).assumed_df == 4
    assert noise(ASSUMED, [Spread(0.001, 20)], 0.005).variance == pytest.approx(0.005**2)


def test_a_single_value_is_its_own_worst():
    found = both(BASELINE, RUN[:1])
    assert found.p == found.p_mean
    assert found.p_beyond(0.0) == found.p_mean
    assert found.p_beyond(1.0) == 1


def test_equal_values_have_no_spread_and_that_mean():
    third = np.full(3, 0.1 + 0.2)
    assert spread_of(third).sd == 0
    found = both(third, third)
    assert (found.change, found.worst) == (0, 0)


def test_the_upper_limit_is_that_of_student_s_interval():
    found = both(BASELINE, RUN, prior=NONE)
    interval = stats.ttest_ind(RUN, BASELINE).confidence_interval(0.90)
    assert upper_limit(found) == pytest.approx(interval.high)


@pytest.mark.parametrize(("df", "alpha", "tests"), [(4, 0.02, 4), (8, 0.02, 4), (16, 0.01, 8)])
def test_the_smallest_detectable_change_is_of_the_noncentral_t(df, alpha, tests):
    """Without a tolerance; scipy's own distribution has it in closed form."""
    c = power.critical(alpha, tests, df, 3)
    assert c == pytest.approx(stats.t.isf(0.75 * alpha / tests, df))
    assert power.critical(alpha, tests, df, 1) == pytest.approx(stats.t.isf(alpha / tests, df))
    found = power.detectable(2.0, df, c, 0.0)
    assert stats.nct.sf(c, df, found / 2.0) == pytest.approx(0.8, abs=2e-3)


def test_an_estimate_has_to_exceed_the_tolerance_too():
    """Where the noise is next to nothing, the tolerance alone decides."""
    assert power.detectable(0.01, 50, 2.0, 0.5) == pytest.approx(0.5 + 0.01 * stats.norm.ppf(0.8), rel=1e-3)
    assert power.detectable(0.0, 50, 2.0, 0.5) == 0.5


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_simulation_finds_the_smallest_detectable_change_in_eight_of_ten(seeds):
    """The test of the mean; the worst value adds to it a little. The prior says what the noise is."""
    rng, sd, tolerance = np.random.default_rng(seeds), 0.05, math.log(1.03)
    df = 2 * (seeds - 1) + (4 if 2 * (seeds - 1) < 8 else 0)
    c = power.critical(0.02, 4, df, seeds)
    change = power.detectable(sd * math.sqrt(2 / seeds), df, c, tolerance)
    before, after = rng.normal(0, sd, (4000, seeds)), rng.normal(change, sd, (4000, seeds))
    found = both(before, after, prior=Prior(sd, 4))
    named = (found.p_mean / MEAN_SHARE <= 0.02 / 4) & (found.change > tolerance)
    assert named.mean() == pytest.approx(0.8, abs=0.07 if seeds < 5 else 0.025)
    assert named.mean() > 0.775


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (3, 1), (3, 3), (5, 5)])
def test_equal_code_is_named_as_rarely_as_promised(counts):
    """Four entrants with the spreads of the published ones, quality alone: 2 % of checks, and no more where the prior
    is right for the noisiest of them.
    """
    rng, sds = np.random.default_rng(sum(counts)), np.array([0.072, 0.028, 0.020, 0.011])[:, None]
    before, after = (sds * rng.normal(size=(8000, 4, n)) for n in counts)
    p = both(before, after).p_beyond(math.log(1.03))
    assert (p.min(-1) <= 0.02 / 4).mean() < 0.03


def test_one_bad_seed_of_three_does_not_hide_in_the_spread_that_it_makes():
    rng = np.random.default_rng(0)
    before, after = 0.03 * rng.normal(size=(2, 2000, 3))
    after[:, 2] += math.log(1.5)
    found = both(before, after)
    assert (found.p_beyond(math.log(1.03)) <= 0.02 / 4).mean() > 0.95
    assert (found.p_mean / MEAN_SHARE <= 0.02 / 4).mean() < 0.1  # by the mean alone


def test_seeds_are_the_inverse_of_what_is_detectable():
    tolerance, sd = math.log(1.03), 0.05
    for percent in (8, 15, 40):
        change = math.log1p(percent / 100)
        n = power.seeds_for(change, sd, Prior(sd, 4), 0, 0.02, 4, tolerance, always=False)

        def seen(n):
            df = 2 * (n - 1) + (4 if n < 5 else 0)
            return power.detectable(sd * math.sqrt(2 / n), df, power.critical(0.02, 4, df, n), tolerance)

        assert seen(n) <= change < seen(n - 1)
    assert power.seeds_for(1e-3, sd, Prior(sd, 4), 0, 0.02, 4, 0.0, always=False) is None


def test_a_category_that_is_not_there_leaves_its_error_rate_to_the_others():
    gates = Gates()
    assert gates.shares(["quality", "likelihood", "speed", "memory"]) == {
        "quality": 0.02, "likelihood": 0.01, "speed": 0.01, "memory": 0.01,
    }  # fmt: skip
    left = gates.shares(["quality", "likelihood"])
    assert left == pytest.approx({"quality": 0.05 * 2 / 3, "likelihood": 0.05 / 3})
