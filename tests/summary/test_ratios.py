"""Ratios and differences over seeds, their intervals and tests, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from equibench.summary.ratios import difference, ratio

A, B = [620.0, 542.0, 559.0], [410.0, 430.0, 409.5, 402.0]


def test_a_ratio_is_welchs_test_of_logarithms():
    found = ratio(A, B)
    theirs = scipy.stats.ttest_ind(np.log(A), np.log(B), equal_var=False)
    assert found.value == pytest.approx(scipy.stats.gmean(A) / scipy.stats.gmean(B))
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(theirs.confidence_interval(0.95))))
    assert found.seeds == 3


def test_a_ratio_within_one_model_is_paired_by_seed():
    other = [300.0, 265.0, 281.0]
    found = ratio(A, other, paired=True)
    theirs = scipy.stats.ttest_rel(np.log(A), np.log(other))
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(theirs.confidence_interval(0.95))))


def test_a_difference_is_of_the_values():
    found, theirs = difference(A, B), scipy.stats.ttest_ind(A, B, equal_var=False)
    assert found.value == pytest.approx(np.mean(A) - np.mean(B))
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))


def test_the_other_way_round():
    one, other = ratio(A, B).inverse, ratio(B, A)
    assert (one.value, one.low, one.high, one.p) == pytest.approx((other.value, other.low, other.high, other.p))
    one, other = difference(A, B).inverse, difference(B, A)
    assert (one.value, one.low, one.high, one.p) == pytest.approx((other.value, other.low, other.high, other.p))


@pytest.mark.parametrize("paired", [False, True])
def test_fewer_than_three_seeds_have_no_interval(paired):
    found = ratio(A[:2], B[:2], paired)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert found.value == pytest.approx(scipy.stats.gmean(A[:2]) / scipy.stats.gmean(B[:2]))


@pytest.mark.parametrize("paired", [False, True])
def test_counts_that_every_seed_repeats(paired):
    found = ratio([30.0] * 3, [20.0] * 3, paired)
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))
    assert found.p == 0
    assert ratio([20.0] * 3, [20.0] * 3, paired).p == 1


@pytest.mark.parametrize("odd", [0.0, -1.0, float("inf"), float("nan")])
def test_what_has_no_logarithm_has_no_ratio(odd):
    assert ratio([1.0, odd, 2.0], B) is None
