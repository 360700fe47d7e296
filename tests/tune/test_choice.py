"""The rule of choice, by hand."""

import pytest

from equibench.record.study import Candidate, Search, Training
from equibench.tune import rule

SEARCH = Search(best=2, seeds=[0, 1], worse_bits_per_dim=0.02)


def trained(number, distance, bits=None, seed=0, share=0.25):
    return Training(
        candidate=Candidate(number=number, config={"good": number}, sampler={}),
        values={"good": number},
        seed=seed,
        share=share,
        status="crashed" if distance is None else "ok",
        distance=distance,
        bits_per_dim=bits,
    )


def numbers(candidates):
    return [one.number for one in candidates]


TRIALS = [
    trained(0, 50.0, 3.0), trained(1, 40.0, 3.02), trained(2, 10.0, 3.03), trained(3, None), trained(4, 45.0, 2.5),
]  # fmt: skip


def test_the_best_are_those_of_least_distance_that_keep_their_likelihood():
    assert numbers(rule.finalists(TRIALS, SEARCH)) == [0, 1, 4]
    assert numbers(rule.finalists(TRIALS, SEARCH.model_copy(update={"worse_bits_per_dim": 0.5}))) == [0, 2, 1]


def test_the_entrant_as_it_stands_is_a_finalist_always_and_once():
    first = [trained(0, 5.0, 3.0), *TRIALS[1:]]
    assert numbers(rule.finalists(first, SEARCH)) == [0, 1]  # it is one of the best two
    last = [trained(0, 500.0, 3.0), *TRIALS[1:]]
    assert numbers(rule.finalists(last, SEARCH)) == [0, 1, 4]


def test_without_a_likelihood_the_distance_alone_counts():
    trials = [trained(0, 50.0), trained(1, 60.0), trained(2, 10.0)]
    assert numbers(rule.finalists(trials, SEARCH)) == [0, 2]


def test_where_the_entrant_as_it_stands_failed_any_likelihood_will_do():
    assert numbers(rule.finalists([trained(0, None), *TRIALS[1:]], SEARCH)) == [0, 2, 1]


def test_one_whose_likelihood_is_missing_is_none_of_the_best():
    assert numbers(rule.finalists([TRIALS[0], trained(1, 1.0)], SEARCH)) == [0]


def test_ties_go_to_the_earlier():
    assert numbers(rule.finalists([trained(0, 9.0), trained(2, 4.0), trained(1, 4.0)], SEARCH)) == [0, 1, 2]


def test_what_may_not_be_chosen_is_told_as_the_worst():
    assert [one.value for one in rule.told(TRIALS, SEARCH)] == [50.0, 40.0, 50.0, 50.0, 45.0]
    assert [one.value for one in rule.told([trained(0, None)], SEARCH)] == [0.0]


def full_runs(*of):
    return [trained(n, d, b, seed, share=1.0) for n, values in of for seed, (d, b) in enumerate(values)]


FINALS = [Candidate(number=n, config={"good": n}, sampler={}) for n in (0, 1, 4)]


@pytest.mark.parametrize(
    ("of", "chosen", "why"),
    [
        # the means are 30, 25, 20
        ([(0, [(20, 3), (40, 3)]), (1, [(25, 3), (25, 3)]), (4, [(39, 3), (1, 3)])], 4, "of the 3 of 3 finalists"),
        # the mean of 4 is 3.025 bits, the most that may be is 3.02
        ([(0, [(20, 3), (40, 3)]), (1, [(25, 3), (25, 3)]), (4, [(20, 3.05), (20, 3)])], 1, "of the 2 of 3"),
        # one of its seeds failed
        ([(0, [(20, 3), (40, 3)]), (1, [(35, 3), (35, 3)]), (4, [(1, 3), (None, None)])], 0, "of the 2 of 3"),
        ([(n, [(None, None), (5, 3)]) for n in (0, 1, 4)], 0, "no finalist ended well"),
        ([(0, [(None, None), (5, 3)]), (1, [(9, 8), (9, 8)]), (4, [(8, 9), (8, 9)])], 4, "of the 2 of 3"),
    ],
)
def test_the_least_mean_over_seeds_is_chosen(of, chosen, why):
    candidate, words = rule.choice(rule.means(FINALS, full_runs(*of), SEARCH), SEARCH)
    assert candidate.number == chosen
    assert why in words
